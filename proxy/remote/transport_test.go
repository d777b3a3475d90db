package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// backend returns a Client through a backend with a server's address.
func backend(t *testing.T, s *httptest.Server, http2 bool, more ...netip.AddrPort) *Client {
	t.Helper()
	set := upstream.New(upstream.Config{})
	t.Cleanup(set.Close)
	var eps []table.Endpoint
	for _, a := range more {
		eps = append(eps, table.Endpoint{Address: a})
	}
	if s != nil {
		eps = append(eps, table.Endpoint{Address: netip.MustParseAddrPort(s.Listener.Addr().String())})
	}
	set.SetEndpoints("b", eps)
	return NewClient(Config{Transport: Through(set.Backend("b", ""), http2), Timeout: 2 * time.Second})
}

func post(ctx context.Context, t *testing.T, path, content string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://auth.example"+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Asked", "yes")
	return r
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Seen", r.Host+" "+r.RequestURI+" "+r.Header.Get("X-Asked"))
	w.Header().Set(http.TrailerPrefix+"X-End", "here")
	w.WriteHeader(http.StatusTeapot)
	_, _ = w.Write(b)
}

func TestThrough(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(!http2)
		s.Config.Protocols.SetUnencryptedHTTP2(http2)
		var opened atomic.Int32
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		defer s.Close()
		refused := freePort(t)
		c := backend(t, s, http2, refused)
		for _, size := range []int{0, 10, 300 << 10} {
			content := strings.Repeat("x", size)
			for range 5 {
				a, err := c.Do(post(t.Context(), t, "/check%20it?a=b", content))
				if err != nil {
					t.Fatal(err)
				}
				if a.Status != 418 || a.Header.Get("X-Seen") != "auth.example /check%20it?a=b yes" || string(a.Content) != content || a.Trailer.Get("X-End") != "here" {
					t.Errorf("%d bytes: %d %v %v, %d back", size, a.Status, a.Header, a.Trailer, len(a.Content))
				}
			}
		}
		if n := opened.Load(); n > 2 {
			t.Errorf("%d connections for requests in a row", n)
		}
		c.Close()
	}
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestThroughFails(t *testing.T) {
	if _, err := backend(t, nil, false).Do(post(t.Context(), t, "/", "")); !errors.Is(err, upstream.ErrNoEndpoint) {
		t.Errorf("without endpoints: %v", err)
	}
	if _, err := backend(t, nil, false, freePort(t)).Do(post(t.Context(), t, "/", "")); err == nil {
		t.Error("an answer from nobody")
	}
	for _, http2 := range []bool{false, true} {
		hung := make(chan struct{})
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/half" {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			select {
			case <-hung:
			case <-r.Context().Done():
			}
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(!http2)
		s.Config.Protocols.SetUnencryptedHTTP2(http2)
		s.Start()
		c := backend(t, s, http2)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		if _, err := c.Do(post(ctx, t, "/", "content")); err == nil || time.Since(start) > 5*time.Second {
			t.Errorf("a caller that goes away: %v after %v", err, time.Since(start))
		}
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := c.Do(post(short, t, "/", "content")); err == nil || !timeout(err) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a service that hangs: %v", err)
		}
		cancel()
		if _, err := c.Do(post(t.Context(), t, "/half", "content")); err == nil {
			t.Errorf("half an answer is one; http2 %v", http2)
		}
		close(hung)
		s.Close()
	}
}

// conn is one end of a connection whose other end can be lost without a word.
type conn struct {
	net.Conn
	lost atomic.Bool
}

func (c *conn) Write(p []byte) (int, error) {
	if c.lost.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestLostConnection: one of HTTP/2 of which nothing is heard any more is left, and the
// next call has another.
func TestLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		http2 := new(http.Protocols)
		http2.SetUnencryptedHTTP2(true)
		l := &pipes{made: make(chan net.Conn, 8)}
		server := &http.Server{Handler: http.HandlerFunc(echo), Protocols: http2}
		go func() { _ = server.Serve(l) }()
		transport := NewTransport(1, nil)
		transport.Protocols = http2
		var last *conn
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			l.made <- theirs
			last = &conn{Conn: ours}
			return last, nil
		}
		c := NewClient(Config{Transport: transport, Timeout: time.Second})
		ask := func() error {
			_, err := c.Do(get(t.Context(), t, "http://auth.example/"))
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		last.lost.Store(true)
		if err := ask(); err == nil {
			t.Error("there is an answer from nowhere")
		}
		time.Sleep(silence + proof)
		if err := ask(); err != nil {
			t.Error(err)
		}
		c.Close()
		_ = server.Close()
		synctest.Wait()
	})
}

// pipes is a Listener.
type pipes struct {
	made chan net.Conn
	once sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.made; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.made) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
