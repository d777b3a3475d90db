package table

import (
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the load balancers that begin the connections they pass on with a
// PROXY header, on every TCP port of a listener, before TLS.
type Proxies struct {
	Trusted  []netip.Prefix `json:"trusted"`            // where they connect from; of others no header is read
	Optional bool           `json:"optional,omitempty"` // connections without a header, and from elsewhere, are served too
}

// String returns "192.0.2.0/24,198.51.100.7/32", and " optional" behind that.
func (p *Proxies) String() string {
	var list []string
	for _, t := range p.Trusted {
		list = append(list, t.String())
	}
	text := strings.Join(list, ",")
	if p.Optional {
		text += " optional"
	}
	return text
}

// Equal reports whether p and o are the same; nil is nobody.
func (p *Proxies) Equal(o *Proxies) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.Optional == o.Optional && slices.Equal(p.Trusted, o.Trusted)
}

// Contains reports whether a is the address of one of them.
func (p *Proxies) Contains(a netip.Addr) bool {
	a = a.WithZone("") // no network contains an address with one
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}
