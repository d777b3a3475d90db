package upstream

import (
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// addr returns the i-th test address.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 80)
}

// endpoints makes addresses 1 to n; those listed are draining.
func endpoints(n int, draining ...int) []table.Endpoint {
	out := make([]table.Endpoint, n)
	for i := range out {
		out[i].Address = addr(i + 1)
	}
	for _, d := range draining {
		out[d-1].Draining = true
	}
	return out
}

// TestPick counts which endpoints are picked.
func TestPick(t *testing.T) {
	now := time.Now()
	pick := func(eps []table.Endpoint, set func(e map[int]*Endpoint), avoid int) map[int]int {
		s := New(Config{})
		b := s.Backend("b", "")
		s.SetEndpoints("b", eps)
		byNumber := map[int]*Endpoint{}
		m := b.members.Load()
		for _, e := range append(append([]*Endpoint{}, m.live...), m.draining...) {
			byNumber[int(e.addr.Addr().As4()[3])] = e
		}
		if set != nil {
			set(byNumber)
		}
		got := map[int]int{}
		for range 1000 {
			if e := b.Pick(byNumber[avoid], now); e != nil {
				got[int(e.addr.Addr().As4()[3])]++
			}
		}
		return got
	}
	down := func(n ...int) func(map[int]*Endpoint) {
		return func(e map[int]*Endpoint) {
			for _, i := range n {
				e[i].down.Store(now.Add(time.Second).UnixNano())
			}
		}
	}
	check := func(what string, got map[int]int, want ...int) {
		t.Helper()
		total := 0
		for _, w := range want {
			if got[w] < 500/len(want) {
				t.Errorf("%s: endpoint %d was picked %d times", what, w, got[w])
			}
			total += got[w]
		}
		if total != 1000 && len(want) > 0 || len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: got %v, want only %v", what, got, want)
		}
	}
	check("none", pick(nil, nil, 0))
	check("one", pick(endpoints(1), nil, 0), 1)
	check("one, avoided", pick(endpoints(1), nil, 1), 1)
	check("one, down", pick(endpoints(1), down(1), 0), 1)
	check("two", pick(endpoints(2), nil, 0), 1, 2)
	check("two, one avoided", pick(endpoints(2), nil, 1), 2)
	check("two, one down", pick(endpoints(2), down(1), 0), 2)
	check("two, all down, one avoided", pick(endpoints(2), down(1, 2), 1), 2)
	check("five", pick(endpoints(5), nil, 0), 1, 2, 3, 4, 5)
	check("five, four down", pick(endpoints(5), down(1, 2, 3, 4), 0), 5)
	check("draining left out", pick(endpoints(3, 1), nil, 0), 2, 3)
	check("only draining", pick(endpoints(2, 1, 2), nil, 0), 1, 2)
	check("busy left out", pick(endpoints(2), func(e map[int]*Endpoint) { e[1].busy.Store(5) }, 0), 2)
}

// TestSetEndpoints checks that endpoints which stay keep their state.
func TestSetEndpoints(t *testing.T) {
	s := New(Config{})
	s.SetEndpoints("b", endpoints(2))
	b := s.Backend("b", table.BackendHTTP1)
	before := b.members.Load()
	s.SetEndpoints("b", append(endpoints(3, 2), endpoints(1)...))
	after := b.members.Load()
	if len(after.live) != 2 || len(after.draining) != 1 || after.live[0] != before.live[0] || after.draining[0] != before.live[1] {
		t.Fatalf("got %v and %v", after.live, after.draining)
	}
	if s.Backend("b", "") != b {
		t.Error("the backend changed")
	}
	s.Retain([]string{"other"})
	if again := s.Backend("b", ""); again == b || again.Pick(nil, time.Now()) != nil {
		t.Error("the backend was kept")
	}
	if e := b.Pick(nil, time.Now()); e == nil || e.pool.put(&Conn{}) {
		t.Error("a request under way finds no endpoint, or its connection is kept")
	}
}

// accept is a listener that accepts and keeps what comes, until it is closed.
func accept(t *testing.T) netip.AddrPort {
	t.Helper()
	return listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }).(*net.TCPAddr).AddrPort()
}

// listen is a listener whose connections are served by serve, and then closed. The
// test's end waits for them.
func listen(t *testing.T, serve func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serve(c); c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr()
}

func connect(t *testing.T, e *Endpoint) *Conn {
	t.Helper()
	c, err := e.dial(time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPool walks connections through a pool of two.
func TestPool(t *testing.T) {
	cfg := Config{MaxIdle: 2}
	cfg.defaults()
	e := newEndpoint(accept(t), &Backend{cfg: &cfg, dialer: New(cfg).dialer})
	now := time.Now()
	a, b, c := connect(t, e), connect(t, e), connect(t, e)
	if e.pool.get() != nil {
		t.Error("the empty pool gave a connection")
	}
	a.release(now.Add(-time.Hour).UnixNano())
	b.release(now.UnixNano())
	c.release(now.UnixNano()) // one too many
	if got := e.open.Load(); got != 2 {
		t.Errorf("%d connections are open, want 2", got)
	}
	e.pool.reap(now.Add(-time.Minute).UnixNano(), now.Add(time.Minute).UnixNano())
	if got := e.open.Load(); got != 1 {
		t.Errorf("%d connections are open after the old one has gone, want 1", got)
	}
	if got := e.pool.get(); got != b || !got.reused {
		t.Errorf("got %v, want b", got)
	}
	b.release(now.UnixNano())
	e.pool.close()
	d := connect(t, e)
	d.release(now.UnixNano())
	if got := e.open.Load(); got != 0 {
		t.Errorf("%d connections are open after the end, want 0", got)
	}
}

// TestPoolRace has many goroutines take and give back while endpoints vanish:
// no connection is handed out twice, none is lost.
func TestPoolRace(t *testing.T) {
	cfg := Config{MaxIdle: 8}
	cfg.defaults()
	e := newEndpoint(accept(t), &Backend{cfg: &cfg, dialer: New(cfg).dialer})
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for range 500 {
				c := e.pool.get()
				if c == nil {
					var err error
					if c, err = mustDial(e); err != nil {
						t.Error(err)
						return
					}
				}
				if n := e.busy.Add(1); n > 16 {
					t.Errorf("%d are busy", n)
				}
				c.until++ // the race detector sees two owners
				e.busy.Add(-1)
				c.release(time.Now().UnixNano())
			}
		})
	}
	running.Go(func() {
		for range 50 {
			e.pool.reap(time.Now().UnixNano(), math.MaxInt64)
			time.Sleep(100 * time.Microsecond)
		}
		e.pool.close()
	})
	running.Wait()
	if got := e.open.Load(); got != 0 {
		t.Errorf("%d connections are open after the end, want 0", got)
	}
}

func mustDial(e *Endpoint) (*Conn, error) {
	c, err := e.dial(time.Now(), time.Time{})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// TestBackOff checks how long an endpoint that cannot be reached is left alone.
func TestBackOff(t *testing.T) {
	cfg := Config{}
	cfg.defaults()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := newEndpoint(l.Addr().(*net.TCPAddr).AddrPort(), &Backend{cfg: &cfg, dialer: New(cfg).dialer})
	l.Close()
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		began := time.Now()
		if _, err := e.dial(began, time.Time{}); err == nil || err.Code != "backend_connect_failed" {
			t.Fatalf("got %v", err)
		}
		if want *= time.Second; e.up(began.Add(want).UnixNano()-1) || !e.up(time.Now().Add(want).UnixNano()) {
			t.Errorf("down until %v, want %v", time.Unix(0, e.down.Load()).Sub(began), want)
		}
		until := e.down.Load()
		if e.dial(began, time.Time{}); e.down.Load() != until {
			t.Errorf("another failure meanwhile: down until %v, want %v", e.down.Load(), until)
		}
		e.down.Store(time.Now().UnixNano()) // it is over
	}
	if n := e.open.Load(); n != 0 {
		t.Errorf("%d connections are counted, want 0", n)
	}
}

// A clock that is set back by an hour neither keeps an endpoint away for as long, nor
// makes connections of before look fresh.
func TestClockSetBack(t *testing.T) {
	cfg := Config{MaxIdle: 2}
	cfg.defaults()
	e := newEndpoint(accept(t), &Backend{cfg: &cfg, dialer: New(cfg).dialer})
	now := time.Now()
	ahead := now.Add(time.Hour)
	e.down.Store(ahead.Add(downFirst).UnixNano())
	if !e.up(now.UnixNano()) {
		t.Error("the endpoint is away")
	}
	_ = e.unreached()
	if e.up(time.Now().UnixNano()) || !e.up(now.Add(downLast+time.Minute).UnixNano()) {
		t.Errorf("one that cannot be reached is left alone until %v", time.Unix(0, e.down.Load()))
	}
	a, b := connect(t, e), connect(t, e)
	a.release(ahead.UnixNano())
	b.release(now.UnixNano())
	if a.fresh(now.UnixNano()) || !b.fresh(now.UnixNano()) || !b.fresh(now.UnixNano()-1) || b.fresh(now.Add(time.Second).UnixNano()) {
		t.Error("what is fresh and what is not")
	}
	e.pool.reap(now.Add(-time.Minute).UnixNano(), now.Add(time.Minute).UnixNano())
	if n := e.open.Load(); n != 1 || e.pool.get() != b {
		t.Errorf("%d connections are open, want b alone", n)
	}
	b.close() // else the collector does, after two minutes, for which the backend waits
}

// An endpoint that takes long to fail is left alone from then on.
func TestBackOffSlow(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	server := listen(t, func(net.Conn) { <-release })
	s := New(Config{ConnectTimeout: downFirst + 100*time.Millisecond})
	defer s.Close()
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(server.String())}})
	s.Secure("b", &table.BackendTLS{ServerName: "a.example"})
	e := s.Backend("b", "").Pick(nil, time.Now())
	if _, err := e.dial(time.Now(), time.Time{}); err != errInsecure {
		t.Fatalf("got %v", err)
	}
	if e.up(time.Now().UnixNano()) {
		t.Error("the endpoint is asked again at once")
	}
}

// TestBackOffTLS has an endpoint take connections, but not TLS over them: that too is one
// failure in a row after the other.
func TestBackOffTLS(t *testing.T) {
	server := listen(t, func(c net.Conn) { _ = c.Close() })
	s := New(Config{})
	defer s.Close()
	b := s.Backend("b", "")
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(server.String())}})
	s.Secure("b", &table.BackendTLS{ServerName: "a.example"})
	e := b.Pick(nil, time.Now())
	for i, want := range []time.Duration{1, 2, 4, 8} {
		began := time.Now()
		if i%2 == 0 {
			if _, err := e.dial(began, time.Time{}); err != errInsecure {
				t.Fatalf("got %v", err)
			}
		} else if _, err := e.join(began); err != errInsecure {
			t.Fatalf("got %v", err)
		}
		if want *= time.Second; e.up(began.Add(want).UnixNano()-1) || !e.up(time.Now().Add(want).UnixNano()) {
			t.Errorf("down until %v, want %v", time.Unix(0, e.down.Load()).Sub(began), want)
		}
		e.down.Store(time.Now().UnixNano()) // it is over
	}
	if n := e.open.Load(); n != 0 {
		t.Errorf("%d connections are counted, want 0", n)
	}
}

// A caller whose time was over before it came to connecting says nothing of the endpoint.
func TestBackOffTooLate(t *testing.T) {
	cfg := Config{}
	cfg.defaults()
	e := newEndpoint(listen(t, func(net.Conn) {}).(*net.TCPAddr).AddrPort(), &Backend{cfg: &cfg, dialer: New(cfg).dialer})
	now := time.Now()
	if _, err := e.dial(now, now.Add(-time.Millisecond)); err != errUnreachable {
		t.Errorf("got %v", err)
	}
	if n := e.open.Load(); n != 0 || !e.up(now.UnixNano()) {
		t.Errorf("%d connections are counted, and it is left alone until %v", n, time.Unix(0, e.down.Load()))
	}
}
