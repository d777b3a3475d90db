package listener

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
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
	said *int // how often a connection was handed back
}

func (p resting) HTTP1(c net.Conn, conn *exchange.Conn) time.Time {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
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
		return resting{lines{make(chan struct{})}, life, &sync.Mutex{}, new(int)}
	}
	return f
}

func (f *fixture) open() int64 {
	f.set.sockets[keyOf(web)].mu.Lock()
	defer f.set.sockets[keyOf(web)].mu.Unlock()
	return int64(len(f.set.sockets[keyOf(web)].clients))
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
	_ = c.Close()
	f.none(t) // a client that leaves is noticed
}

// TestRestEnds: a connection that rests is closed when its time is over, and when
// its socket drains.
func TestRestEnds(t *testing.T) {
	ended := func(c net.Conn) {
		t.Helper()
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("got %q, %v; want an end", b, err)
		}
	}
	f := newResting(t, time.Millisecond)
	f.update(web)
	c := f.dial(t, web)
	if got := say(t, c, "a"); got != "HTTP/1.1 a" {
		t.Errorf("got %q", got)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	ended(c)
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
		ended(c)
	}
}
