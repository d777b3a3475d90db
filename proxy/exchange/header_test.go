package exchange

import (
	"strconv"
	"testing"
)

func TestDropLike(t *testing.T) {
	var h Header
	for i, name := range []string{"X-User", "x_user", "X-Users", "X-Tier", "Other", "X.User", "x!tier", "X-User.", "xauser"} {
		h.Add(name, strconv.Itoa(i+1))
	}
	h.DropLike([]string{"x-user", "x_tier"})
	left := ""
	for _, f := range h {
		if f.Name != "" {
			left += f.Value
		}
	}
	if left != "3589" {
		t.Errorf("left %s, want 3589", left)
	}
}
