package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// load asks url from four goroutines until stop is called, which returns how
// many requests were answered, and what went wrong with others.
func load(t *testing.T, client func() *http.Client, url string, check func(answer) error) (stop func() (int64, []error)) {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	var answered atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	for range 4 {
		c := client()
		running.Go(func() {
			for ctx.Err() == nil {
				r, err := http.NewRequest("POST", url, io.NopCloser(strings.NewReader("content"))) // neither idempotent nor replayable
				if err == nil {
					var a answer
					if a, err = do(c, r); err == nil {
						err = check(a)
					}
				}
				if err == nil {
					answered.Add(1)
					continue
				}
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	return func() (int64, []error) {
		cancel()
		running.Wait()
		return answered.Load(), errs
	}
}

func ok(a answer) error {
	if a.StatusCode != 200 {
		return fmt.Errorf("status %d: %s", a.StatusCode, a.body)
	}
	return nil
}

func TestSwapUnderLoad(t *testing.T) {
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}))
	s.backend(sayOK)
	for _, h2 := range []bool{false, true} {
		stop := load(t, func() *http.Client { return s.client("ns/gw/http", h2) }, "http://a/", ok)
		for i := range 100 {
			tab := one(map[string]*table.Action{"/": to("ns/svc:80"), fmt.Sprintf("/%d", i): to("ns/svc:80")})
			// Another listener comes and goes.
			if i%2 == 0 {
				tab.Listeners = append(tab.Listeners, &table.Listener{ID: "ns/gw/more", Port: 81, Protocol: table.HTTP})
			}
			s.swap(tab)
			time.Sleep(2 * time.Millisecond)
		}
		n, errs := stop()
		if len(errs) > 0 || n < 100 {
			t.Errorf("HTTP/2 %v: %d answered; %d failed, first: %v", h2, n, len(errs), errs)
		}
	}
}

func TestSwapTakesEffectAtOnce(t *testing.T) {
	s := start(t, nil)
	s.backend(sayOK)
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		s.swap(one(map[string]*table.Action{path: to("ns/svc:80")}))
		c := s.client("ns/gw/http", false)
		if a := get(t, c, "http://a"+path); a.StatusCode != 200 {
			t.Fatalf("a new route answers %d", a.StatusCode)
		}
		if a := get(t, c, fmt.Sprintf("http://a/%d", i-1)); a.StatusCode != 404 {
			t.Fatalf("a removed route answers %d", a.StatusCode)
		}
	}
	contains(t, s.metrics(), "gatehouse_table_generation 20")
	if strings.Contains(s.metrics(), `gateway="ns/old"`) {
		t.Error("series of a listener that left")
	}
}

func TestCertificateReload(t *testing.T) {
	certs := []*table.Certificate{certificate(t, "a.example.com"), certificate(t, "a.example.com")}
	with := func(c *table.Certificate) *table.Table {
		tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
		tab.Listeners[0].Protocol, tab.Listeners[0].Certificates = table.HTTPS, []*table.Certificate{c}
		return tab
	}
	s := start(t, with(certs[0]))
	s.backend(sayOK)
	contains(t, s.metrics(), fmt.Sprintf("gatehouse_certificate_not_after_timestamp_seconds{secret=%q} ", certs[0].ID))
	open := s.client("ns/gw/http", false)
	serial := func(c *http.Client) string {
		return get(t, c, "https://a.example.com/").TLS.PeerCertificates[0].SerialNumber.String()
	}
	before := serial(open)
	stop := load(t, func() *http.Client { return s.client("ns/gw/http", false) }, "https://a.example.com/", ok)
	for i := range 20 {
		s.swap(with(certs[(i+1)%2]))
		time.Sleep(5 * time.Millisecond)
		if n := serial(open); n != before {
			t.Fatal("the open connection was dropped")
		}
		if fresh := serial(s.client("ns/gw/http", false)); (fresh == before) != (i%2 == 1) {
			t.Fatalf("swap %d: a new connection has the wrong certificate", i)
		}
	}
	if n, errs := stop(); len(errs) > 0 || n < 20 {
		t.Errorf("%d answered, failed: %v", n, errs)
	}
}

// A rolling restart: clients connect, as a load balancer would have them, to
// the first proxy as long as it is ready, and then to the second.
func TestDrainUnderLoad(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", h2), func(t *testing.T) {
			var proxies [2]*stack
			var addrs [2]string
			for i := range proxies {
				s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}), func(o *proxy.Options) { o.Drain.Delay = 100 * time.Millisecond })
				s.backend(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(2 * time.Millisecond)
					sayOK(w, r)
				})
				proxies[i], addrs[i] = s, s.Addr("ns/gw/http").String()
			}
			first := proxies[0]
			balance := func(ctx context.Context) (net.Conn, error) {
				to := addrs[0]
				if first.Ready() != nil {
					to = addrs[1]
				}
				return new(net.Dialer).DialContext(ctx, "tcp", to)
			}
			stop := load(t, func() *http.Client { return newClient(t, balance, h2) }, "http://a/", ok)
			time.Sleep(50 * time.Millisecond)
			began := time.Now()
			if err := first.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took < 100*time.Millisecond || took > 4*time.Second {
				t.Errorf("the drain took %v", took)
			}
			if err := first.Ready(); err == nil || err.Error() != "draining" {
				t.Errorf("ready while draining: %v", err)
			}
			if n, errs := stop(); len(errs) > 0 || n < 20 {
				t.Errorf("%d answered; %d failed: %v", n, len(errs), errs)
			}
			contains(t, proxies[1].metrics(), `gatehouse_requests_total{code_class="2xx",gateway="ns/gw",listener="http"}`)
		})
	}
}

func TestDrainLetsSlowRequestsFinish(t *testing.T) {
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}))
	started, finish := make(chan struct{}), make(chan struct{})
	s.backend(func(w http.ResponseWriter, _ *http.Request) {
		started <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	results := make(chan error, 2)
	for _, h2 := range []bool{false, true} {
		c := s.client("ns/gw/http", h2)
		go func() {
			r, err := http.NewRequest("GET", "http://a/", nil)
			if err == nil {
				var a answer
				if a, err = do(c, r); err == nil && (a.body != "done" || !h2 && !a.Close) {
					err = fmt.Errorf("%q, Connection: close %v", a.body, a.Close)
				}
			}
			results <- err
		}()
		<-started
	}
	stopped := make(chan error)
	go func() { stopped <- s.stop() }()
	within(t, "draining", func() bool { return s.Ready() != nil })
	time.Sleep(20 * time.Millisecond)
	close(finish)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := s.Swap(&table.Table{}); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("a swap after the end: %v", err)
	}
}

func TestDrainEndsInTime(t *testing.T) {
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}), func(o *proxy.Options) { o.Drain.Timeout = 50 * time.Millisecond })
	c := s.dial()
	if _, err := io.WriteString(c.Conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"); err != nil { // and nothing more
		t.Fatal(err)
	}
	within(t, "the connection counts", func() bool { return strings.Contains(s.metrics(), "gatehouse_client_connections_open{") })
	began := time.Now()
	if err := s.stop(); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// TestDrainEndsWhileBackendsThink: the end of the drain waits for no backend, neither on
// a connection's first request nor on a later one, and clients see it.
func TestDrainEndsWhileBackendsThink(t *testing.T) {
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}), func(o *proxy.Options) { o.Drain.Timeout = 50 * time.Millisecond })
	asked, answer := make(chan struct{}), make(chan struct{})
	s.backend(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/think" {
			asked <- struct{}{}
			<-answer
		}
	})
	var all []net.Conn
	for _, before := range []int{0, 1} {
		c := s.dial()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		for range before {
			_, _ = io.WriteString(c.Conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if r, err := http.ReadResponse(c.Reader, nil); err != nil || r.StatusCode != 200 {
				t.Fatalf("%v, %v", r, err)
			}
		}
		_, _ = io.WriteString(c.Conn, "GET /think HTTP/1.1\r\nHost: a\r\n\r\n")
		<-asked
		all = append(all, c)
	}
	began := time.Now()
	if err := s.stop(); err != nil || time.Since(began) > 4*time.Second { // 5 s after its beginning a request looks after its client
		t.Errorf("%v after %v", err, time.Since(began))
	}
	for _, c := range all {
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
	}
	close(answer)
}

// TestDrainBreaksRelays: what is relayed when the time for draining is over is
// broken off, a tunnel as well as a connection that is relayed as it is.
func TestDrainBreaksRelays(t *testing.T) {
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	tab.Listeners = append(tab.Listeners, &table.Listener{ID: "ns/gw/tcp", Port: 90, Protocol: table.TCP, Streams: []*table.Stream{
		{Route: "TCPRoute ns/r", Backends: []table.WeightedBackend{{Backend: "ns/svc:80", Weight: 1}}},
	}})
	s := start(t, tab, func(o *proxy.Options) { o.Drain.Timeout = 50 * time.Millisecond })
	s.backend(func(w http.ResponseWriter, _ *http.Request) {
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
		_, _ = io.Copy(c, in)
	})
	var all []net.Conn
	for _, id := range []string{"ns/gw/http", "ns/gw/tcp"} {
		c, err := net.Dial("tcp", s.Addr(id).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
		in := bufio.NewReader(c)
		if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 101 {
			t.Fatalf("%s: %v, %v", id, r, err)
		}
		_, _ = io.WriteString(c, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(in, b); err != nil || string(b) != "hello" {
			t.Fatalf("%s: got %q, %v", id, b, err)
		}
		all = append(all, c)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
	}
}

func TestRunWithoutTable(t *testing.T) {
	s := start(t, nil)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestTakenAddressIsTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, func(o *proxy.Options) { o.Bind = func(string, uint16) string { return taken.Addr().String() } })
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	if err := s.Swap(tab); err != nil {
		t.Fatal(err)
	}
	if s.Applied().Listeners["ns/gw/http"] == nil || s.Addr("ns/gw/http") != nil {
		t.Errorf("applied %v", s.Applied())
	}
	contains(t, s.metrics(), "gatehouse_table_rejected_parts 1", `gatehouse_listener_bound{gateway="ns/gw",listener="http",transport="tcp"} 0`)
	if applied := s.Applied(); !applied.Unbound("ns/gw/http") {
		t.Error("not said to be unbound")
	}
	if a := s.adminGet("/readyz"); a.StatusCode != 503 || a.body != "listeners without their ports: ns/gw/http\n" {
		t.Errorf("ready without a port: %d %q", a.StatusCode, a.body)
	}
	contains(t, s.adminGet("/").body, "<p>listener ns/gw/http: cannot bind: ")
	_ = taken.Close()
	for end := time.Now().Add(20 * time.Second); s.Addr("ns/gw/http") == nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if s.Addr("ns/gw/http") == nil {
		t.Error("not bound")
	}
	contains(t, s.metrics(), "gatehouse_table_rejected_parts 0", `gatehouse_listener_bound{gateway="ns/gw",listener="http",transport="tcp"} 1`)
	if a := s.adminGet("/readyz"); a.StatusCode != 200 {
		t.Errorf("not ready with its port: %d %q", a.StatusCode, a.body)
	}
}

// A port that comes with a later table and cannot be bound takes none of the others out of service.
func TestTakenAddressOfALaterTable(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := start(t, one(map[string]*table.Action{"/": to("ns/svc:80")}), func(o *proxy.Options) {
		o.Bind = func(_ string, port uint16) string {
			if port == 81 {
				return taken.Addr().String()
			}
			return "127.0.0.1:0"
		}
	})
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	tab.Listeners = append(tab.Listeners, &table.Listener{ID: "ns/gw/more", Port: 81, Protocol: table.HTTP})
	if err := s.Swap(tab); err != nil {
		t.Fatal(err)
	}
	if a := s.adminGet("/readyz"); a.StatusCode != 200 || a.body != "ok\n" {
		t.Errorf("ready: %d %q", a.StatusCode, a.body)
	}
	if a := s.adminGet("/readyz?verbose"); a.StatusCode != 200 || !strings.HasPrefix(a.body, "ok\nlistener ns/gw/more: cannot bind: ") {
		t.Errorf("ready, in words: %d %q", a.StatusCode, a.body)
	}
	contains(t, s.metrics(), `gatehouse_listener_bound{gateway="ns/gw",listener="http",transport="tcp"} 1`, `gatehouse_listener_bound{gateway="ns/gw",listener="more",transport="tcp"} 0`)
	s.backend(sayOK)
	if a := get(t, s.client("ns/gw/http", false), "http://a/"); a.StatusCode != 200 {
		t.Errorf("the other port answers %d", a.StatusCode)
	}
}

func TestSessionTicketsOutliveCertificates(t *testing.T) {
	tab := func() *table.Table {
		tab := one(nil)
		tab.Listeners[0].Protocol, tab.Listeners[0].Certificates = table.HTTPS, []*table.Certificate{certificate(t, "a.example.com")}
		return tab
	}
	s := start(t, tab())
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "a.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	resumed := func() bool {
		c := tls.Client(s.dial().Conn, config)
		a := raw{c, nil}
		_, err := io.WriteString(a.Conn, "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
		if err == nil {
			_, err = io.ReadAll(c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().DidResume
	}
	if resumed() {
		t.Fatal("resumed nothing")
	}
	s.swap(tab())
	if !resumed() {
		t.Error("a new certificate made tickets useless")
	}
}
