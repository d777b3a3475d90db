package extauth

import (
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// introduced are the fields that say who asked. A service is told by them what
// backends are (proxy/forward): what a client says of itself is not for it to decide by.
var introduced = []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}

// introduces reports whether a field, whose name is lower case, is one of these, or one
// that a service could take for it.
func introduces(name string) bool {
	return len(name) > len("x-forwarded") && slices.Contains(introduced, strings.ReplaceAll(name, "_", "-"))
}

// introduction is the value of the field of introduced of this number.
func (o *Owner) introduction(x *exchange.Exchange, i int) string {
	peer := x.Conn.Peer.Addr().Unmap()
	if i == 0 {
		return strings.Join(append(lines(x.Request.Header, introduced[0]), peer.String()), ", ")
	}
	if v, ok := x.Request.Header.Get(introduced[i]); ok && o.cfg.Trusted(peer) {
		return v
	}
	return [...]string{1: x.Request.Scheme, 2: x.Request.Authority}[i]
}
