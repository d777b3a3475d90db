package forward_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// serveH2C is a backend that speaks HTTP/2 with prior knowledge, and nothing else.
func serveH2C(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), ReadHeaderTimeout: 20 * time.Second}
	s.Protocols.SetUnencryptedHTTP2(true)
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); running.Wait() })
	return l.Addr().String()
}

// TestHTTP2 forwards requests of HTTP/1.1 to a backend that speaks HTTP/2.
func TestHTTP2(t *testing.T) {
	addr := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Proto", r.Proto)
		switch r.URL.Path {
		case "/304":
			w.WriteHeader(304)
			return
		case "/abort":
			w.Header().Set("Content-Length", "100")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/reset":
			panic(http.ErrAbortHandler)
		}
		if r.Trailer != nil {
			http.NewResponseController(w).Flush() // else it declares a length, with which HTTP/1.1 has no trailer
		}
		io.WriteString(w, r.Method+" "+r.Host+r.RequestURI+" "+string(b))
		w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
	})
	s := start(t, options{grpc: true}, addr)
	c := s.dial()
	for range 2 {
		c.send(get)
		if a := c.want(200, "GET h/ "); a.Header.Get("X-Proto") != "HTTP/2.0" {
			t.Errorf("header %v", a.Header)
		}
		c.send("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		c.want(200, "POST h/a?b hello")
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
		if a := c.want(200, "POST h/ hello"); a.Trailer.Get("X-Sum") != "42" {
			t.Errorf("trailer %v", a.Trailer)
		}
		long := strings.Repeat("0123456789", 50<<10)
		c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 512000\r\n\r\n" + long)
		c.want(200, "PUT h/ "+long)
		c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
		if a, err := c.read("HEAD"); err != nil || a.StatusCode != 200 || a.body != "" {
			t.Errorf("HEAD: %v, %v", a, err)
		}
		c.send("GET /304 HTTP/1.1\r\nHost: h\r\n\r\n")
		c.want(304, "")
		c.send("GET /reset HTTP/1.1\r\nHost: h\r\n\r\n")
		c.code(502, "backend_bad_response")
	}
	c.send("GET /abort HTTP/1.1\r\nHost: h\r\n\r\n")
	if a, err := c.read("GET"); err == nil {
		t.Errorf("half an answer passed for a whole one: %q", a.body)
	}
}

// TestHTTP2NoContent has requests without content: backends answer 411 to a POST
// whose length is not told.
func TestHTTP2NoContent(t *testing.T) {
	addr := serveH2C(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Content-Length")) })
	c := start(t, options{grpc: true}, addr).dial()
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		c.send(method + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		c.want(200, "0")
	}
	c.send(get)
	c.want(200, "")
}

func TestHTTP2Timeout(t *testing.T) {
	addr := serveH2C(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	o := options{grpc: true}
	o.timeouts.Request = 50 * time.Millisecond
	c := start(t, o, addr).dial()
	c.send(get)
	c.code(504, "request_timeout")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	c.code(504, "request_timeout")
}

// TestHTTP2Elsewhere has one of two endpoints that cannot be reached, and then none that can.
func TestHTTP2Elsewhere(t *testing.T) {
	addr := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") })
	gone := refused(t)
	s := start(t, options{grpc: true}, addr, gone)
	c := s.dial()
	for range 10 {
		c.send(get)
		c.want(200, "here")
	}
	c = start(t, options{grpc: true}, gone).dial()
	c.send(get)
	c.code(502, "backend_connect_failed")
	// One that speaks only HTTP/1.1 is no backend either.
	c = start(t, options{grpc: true}, echo(t)).dial()
	c.send(get)
	c.want(502, "*")
}

// TestHTTP2Lost has a backend close an idle connection without a word, as many do,
// just when another request comes: it is asked once more where that is harmless.
func TestHTTP2Lost(t *testing.T) {
	type key struct{}
	var heads atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &http.Server{
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: 20 * time.Second,
		ConnContext:       func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, key{}, nc) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if heads.Add(1)%2 == 0 {
				r.Context().Value(key{}).(net.Conn).Close()
				return
			}
			io.WriteString(w, "here")
		}),
	}
	b.Protocols.SetUnencryptedHTTP2(true)
	var running sync.WaitGroup
	running.Go(func() { b.Serve(l) })
	t.Cleanup(func() { b.Close(); running.Wait() })
	c := start(t, options{grpc: true}, l.Addr().String()).dial()
	for range 3 {
		c.send(get)
		c.want(200, "here")
	}
	if n := heads.Load(); n != 5 {
		t.Errorf("the backend was asked %d times, want 5: two of the connections were lost", n)
	}
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	c.code(502, "backend_bad_response")
	c.send(get)
	c.want(200, "here")
	if n := heads.Load(); n != 7 {
		t.Errorf("the backend was asked %d times, want 7: what may have changed something is not asked again", n)
	}
}

// TestHTTP2ClientGone has a client of HTTP/1.1 leave while a backend of HTTP/2 says
// nothing, before its answer and in it: the backend is told.
func TestHTTP2ClientGone(t *testing.T) {
	for name, begun := range map[string]bool{"before the answer": false, "in the answer": true} {
		ended := make(chan struct{})
		addr := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
			if begun {
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			close(ended)
		})
		o := options{grpc: true}
		o.upstream.Look = 50 * time.Millisecond
		c := start(t, o, addr).dial()
		c.send(get)
		time.Sleep(100 * time.Millisecond)
		c.Close()
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
			t.Errorf("%s: the backend was not told", name)
		}
	}
}

// TestHTTP2Cancelled has a backend that gives two requests up: a rule's retry asks again for
// what may be sent twice, and for nothing else.
func TestHTTP2Cancelled(t *testing.T) {
	var asked atomic.Int32
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(r, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		s := http2.NewFramer(c, r)
		s.WriteSettings()
		for {
			fr, err := s.ReadFrame()
			if err != nil {
				return
			}
			h, is := fr.(*http2.HeadersFrame)
			switch {
			case !is:
			case asked.Add(1)%3 != 0:
				s.WriteRSTStream(h.StreamID, http2.ErrCodeCancel)
			default:
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			}
		}
	})
	c := start(t, options{grpc: true, retry: &table.Retry{Attempts: 2, Backoff: time.Millisecond}}, backend).dial()
	c.send(get)
	c.want(200, "")
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nho")
	c.code(502, "backend_cancelled")
	if n := asked.Load(); n != 4 {
		t.Errorf("asked %d times, want 4", n)
	}
}
