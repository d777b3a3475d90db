package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// greeting is an HTTP3 that opens a stream on each connection, and nothing more.
type greeting struct{}

func (greeting) Serve(c *quic.Conn, _ *exchange.Conn) {
	if s, err := c.OpenUniStream(); err == nil {
		_, _ = s.Write([]byte("hello"))
	}
	<-c.Context().Done()
}
func (greeting) Finish() {}
func (greeting) Drain()  {}

// A client of a process that was killed is told by the one that comes after it, if
// that has its key; else it knows nothing until it gives up.
func TestResetAfterKill(t *testing.T) {
	l := &table.Listener{ID: "a", Port: 443, HTTP3: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a.example.com")}}
	for what, c := range map[string]struct {
		before, after byte
		told          bool
	}{
		"the same key": {1, 1, true},
		"another key":  {1, 2, false},
	} {
		t.Run(what, func(t *testing.T) {
			at := "127.0.0.1:0"
			start := func(key byte) *fixture {
				f := newFixture(t, 10)
				f.set.cfg.Bind = func(string, uint16) string { return at }
				f.set.cfg.HTTP3 = func() (HTTP3, *quic.Config) { return greeting{}, &quic.Config{} }
				f.set.SetResetKey([KeyLen]byte{key})
				for id, err := range f.update(l) {
					t.Fatal(id, err)
				}
				return f
			}
			killed := start(c.before)
			at = killed.set.Addr(l).String()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			client, err := quic.DialAddr(ctx, at, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, NextProtos: []string{alpn}},
				&quic.Config{MaxIdleTimeout: 3 * time.Second, KeepAlivePeriod: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.CloseWithError(0, "") }()
			if _, err := client.AcceptUniStream(ctx); err != nil { // a handshake that is not confirmed is begun again
				t.Fatal(err)
			}
			for _, k := range killed.set.quics {
				_ = k.conn.Close() // first, so that nothing can be said any more
			}
			soon, end := context.WithCancel(ctx)
			end()
			killed.set.Drain(soon)
			start(c.after)
			<-client.Context().Done()
			var reset *quic.StatelessResetError
			if err := context.Cause(client.Context()); errors.As(err, &reset) != c.told {
				t.Errorf("the client was told %v", err)
			}
		})
	}
}
