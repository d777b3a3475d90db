package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const maxDatagram = 64 << 10

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return netip.MustParseAddrPort(c.LocalAddr().String()) }

// echo is a backend that answers with its name and what it was sent.
func echo(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	c := listen(t)
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	go func() {
		defer close(done)
		b := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(append([]byte(name+" "), b[:n]...), from)
		}
	}()
	return addrOf(c)
}

// world is a socket that is relayed by a route.
type world struct {
	set     *upstream.Set
	metrics *telemetry.Metrics
	route   atomic.Pointer[stream.Route]
	addr    netip.AddrPort
}

func start(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{set: upstream.New(upstream.Config{}), metrics: telemetry.New("test", telemetry.Sources{})}
	c := listen(t)
	w.addr = addrOf(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(cfg).Serve(c, w.route.Load)
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return w
}

// backend is where new sessions go from now on.
func (w *world) backend(id string, eps ...netip.AddrPort) *stream.Route {
	var list []table.Endpoint
	for _, a := range eps {
		list = append(list, table.Endpoint{Address: a})
	}
	w.set.SetEndpoints(id, list)
	r := stream.New(&table.Stream{Route: "UDPRoute shop/dns", Backends: []table.WeightedBackend{{Backend: id, Weight: 1}}}, w.set, w.metrics)
	w.route.Store(r)
	return r
}

func (w *world) dial(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(w.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a datagram and returns the answer that there is to be.
func ask(t *testing.T, c *net.UDPConn, text string) string {
	t.Helper()
	return await(t, c, text, 20*time.Second)
}

// try is ask where there may be no answer: "" when none comes soon.
func try(t *testing.T, c *net.UDPConn, text string) string {
	t.Helper()
	return await(t, c, text, 300*time.Millisecond)
}

func await(t *testing.T, c *net.UDPConn, text string, most time.Duration) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(most))
	b := make([]byte, maxDatagram)
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(what)
}

func TestSessions(t *testing.T) {
	w := start(t, Config{})
	r := w.backend("a", echo(t, "a"))
	one, two := w.dial(t), w.dial(t)
	for _, text := range []string{"x", "", "y"} {
		if got := ask(t, one, text); got != "a "+text {
			t.Errorf("%q is answered %q", text, got)
		}
	}
	if got := ask(t, two, "z"); got != "a z" {
		t.Errorf("got %q", got)
	}
	if n := r.Metrics.Connections.Load(); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestLargeDatagram(t *testing.T) {
	w := start(t, Config{})
	w.backend("a", echo(t, "a"))
	text := string(make([]byte, 60<<10))
	if got := ask(t, w.dial(t), text); len(got) != len(text)+2 {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestOrder: what comes in a bunch arrives in its order, both ways.
func TestOrder(t *testing.T) {
	const clients, each = 4, 25
	w := start(t, Config{})
	w.backend("a", echo(t, "a"))
	var all []*net.UDPConn
	for range clients {
		all = append(all, w.dial(t))
	}
	for n := range each {
		for i, c := range all {
			if _, err := fmt.Fprintf(c, "%d/%d", i, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := make([]byte, maxDatagram)
	for i, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for n := range each {
			got, err := c.Read(b)
			if want := fmt.Sprintf("a %d/%d", i, n); err != nil || string(b[:got]) != want {
				t.Fatalf("got %q, %v; want %q", b[:got], err, want)
			}
		}
	}
}

// TestSessionsEnd: by time, when the endpoint is taken out, and when the route
// has another backend.
func TestSessionsEnd(t *testing.T) {
	w := start(t, Config{Idle: 200 * time.Millisecond})
	a, b := echo(t, "a"), echo(t, "b")
	r := w.backend("x", a)
	c := w.dial(t)
	ask(t, c, "1")
	w.backend("x", b)
	if got := ask(t, c, "2"); got != "b 2" {
		t.Errorf("an endpoint that is gone: %q", got)
	}
	w.backend("y", a)
	if got := ask(t, c, "3"); got != "a 3" {
		t.Errorf("another backend: %q", got)
	}
	eventually(t, "idle sessions stay", func() bool { return r.Metrics.Open.Load() == 0 })
	if got := ask(t, c, "4"); got != "a 4" {
		t.Errorf("after the idle time: %q", got)
	}
}

// TestIdleIsLookedFor: whoever comes while another session is just ending, which its
// endpoint has broken off, is looked at later too.
func TestIdleIsLookedFor(t *testing.T) {
	c := listen(t)
	hub := hubOf(c)
	w := &world{set: upstream.New(upstream.Config{}), metrics: telemetry.New("test", telemetry.Sources{})}
	w.backend("a", echo(t, "a"))
	now := time.Now()
	p := &port{cfg: &Config{Idle: 80 * time.Millisecond, Sessions: 10}, conn: c, hub: hub, to: w.route.Load, began: now.Add(-time.Hour), sessions: map[socket.Peer]*session{}}
	ending := &session{port: p, client: socket.Peer{1}}
	ending.ended.Store(true)
	p.sessions[ending.client] = ending
	p.endIdle(now)
	s := p.session(socket.Peer{2}, now)
	if s == nil {
		t.Fatal("no session")
	}
	late := time.AfterFunc(10*time.Second, func() { _ = c.Close() })
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody looks for idle sessions: %v", err)
	}
	late.Stop()
	s.end()
	_ = errors.Join(c.Close(), hub.Close())
}

// TestFull: when the table is full, further clients wait, and the others go on.
func TestFull(t *testing.T) {
	w := start(t, Config{Sessions: 1})
	r := w.backend("a", echo(t, "a"))
	one, two := w.dial(t), w.dial(t)
	ask(t, one, "x")
	if got := try(t, two, "x"); got != "" || r.Metrics.Refused.Load() != 1 {
		t.Errorf("got %q, refused %d", got, r.Metrics.Refused.Load())
	}
	if got := ask(t, one, "y"); got != "a y" {
		t.Errorf("got %q", got)
	}
	w = start(t, Config{Sessions: 1, Idle: 200 * time.Millisecond})
	w.backend("a", echo(t, "a"))
	ask(t, w.dial(t), "x")
	two = w.dial(t)
	eventually(t, "no room again", func() bool { return try(t, two, "x") == "a x" })
}

// TestFullAndGone: who is in keeps the place when the endpoint is taken out.
func TestFullAndGone(t *testing.T) {
	w := start(t, Config{Sessions: 1})
	w.backend("x", echo(t, "a"))
	c := w.dial(t)
	ask(t, c, "1")
	r := w.backend("x", echo(t, "b"))
	if got := ask(t, c, "2"); got != "b 2" || r.Metrics.Refused.Load() != 0 {
		t.Errorf("got %q, refused %d", got, r.Metrics.Refused.Load())
	}
}

// TestNowhere: what no backend can take is dropped and counted.
func TestNowhere(t *testing.T) {
	w := start(t, Config{})
	r := w.backend("a")
	c := w.dial(t)
	if got := try(t, c, "x"); got != "" || r.Metrics.Refused.Load() != 1 {
		t.Errorf("got %q, refused %d", got, r.Metrics.Refused.Load())
	}
	w.route.Store(nil)
	if got := try(t, c, "x"); got != "" {
		t.Errorf("without a route: %q", got)
	}
}

// TestRefusingEndpoint: a session does not stay with an endpoint that refuses.
func TestRefusingEndpoint(t *testing.T) {
	w := start(t, Config{})
	gone := listen(t)
	nobody := addrOf(gone)
	_ = gone.Close()
	w.backend("a", nobody, echo(t, "a"))
	c := w.dial(t)
	eventually(t, "never reached the other endpoint", func() bool { return try(t, c, "x") == "a x" })
}
