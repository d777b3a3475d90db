package exchange

import "testing"

func TestDropLike(t *testing.T) {
	h := Header{{"X-User", "1"}, {"x_user", "2"}, {"X-Users", "3"}, {"X-Tier", "4"}, {"Other", "5"}}
	h.DropLike([]string{"x-user", "x_tier"})
	left := ""
	for _, f := range h {
		if f.Name != "" {
			left += f.Value
		}
	}
	if left != "35" {
		t.Errorf("left %s, want 35", left)
	}
}
