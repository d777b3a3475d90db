package http3

import (
	"bytes"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// A request that waits for its answer for longer than a connection may be without requests
// keeps it, though nothing comes and goes meanwhile.
func TestIdleWhileAnswering(t *testing.T) {
	_, addr := serve(t, func(x *exchange.Exchange) {
		time.Sleep(2*linger + 500*time.Millisecond)
		echo(x)
	}, func(c *Config) { c.Timeouts.Idle = 100 * time.Millisecond })
	if got := ask(t, addr, headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")); got != "200|GET a /  " {
		t.Errorf("got %q", got)
	}
}

// Who says that a long head comes, and sends none of it, has no room made for it.
func TestSaidLength(t *testing.T) {
	for _, n := range []int{10, mem.Small, mem.Small + 1, mem.Large, mem.Large + 1, 60_000} {
		sent := make([]byte, n+7)
		for i := range sent {
			sent[i] = byte(i * 7)
		}
		in := input{str: bytes.NewReader(sent[:min(n, 100)]), buf: mem.GetSmall()}
		if _, err := in.whole(n + 1000); err == nil || len(in.buf) > mem.Small {
			t.Errorf("%d bytes of %d: room for %d, %v", min(n, 100), n, len(in.buf), err)
		}
		in = input{str: iotest.OneByteReader(bytes.NewReader(sent)), buf: mem.GetSmall()}
		if first, err := in.whole(3); err != nil || !bytes.Equal(first, sent[:3]) {
			t.Errorf("%x, %v", first, err)
		}
		if got, err := in.whole(n); err != nil || !bytes.Equal(got, sent[3:3+n]) {
			t.Errorf("%d bytes: %d came, %v", n, len(got), err)
		}
		if rest, err := in.whole(4); err != nil || !bytes.Equal(rest, sent[3+n:]) {
			t.Errorf("behind %d bytes: %x, %v", n, rest, err)
		}
	}
}
