package h2

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestTooMuchMeanwhile has a backend refuse a request, and more of its content come, while
// another connection is made for it, than is kept: it fails, and is not sent in part.
func TestTooMuchMeanwhile(t *testing.T) {
	p := raw(t, func(f *http2.Framer, _ uint32, n int) {
		if n == 1 {
			_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
		}
	})
	s := open(t, p)
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = -1
	s.Send(x)
	dialing := &attempt{done: make(chan struct{})}
	p.mu.Lock()
	p.dialing = dialing
	p.mu.Unlock()
	failed := make(chan error, 1)
	go func() {
		_, _, _, err := s.Head(nil)
		failed <- err
	}()
	c := s.conn.Load()
	refused := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return s.done
	}
	for !refused() {
		time.Sleep(time.Millisecond)
	}
	for range replayable / 1024 {
		if err := s.Write(make([]byte, 1024)); err != nil {
			t.Fatalf("what is kept was not taken: %v", err)
		}
	}
	if err := s.Write([]byte("one more")); !errors.Is(err, errRefused) {
		t.Fatalf("more than is kept: %v", err)
	}
	p.mu.Lock()
	p.dialing = nil
	p.mu.Unlock()
	close(dialing.done)
	select {
	case err := <-failed:
		if !errors.Is(err, errUnprocessed) {
			t.Errorf("got %v", err)
		}
	case <-time.After(2 * time.Second):
		t.Error("a part of the request was sent, and is waited for")
	}
	s.Close()
	if c := p.conns[len(p.conns)-1]; c.reserve() == reserved { // nobody else has room
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.count != 1 {
			t.Errorf("room for %d requests is kept", c.count-1)
		}
		c.release()
	}
}

// TestUnlimited has a backend that says nothing of how many requests it takes: there is
// no limit but ours then (RFC 9113, section 6.5.2).
func TestUnlimited(t *testing.T) {
	const most = 2 * defaultStreams
	p := framing(t, Config{Streams: most}, func(f *http2.Framer) {
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if head, is := frame.(*http2.HeadersFrame); is {
				ok(f, head.StreamID)
			}
		}
	})
	s := open(t, p)
	if _, err := s.Ask(exchangeOf("GET", "/"), nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	var all []*Stream
	for range most {
		s, err := p.Open(context.Background(), time.Now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections for %d requests", n, most)
	}
	for _, s := range all {
		s.Close()
	}
}
