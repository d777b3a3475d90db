package exchange

import "testing"

func TestTo(t *testing.T) {
	for authority, want := range map[string]string{
		"":                 "",
		"a":                "a",
		"a:80":             "a",
		"a:":               "a",
		"Shop.Example:443": "shop.example",
		"shop.example.":    "shop.example",
		"shop.example.:80": "shop.example",
		"192.0.2.1":        "192.0.2.1",
		"192.0.2.1:8080":   "192.0.2.1",
		"[2001:DB8::1]":    "[2001:db8::1]",
		"[::1]:80":         "[::1]",
		"a1":               "a1",
	} {
		x := &Exchange{}
		if x.To(authority); x.Request.Host != want || x.Request.Authority != authority {
			t.Errorf("%q is host %q of %q; want %q", authority, x.Request.Host, x.Request.Authority, want)
		}
	}
}
