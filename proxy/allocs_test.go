//go:build !race

package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// steady makes one request on one connection, through the whole proxy, without
// allocating on its own side: answers over TLS it does not decrypt.
func steady(t testing.TB, secure bool, change ...func(*proxy.Options)) (once func()) {
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
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	if secure {
		tab.Listeners[0].Protocol, tab.Listeners[0].Certificates = table.HTTPS, []*table.Certificate{certificate(t, "a.example.com")}
	}
	s := start(t, tab, append(change, func(o *proxy.Options) { o.Log = logr.Discard() })...)
	s.SetEndpoints("ns/svc:80", []table.Endpoint{{Address: netip.MustParseAddrPort(backend.Addr().String())}})
	ask, b := []byte("GET /x?y=1 HTTP/1.1\r\nHost: a.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"), make([]byte, 4096)
	c := s.dial().Conn
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	to, from := io.Writer(c), io.Reader(c)
	if secure {
		over := tls.Client(c, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
		if _, err := over.Write(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := over.Read(b); err != nil { // what comes before the first answer
			t.Fatal(err)
		}
		to = over
	}
	return func() {
		if _, err := to.Write(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := from.Read(b); err != nil {
			t.Fatal(err)
		}
	}
}

// Under the race detector sync.Pool forgets at random, so these count without it.
func TestRequestsDoNotAllocate(t *testing.T) {
	for name, log := range map[string]io.Writer{"plain": nil, "with access log": io.Discard} {
		once := steady(t, false, func(o *proxy.Options) { o.AccessLog.Writer = log })
		for range 1000 {
			once()
		}
		if n := testing.AllocsPerRun(2000, once); n >= 1 {
			t.Errorf("%s: %v allocations a request, want none", name, n)
		}
	}
}

// TestRequestsOverTLSAllocateOnce: crypto/tls makes a reader for each record that
// it has to wait for, and has no other way.
func TestRequestsOverTLSAllocateOnce(t *testing.T) {
	once := steady(t, true, func(o *proxy.Options) { o.AccessLog.Writer = nil })
	for range 1000 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n >= 2 {
		t.Errorf("%v allocations a request, want one", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, secure := range map[string]bool{"clear": false, "tls": true} {
		b.Run(name, func(b *testing.B) {
			once := steady(b, secure, func(o *proxy.Options) { o.AccessLog.Writer = nil })
			once()
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
