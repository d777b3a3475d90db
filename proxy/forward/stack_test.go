package forward_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// stack is a client side, a forwarder and the pools, on loopback.
type stack struct {
	t      testing.TB
	addr   string
	server *http1.Server
	set    *upstream.Set
	traces chan exchange.Trace
}

type options struct {
	http1    http1.Config
	upstream upstream.Config
	forward  forward.Config
	timeouts table.Timeouts
	retry    *table.Retry
	tls      *tls.Config
	traced   bool
	grpc     bool
	body     func(exchange.Body) exchange.Body // put around requests' content
}

type handler struct {
	f      *forward.Forwarder
	d      router.Destination
	traces chan exchange.Trace
	body   func(exchange.Body) exchange.Body
}

func (h *handler) Handle(x *exchange.Exchange) {
	if h.body != nil && x.Request.Body != nil {
		x.Request.Body = h.body(x.Request.Body)
	}
	h.f.Send(x, &h.d, nil)
	if h.traces != nil {
		h.traces <- x.Trace
	}
}

// start serves with backends at the addresses given.
func start(t testing.TB, o options, backends ...string) *stack {
	t.Helper()
	set := upstream.New(o.upstream)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { set.Run(ctx) })
	var eps []table.Endpoint
	for _, b := range backends {
		eps = append(eps, table.Endpoint{Address: netip.MustParseAddrPort(b)})
	}
	set.SetEndpoints("b", eps)
	h := &handler{f: forward.New(o.forward), d: router.Destination{Upstream: set.Backend("b", table.BackendHTTP1), Timeouts: o.timeouts, Retry: o.retry, GRPC: o.grpc}, body: o.body}
	if o.traced {
		h.traces = make(chan exchange.Trace, 1000)
	}
	s := http1.New(o.http1, h)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := socket.Listen(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		for {
			accepted := &socket.Accepted{}
			if l.Accept(accepted) != nil {
				return
			}
			info := &exchange.Conn{Local: accepted.Local(), Peer: accepted.Peer(), TLS: o.tls != nil, Protocol: "HTTP/1.1"}
			var c net.Conn = accepted
			if o.tls != nil {
				tcp, err := accepted.TCP()
				if err != nil {
					t.Error(err)
					return
				}
				c = tls.Server(tcp, o.tls)
			}
			running.Go(func() { s.Serve(c, info) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.Close()
		cancel()
		running.Wait()
	})
	return &stack{t: t, addr: ln.Addr().String(), server: s, set: set, traces: h.traces}
}

// client is a raw connection to the stack.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *stack) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{s.t, c, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// answer is an answer in whole.
type answer struct {
	*http.Response
	body string
}

func (c *client) read(method string) (answer, error) {
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(r.Body)
	return answer{r, string(b)}, err
}

// want reads an answer and checks its status and content.
func (c *client) want(status int, body string) answer {
	c.t.Helper()
	a, err := c.read("GET")
	if err != nil {
		c.t.Fatalf("reading the answer: %v", err)
	}
	if a.StatusCode != status || a.body != body && body != "*" {
		c.t.Fatalf("got %d %q, want %d %q", a.StatusCode, cut(a.body), status, cut(body))
	}
	return a
}

// code reads an answer and checks its status and the problem's code.
func (c *client) code(status int, code string) answer {
	c.t.Helper()
	a := c.want(status, "*")
	if !strings.Contains(a.body, `"code":"`+code+`"`) {
		c.t.Fatalf("got %q, want code %s", a.body, code)
	}
	return a
}

// closed checks that the connection ends with nothing more.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("got %q, %v; want a clean end", cut(string(b)), err)
	}
}

func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

// raw is a backend which does with each connection what f says. n counts connections.
func raw(t testing.TB, f func(c *net.TCPConn, r *bufio.Reader, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	var n atomic.Int32
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				f(c.(*net.TCPConn), bufio.NewReader(c), int(n.Add(1)))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().String()
}

// script is a raw backend that reads a request and sends the answer, each time.
func script(t testing.TB, answer string) string {
	return raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, q.Body)
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// echo is a net/http backend that says what it was asked.
func echo(t testing.TB) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Host", q.Host)
		w.Header().Set("X-For", q.Header.Get("X-Forwarded-For"))
		w.Header().Set("X-Proto", q.Header.Get("X-Forwarded-Proto"))
		w.Header().Set("X-Trailer", q.Trailer.Get("X-Sum"))
		io.WriteString(w, q.Method+" "+q.RequestURI+" "+string(b))
	}))
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 20 * time.Second}
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); running.Wait() })
	return l.Addr().String()
}
