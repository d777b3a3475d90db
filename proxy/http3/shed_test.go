package http3

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Where there is no memory, a connection ends that has no request, be it that its client
// does not take what it was answered, or that a head does not come; and no other.
func TestShed(t *testing.T) {
	begun, wait := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, func(x *exchange.Exchange) {
		if x.Request.Path == "/wait" {
			close(begun)
			<-wait
		}
		echo(x)
	}, func(c *Config) { c.Timeouts.Head, c.Timeouts.Read = time.Minute, time.Minute })
	open := func(c *quic.Conn, request []byte, whole bool) *quic.Stream {
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(request)
		if whole {
			_ = str.Close()
		}
		return str
	}
	get := headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	took, untaken, late, busy := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	if got := answer(t, took, open(took, get, true)); got != "200|GET a /  " {
		t.Fatal(got)
	}
	for range 10 {
		open(untaken, get, true) // nobody reads the answers
	}
	open(late, get[:1], false)
	waits := open(busy, headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/wait"), true)
	<-begun
	s.Shed() // all have had a request just now, or begun
	time.Sleep(2 * linger)
	for _, c := range []*quic.Conn{took, untaken, late, busy} {
		if err := context.Cause(c.Context()); err != nil {
			t.Errorf("ended at once: %v", err)
		}
	}
	s.Shed()
	for _, c := range []*quic.Conn{took, untaken, late} {
		select {
		case <-c.Context().Done():
		case <-time.After(5 * time.Second):
		}
		var closed *quic.ApplicationError
		if err := context.Cause(c.Context()); !errors.As(err, &closed) || closed.ErrorCode != codeNo {
			t.Errorf("%v, want it closed by %x", err, codeNo)
		}
	}
	close(wait)
	if got := answer(t, busy, waits); got != "200|GET a /wait  " {
		t.Errorf("the one with a request got %q", got)
	}
}
