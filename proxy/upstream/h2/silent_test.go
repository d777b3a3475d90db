package h2

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// mute is a backend that has gone without a word: each tick the read deadline passes.
type mute struct {
	script
	tick  chan struct{}
	ended chan struct{}
	once  sync.Once
}

func (m *mute) Read(p []byte) (int, error) {
	if m.in.Len() > 0 {
		return m.in.Read(p)
	}
	select {
	case <-m.tick:
		return 0, os.ErrDeadlineExceeded
	case <-m.ended:
		return 0, io.EOF
	}
}

func (m *mute) SetDeadline(time.Time) error { m.once.Do(func() { close(m.ended) }); return nil }

// TestGivenUp checks that a connection to a backend that is gone ends though every
// request on it has been given up by the time one looks.
func TestGivenUp(t *testing.T) {
	d := New(Config{Conns: 1, Streams: 10, ConnectTimeout: time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Second, Head: 16 << 10, Fields: 50, Buffer: 256 << 10})
	p := d.Pool("a:1")
	m := &mute{script: script{in: bytes.NewReader(frame.AppendSettings(nil))}, tick: make(chan struct{}), ended: make(chan struct{})}
	c := newConn(d, m)
	p.conns = append(p.conns, c)
	defer p.Close()
	m.tick <- struct{}{} // what came has been dealt with
	for range 2 {
		s, err := p.Open(context.Background(), time.Now().Add(250*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ask(exchangeOf("GET", "/"), nil); err == nil {
			t.Fatal("an answer from nobody")
		}
		s.Close()
		m.tick <- struct{}{}
	}
	for range 10000 {
		if c.gone() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the connection goes on, without an answer to its PING")
}

// quiet is a backend that says no more than that it is there. It counts the PINGs it is sent.
type quiet struct {
	mute
	conn  atomic.Pointer[conn]
	pings atomic.Int32
	acks  atomic.Int32
}

func (q *quiet) Write(p []byte) (int, error) {
	for b := bytes.TrimPrefix(p, []byte(frame.Preface)); len(b) > 0; {
		h := frame.Parse(b)
		if h.Type == frame.Ping {
			q.pings.Add(1)
		}
		b = b[frame.HeadSize+h.Length:]
	}
	return len(p), nil
}

// Read answers each PING, and waits for the next tick once what was staged has been sent.
func (q *quiet) Read(p []byte) (int, error) {
	if c := q.conn.Load(); c != nil {
		for busy := true; busy; {
			c.mu.Lock()
			busy = c.state.err == nil && (c.out.busy || len(c.out.staged) > 0)
			c.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
	if q.acks.Load() < q.pings.Load() {
		q.acks.Add(1)
		return copy(p, frame.AppendPing(nil, frame.Ack, make([]byte, 8))), nil
	}
	return q.mute.Read(p)
}

// TestSilentStream checks that a backend which is silent for long, as on a stream of gRPC that
// waits for events, is not sent more PINGs than servers of gRPC bear: one, and another one once
// a request has been sent after it, in five minutes.
func TestSilentStream(t *testing.T) {
	d := New(Config{Conns: 1, Streams: 10, ConnectTimeout: time.Second, IdleTimeout: time.Hour, WriteTimeout: time.Second, Head: 16 << 10, Fields: 50, Buffer: 256 << 10})
	p := d.Pool("a:1")
	q := &quiet{mute: mute{script: script{in: bytes.NewReader(frame.AppendSettings(nil))}, tick: make(chan struct{}), ended: make(chan struct{})}}
	c := newConn(d, q)
	q.conn.Store(c)
	p.conns = append(p.conns, c)
	defer p.Close()
	for want := 1; want <= 3; want++ {
		s, err := p.Open(context.Background(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Send(exchangeOf("GET", "/"))
		for range 10 {
			select {
			case q.tick <- struct{}{}:
			case <-q.ended:
				t.Fatal("the connection has ended")
			}
		}
		if got := int(q.pings.Load()); got != min(want, 1+spareAsks) {
			t.Errorf("%d PINGs with %d requests without an answer", got, want)
		}
	}
}

// TestPingsApart checks when a PING may be sent.
func TestPingsApart(t *testing.T) {
	var a pings
	start := time.Unix(1e9, 0)
	for i, step := range []struct {
		after  time.Duration
		urgent bool
		want   bool
	}{
		{0, false, true},
		{pingAfter, false, false},
		{pingApart - 1, false, false},
		{pingApart, false, true},
		{pingApart + pingAfter, true, true},
		{pingApart + 2*pingAfter, true, false},
		{2*pingApart + pingAfter, false, true},
	} {
		if got := a.may(start.Add(step.after), step.urgent); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
}
