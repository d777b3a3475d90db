package exchange

import (
	"slices"
	"testing"
)

func TestCookies(t *testing.T) {
	is := func(want []string, lines ...string) {
		t.Helper()
		h := Header{{Name: "X", Value: "id=0"}}
		for _, l := range lines {
			h.Add("Cookie", l)
		}
		if got := slices.Collect(h.Cookies("id")); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
	is(nil)
	is([]string{"1"}, "id=1")
	is([]string{"1", "", "a=b"}, " a=b;id=1 ;id=; xid=2", "id=a=b; ID=3")
	is(nil, "id; =id; ;;")
	is(nil, "ids=1; id-=2; id =3")
}
