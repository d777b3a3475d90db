package http3

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Clients whose requests' heads do not come hold no more of them than there may be: while there
// are many, a connection whose own do not come ends when it begins another, and the
// others are served.
func TestUnreadHeads(t *testing.T) {
	const most = 8
	heads := admission.NewRoom(most)
	var floods atomic.Int32
	_, addr := serve(t, echo, func(c *Config) {
		c.Heads, c.Timeouts.Head, c.Timeouts.Read = heads, time.Minute, time.Minute
		c.Flooded = func(kind string) {
			if kind == "header" {
				floods.Add(1)
			}
		}
	})
	request := headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	c := dial(t, addr)
	for range 10 * most {
		str, err := c.OpenStream()
		if err != nil {
			break // it has ended already
		}
		_, _ = str.Write(request[:1])
	}
	for heads.Figures().In < most*3/4 && c.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if got := ask(t, addr, request); got != "200|GET a /  " {
		t.Errorf("got %q meanwhile", got)
	}
	select {
	case <-c.Context().Done():
	case <-time.After(20 * time.Second):
	}
	var closed *quic.ApplicationError
	if err := context.Cause(c.Context()); !errors.As(err, &closed) || closed.ErrorCode != codeLoad || floods.Load() != 1 {
		t.Errorf("%v, told %d times; want it closed by %x, once", err, floods.Load(), codeLoad)
	}
	for heads.Figures().In > 0 {
		time.Sleep(time.Millisecond)
	}
}

// A head that takes its time keeps its connection's other requests waiting while there are
// many, and no longer.
func TestLateHead(t *testing.T) {
	heads := admission.NewRoom(1) // one is too many
	_, addr := serve(t, func(x *exchange.Exchange) { echo(x) }, func(c *Config) {
		c.Heads, c.Timeouts.Head, c.Timeouts.Read = heads, time.Minute, time.Minute
	})
	request := headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	c := dial(t, addr)
	var both [2]*quic.Stream
	for i := range both {
		str, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(request[:1+i*(len(request)-1)]) // the second whole
		both[i] = str
	}
	_ = both[1].Close()
	_, _ = both[0].Write(request[1:])
	_ = both[0].Close()
	for _, str := range both {
		if got := answer(t, c, str); got != "200|GET a /  " {
			t.Errorf("got %q", got)
		}
	}
}
