package match

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// header returns the value of a request's header field, name being lower case,
// and whether it is there. Several lines of it are one value, joined by commas
// (RFC 9110, section 5.3): a caller cannot choose which of them counts. Host is
// the request's authority.
func header(x *exchange.Exchange, name string) (string, bool) {
	if name == "host" {
		return x.Request.Authority, x.Request.Authority != ""
	}
	h := x.Request.Header
	if h.Count(name) < 2 {
		return h.Get(name)
	}
	n := -1
	for i := range h {
		if mem.EqualFold(h[i].Name, name) {
			n += len(h[i].Value) + 1
		}
	}
	b := x.Arena.Alloc(n)[:0]
	for i := range h {
		if !mem.EqualFold(h[i].Name, name) {
			continue
		}
		if b = append(b, h[i].Value...); len(b) < n {
			b = append(b, ',')
		}
	}
	return mem.String(b), true
}
