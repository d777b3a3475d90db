package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
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
func (greeting) Shed()   {}
func (greeting) Finish() {}
func (greeting) Drain()  {}

// A client of a process that was killed is told by the one that comes after it, if
// that has its key; else it knows nothing until it gives up.
func TestResetAfterKill(t *testing.T) {
	l := &table.Listener{ID: "a", Port: 443, HTTP3: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a.example.com")}}
	for what, c := range map[string]struct {
		before, after byte
		told          bool
		patience      time.Duration // of the client, who asks less and less often
	}{
		"the same key": {1, 1, true, time.Minute},
		"another key":  {1, 2, false, 3 * time.Second},
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
				&quic.Config{MaxIdleTimeout: c.patience, KeepAlivePeriod: 50 * time.Millisecond})
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

// A listener whose HTTP/3 alone changes, while its TCP stays as it is.
func TestHTTP3ChangesAlone(t *testing.T) {
	f := newFixture(t, 10)
	f.set.cfg.HTTP3 = func() (HTTP3, *quic.Config) { return greeting{}, &quic.Config{} }
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.set.cfg.Bind = func(_ string, port uint16) string {
		switch port {
		case 1:
			return taken.LocalAddr().String()
		case 2:
			return free.LocalAddr().String()
		}
		return "127.0.0.1:0"
	}
	certificates := []*table.Certificate{pair(t, "a", "a.example.com")}
	with := func(http3 uint16) *table.Listener {
		return &table.Listener{ID: "a", Port: 443, HTTP3: http3, Protocol: table.HTTPS, Certificates: certificates}
	}
	at := func() string {
		for _, k := range f.set.quics {
			return k.conn.LocalAddr().String()
		}
		return ""
	}
	tcp := func() string { return f.set.Addr(with(0)).String() }

	if failed := f.update(with(1)); failed["a"] == nil || at() != "" {
		t.Fatalf("a taken port of UDP: %v, HTTP/3 at %q", failed["a"], at())
	}
	before, address := tcp(), taken.LocalAddr().String()
	_ = taken.Close()
	if failed := f.update(with(1)); failed["a"] != nil || at() != address {
		t.Fatalf("when it is free: %v, HTTP/3 at %q, want %q", failed["a"], at(), address)
	}
	address = free.LocalAddr().String()
	if failed := f.update(with(2)); failed["a"] == nil || at() != "" {
		t.Fatalf("another port, which is taken: %v, HTTP/3 at %q", failed["a"], at())
	}
	_ = free.Close()
	if failed := f.update(with(2)); failed["a"] != nil || at() != address {
		t.Fatalf("when that is free: %v, HTTP/3 at %q, want %q", failed["a"], at(), address)
	}
	if f.update(with(0)); at() != "" {
		t.Fatalf("without HTTP/3: at %q", at())
	}
	for end := time.Now().Add(20 * time.Second); f.update(with(2))["a"] != nil; time.Sleep(10 * time.Millisecond) { // until the one before has drained
		if time.Now().After(end) {
			t.Fatal("with it again: not bound")
		}
	}
	if at() != address || tcp() != before {
		t.Errorf("HTTP/3 at %q, want %q; TCP at %q, want %q", at(), address, tcp(), before)
	}
}
