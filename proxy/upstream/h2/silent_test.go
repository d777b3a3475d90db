package h2

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
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
