//go:build !race

package proxy_test

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// steady makes one request on one connection, through the whole proxy, without
// allocating on its own side.
func steady(t testing.TB, change ...func(*proxy.Options)) (once func()) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	go func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for b := make([]byte, 4096); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}), append(change, func(o *proxy.Options) { o.Log = logr.Discard() })...)
	s.SetEndpoints("ns/svc:80", []table.Endpoint{{Address: netip.MustParseAddrPort(backend.Addr().String())}})
	c, ask, b := s.dial().Conn, []byte("GET /x?y=1 HTTP/1.1\r\nHost: a.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"), make([]byte, 4096)
	return func() {
		if _, err := c.Write(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
}

// Under the race detector sync.Pool forgets at random, so these count without it.
func TestRequestsDoNotAllocate(t *testing.T) {
	for name, log := range map[string]io.Writer{"plain": nil, "with access log": io.Discard} {
		once := steady(t, func(o *proxy.Options) { o.AccessLog.Writer = log })
		for range 1000 {
			once()
		}
		if n := testing.AllocsPerRun(2000, once); n >= 1 {
			t.Errorf("%s: %v allocations a request, want none", name, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	once := steady(b, func(o *proxy.Options) { o.AccessLog.Writer = nil })
	once()
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
