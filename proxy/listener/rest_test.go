package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// resting answers one line at a time, and hands the connection back after each.
type resting struct {
	lines
	life time.Duration // until a quiet connection is closed
	mu   *sync.Mutex
	said *int          // how often a connection was handed back
	void *atomic.Int32 // calls for which nothing had come
}

func (p resting) HTTP1(c net.Conn, conn *exchange.Conn) time.Time {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		p.void.Add(1)
		_ = c.Close()
		return time.Time{}
	}
	_, _ = io.WriteString(c, conn.Protocol+" "+line)
	p.mu.Lock()
	*p.said++
	p.mu.Unlock()
	return time.Now().Add(p.life)
}

func newResting(t *testing.T, life time.Duration) *fixture {
	if !poll.Available {
		t.Skip("this system has no loops: HTTP/1.1 hands no connection back")
	}
	f := newFixture(t, 100)
	loops, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		f.set.Drain(ctx)
		if err := loops.Close(); err != nil {
			t.Error(err)
		}
	})
	f.set.cfg.Loops = loops
	f.set.cfg.Protocols = func() Protocols {
		return resting{lines{make(chan struct{})}, life, &sync.Mutex{}, new(int), &f.void}
	}
	return f
}

func (f *fixture) open() int64 {
	f.set.sockets[keyOf(web)].mu.Lock()
	defer f.set.sockets[keyOf(web)].mu.Unlock()
	return int64(len(f.set.sockets[keyOf(web)].clients))
}

// quiet waits until every connection rests.
func (f *fixture) quiet(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all := true
		for _, k := range f.set.sockets {
			k.mu.Lock()
			for c := range k.clients {
				all = all && c.resting
			}
			k.mu.Unlock()
		}
		if all {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a connection does not rest")
		}
	}
}

var web = &table.Listener{ID: "web", Port: 80, Protocol: table.HTTP}

func (f *fixture) none(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); f.open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", f.open())
		}
	}
}

// TestRest: a connection that was handed back is served again when something comes.
func TestRest(t *testing.T) {
	f := newResting(t, time.Hour)
	f.update(web)
	c := f.dial(t, web)
	for _, line := range []string{"a", "b", "c"} {
		if got := say(t, c, line); got != "HTTP/1.1 "+line {
			t.Errorf("%s: got %q", line, got)
		}
	}
	f.quiet(t)
	_ = c.Close()
	f.none(t) // a client that leaves is noticed
	if n := f.void.Load(); n > 0 {
		t.Error("it was served again for its end")
	}
}

// TestRestLastRequest: what was sent before the client's end is answered, and a
// client that only said goodbye gets one.
func TestRestLastRequest(t *testing.T) {
	f := newResting(t, time.Hour)
	secure := &table.Listener{ID: "secure", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "c", "a.example")}}
	f.update(web, secure)
	half := func(c net.Conn, last string) {
		t.Helper()
		if got := say(t, c, "a"); got != "HTTP/1.1 a" {
			t.Errorf("got %q", got)
		}
		f.quiet(t)
		_, _ = io.WriteString(c, last)
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		want := ""
		if last != "" {
			want = "HTTP/1.1 " + last
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("after the end: %q, %v; want %q", got, err, want)
		}
	}
	for _, last := range []string{"", "last\n"} {
		half(f.dial(t, web), last)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			below := f.dial(t, secure)
			c := tls.Client(below, &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, MaxVersion: version}) //nolint:gosec // a test's own certificate
			half(finishing{c, below.(*net.TCPConn)}, last)
			_ = c.Close()
		}
	}
	f.none(t)
}

// finishing says that nothing more is sent as browsers do, in TLS and in TCP.
type finishing struct {
	*tls.Conn
	tcp *net.TCPConn
}

func (f finishing) CloseWrite() error { return errors.Join(f.Conn.CloseWrite(), f.tcp.CloseWrite()) }

// TestRestEnds: a connection that rests is closed when its time is over, and when
// its socket drains.
func TestRestEnds(t *testing.T) {
	f := newResting(t, time.Millisecond)
	f.update(web)
	c := f.dial(t, web)
	if got := say(t, c, "a"); got != "HTTP/1.1 a" {
		t.Errorf("got %q", got)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	ended(t, c)
	f.none(t)

	f = newResting(t, time.Hour)
	f.update(web)
	var all []net.Conn
	for range 20 {
		c := f.dial(t, web)
		if got := say(t, c, "a"); got != "HTTP/1.1 a" {
			t.Errorf("got %q", got)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		all = append(all, c)
	}
	f.update() // the listener leaves the table
	for _, c := range all {
		ended(t, c)
	}
}

// ended waits for the end of a connection on which nothing more is to come.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("got %q, %v; want an end", b, err)
	}
}

// TestRestFirst: a connection of which nothing has come yet needs no goroutine. It is
// closed when its time is over, and when its socket drains.
func TestRestFirst(t *testing.T) {
	f := newResting(t, time.Hour)
	f.update(web)
	c := f.dial(t, web)
	k := f.set.sockets[keyOf(web)]
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		k.mu.Lock()
		resting := 0
		for c := range k.clients {
			if c.resting {
				resting++
			}
		}
		k.mu.Unlock()
		if resting == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the connection does not rest")
		}
	}
	if got := say(t, c, "a"); got != "HTTP/1.1 a" {
		t.Errorf("got %q", got)
	}
	c = f.dial(t, web)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	f.update()
	ended(t, c)

	f = newResting(t, time.Hour)
	f.set.cfg.Limits.Idle = time.Millisecond
	f.update(web)
	c = f.dial(t, web)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	ended(t, c)
	f.none(t)

	f = newResting(t, time.Hour)
	f.update(&table.Listener{ID: web.ID, Port: web.Port, Protocol: web.Protocol, Limits: &table.Limits{IdleTime: time.Millisecond}})
	c = f.dial(t, web)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	ended(t, c)
}

// TestRestFirstCounts: a client's connections count before it has sent anything.
func TestRestFirstCounts(t *testing.T) {
	f := newResting(t, time.Hour)
	f.update(&table.Listener{ID: web.ID, Port: web.Port, Protocol: web.Protocol, Limits: &table.Limits{PerClient: 1}})
	silent := f.dial(t, web)
	for end := time.Now().Add(10 * time.Second); f.open() < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not accepted")
		}
	}
	f.quiet(t)
	c := f.dial(t, web)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(c); err != nil || string(b) != tooMany {
		t.Errorf("a second one: %q, %v", b, err)
	}
	if got := say(t, silent, "a"); got != "HTTP/1.1 a" {
		t.Errorf("got %q", got)
	}
	_ = silent.Close()
	f.none(t)
	if got := say(t, f.dial(t, web), "b"); got != "HTTP/1.1 b" {
		t.Errorf("after its end: %q", got)
	}
}
