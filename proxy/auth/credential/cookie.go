package credential

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

const cookieHeader = "cookie"

// findCookie returns the value of a cookie and how many there are of its name.
func findCookie(h exchange.Header, name string) (value string, n int) {
	for v := range h.Cookies(name) {
		if n == 0 {
			value = v
		}
		n++
	}
	return value, n
}

func stripCookie(x *exchange.Exchange, name string) {
	h := x.Request.Header
	for i := range h {
		if len(h[i].Name) != len(cookieHeader) || !mem.EqualFold(h[i].Name, cookieHeader) {
			continue
		}
		if _, n := findCookie(h[i:i+1], name); n == 0 {
			continue
		}
		kept := x.Arena.Alloc(len(h[i].Value))[:0]
		for rest := h[i].Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			if _, ok := exchange.CookieValue(pair, name); ok {
				continue
			}
			if pair = strings.Trim(pair, " \t"); pair == "" {
				continue
			}
			if len(kept) > 0 {
				kept = append(kept, "; "...)
			}
			kept = append(kept, pair...)
		}
		if len(kept) == 0 {
			h[i].Name = ""
			continue
		}
		h[i].Value = mem.String(kept)
	}
}
