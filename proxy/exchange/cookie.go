package exchange

import (
	"iter"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

const cookieField = "cookie"

// Cookies returns the values of a cookie, over all Cookie lines: HTTP/2 clients
// send one line a pair (RFC 9113, section 8.2.3).
func (h Header) Cookies(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h {
			if len(h[i].Name) != len(cookieField) || !mem.EqualFold(h[i].Name, cookieField) {
				continue
			}
			for rest := h[i].Value; rest != ""; {
				var pair string
				pair, rest, _ = strings.Cut(rest, ";")
				if v, ok := CookieValue(pair, name); ok && !yield(v) {
					return
				}
			}
		}
	}
}

// CookieValue reads a cookie-pair (RFC 6265, section 4.2.1), and says whether it
// is of that name.
func CookieValue(pair, name string) (string, bool) {
	pair = strings.Trim(pair, " \t")
	if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
		return "", false
	}
	return pair[len(name)+1:], true
}
