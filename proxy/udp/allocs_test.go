//go:build !race

package udp

import (
	"testing"
	"time"
)

// Under the race detector sync.Pool forgets at random, so this counts without it.
func TestAllocs(t *testing.T) {
	w := start(t, Config{})
	b := make([]byte, maxDatagram)
	back := listen(t)
	w.backend("a", addrOf(back))
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = back.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		b := make([]byte, maxDatagram)
		for {
			n, from, err := back.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = back.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	c := w.dial(t)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	once := func() {
		if _, err := c.Write(b[:100]); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(1000, once); n >= 1 {
		t.Errorf("%v allocations a datagram, want none", n)
	}
}
