package forward

import (
	"net/netip"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// One exchange carries the requests of many connections, in turn: each is introduced
// as it is, whatever the one before was.
func TestIntroductions(t *testing.T) {
	x := &exchange.Exchange{}
	for range 2 {
		for _, peer := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.12:2", "[::ffff:192.0.2.12]:2", "[2001:db8::1]:2"} {
			for _, scheme := range []string{"http", "https"} {
				for _, authority := range []string{"a.example", "b.example:8080", "", "b\x00c"} {
					x.Reset()
					x.Conn = &exchange.Conn{Peer: netip.MustParseAddrPort(peer), TLS: scheme == "https"}
					x.Request.Scheme, x.Request.Authority = scheme, authority
					tr := carrier(x)
					tr.f = New(Config{})
					if tr.introduce() != "" {
						tr.introduction.add(&x.Request.Header)
					}
					lines := ""
					for _, f := range x.Request.Header {
						lines += f.Line
					}
					if lines != "" && lines != tr.introduction.text {
						t.Fatalf("%q, want %q", lines, tr.introduction.text)
					}
					from, _ := x.Request.Header.Get("x-forwarded-for")
					proto, _ := x.Request.Header.Get("x-forwarded-proto")
					host, ok := x.Request.Header.Get("x-forwarded-host")
					if len(x.Request.Header) != 3 || from != x.Conn.Peer.Addr().Unmap().String() || proto != scheme || host != authority || !ok {
						t.Fatalf("%s %s://%q: %+v", peer, scheme, authority, x.Request.Header)
					}
				}
			}
		}
	}
}
