//go:build !race

package forward_test

import (
	"net"
	"testing"

	"golang.org/x/net/http2"

	server "github.com/gatehouse-dev/gatehouse/proxy/http2"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Under the race detector sync.Pool forgets at random, so these count without it.
func TestForwardAllocs(t *testing.T) {
	once := loop(t)
	for range 1000 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n >= 1 {
		t.Errorf("%v allocations a request, want none", n)
	}
}

// TestRelayAllocs has messages go to a backend of frames and back.
func TestRelayAllocs(t *testing.T) {
	backend := serveFrames(t, func(f *framer) {
		f.SetReuseFrames()
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			if d, ok := fr.(*http2.DataFrame); ok {
				f.WriteWindowUpdate(0, d.Length)
				f.WriteWindowUpdate(1, d.Length)
				f.WriteData(1, false, d.Data())
			}
		}
	})
	b := startBoth(t, server.Config{}, upstream.Config{}, backend)
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := preface(t, conn)
	f.SetReuseFrames()
	f.open(1)
	f.WriteWindowUpdate(0, 1<<30)
	f.WriteWindowUpdate(1, 1<<30)
	message := make([]byte, 128)
	once := func() {
		f.WriteData(1, false, message)
		f.data(f.got + 128)
	}
	for range 1000 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n >= 1 {
		t.Errorf("%v allocations a message, want none", n)
	}
}
