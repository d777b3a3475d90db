package exchange

import (
	"strconv"
	"testing"
)

func TestDropLike(t *testing.T) {
	var h Header
	for i, name := range []string{"X-User", "x_user", "X-Users", "X-Tier", "Other"} {
		h.Add(name, strconv.Itoa(i+1))
	}
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
