package exchange

import "github.com/gatehouse-dev/gatehouse/proxy/mem"

// To makes x a request to authority, host[:port] as it was sent. Host is that without
// its port and the dot it may end with, in lower case.
func (x *Exchange) To(authority string) {
	h := authority
	i := len(h) - 1
	for i >= 0 && h[i]-'0' <= 9 {
		i--
	}
	if i >= 0 && h[i] == ':' {
		h = h[:i]
	}
	if n := len(h); n > 0 && h[n-1] == '.' {
		h = h[:n-1]
	}
	if mem.HasUpper(h) {
		b := x.Arena.Alloc(len(h))
		for i := range b {
			b[i] = mem.Lower[h[i]]
		}
		h = mem.String(b)
	}
	x.Request.Authority, x.Request.Host = authority, h
}
