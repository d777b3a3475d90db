package h2

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// leaving is a backend that ends its first connection, as servers do after so many requests,
// when so much content of a request on it has come that it has not looked at. What comes on
// other connections is counted and answered.
func leaving(t *testing.T, after int, settings ...http2.Setting) (p *Pool, got *atomic.Int64) {
	t.Helper()
	var conns atomic.Int32
	got = new(atomic.Int64)
	return framing(t, Config{}, func(f *http2.Framer) {
		first := conns.Add(1) == 1
		_ = f.WriteSettings(settings...)
		for came := 0; ; {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			data, is := frame.(*http2.DataFrame)
			switch {
			case !is:
			case first:
				if came += int(data.Length); came >= after {
					_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
				}
			default:
				got.Add(int64(data.Length))
				if data.StreamEnded() {
					ok(f, data.StreamID)
				} else if data.Length > 0 {
					_ = f.WriteWindowUpdate(0, data.Length)
					_ = f.WriteWindowUpdate(data.StreamID, data.Length)
				}
			}
		}
	}), got
}

// upload sends pieces of 20 KiB, so that none ends where a window does.
func upload(s *Stream, pieces int) chan error {
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = -1
	s.Send(x)
	sent := make(chan error, 1)
	go func() {
		for range pieces {
			if err := s.Write(make([]byte, 20<<10)); err != nil {
				sent <- err
				return
			}
		}
		s.Last(nil)
		sent <- nil
	}()
	return sent
}

// TestWindowUsed has a backend end a connection when all that its first window lets through
// has come, and more waits: the request is sent again, whole.
func TestWindowUsed(t *testing.T) {
	for _, window := range []uint32{1000, 65535, replayable} {
		const pieces = 20
		p, got := leaving(t, int(min(window, 65535)), http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}) // the connection's is 65535
		s := open(t, p)
		sent := upload(s, pieces)
		if _, _, _, err := s.Head(nil); err != nil || got.Load() != pieces*20<<10 {
			t.Errorf("window of %d: %d bytes, %v", window, got.Load(), err)
			s.Abort()
		}
		if err := <-sent; err != nil {
			t.Errorf("window of %d: %v", window, err)
		}
		s.Close()
	}
}

// TestMeanwhile has a backend refuse a request, of which more than is kept comes while
// another connection is made for it: it waits.
func TestMeanwhile(t *testing.T) {
	const pieces = 2 * replayable / (20 << 10)
	p, got := leaving(t, 20<<10)
	s := open(t, p)
	c := s.conn.Load()
	dialing := &attempt{done: make(chan struct{})}
	p.mu.Lock()
	p.dialing = dialing
	p.mu.Unlock()
	sent := upload(s, pieces)
	headed := make(chan error, 1)
	go func() {
		_, _, _, err := s.Head(nil)
		headed <- err
	}()
	for !ended(s, c) {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-sent:
		t.Errorf("content was taken that can go nowhere: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	p.mu.Lock()
	p.dialing = nil
	p.mu.Unlock()
	close(dialing.done)
	if err := <-headed; err != nil || got.Load() != pieces*20<<10 {
		t.Errorf("%d bytes, %v", got.Load(), err)
	}
	s.Close()
}

// ended reports whether s, which c carries, has ended.
func ended(s *Stream, c *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.done
}

// TestTooMuch has a backend, which takes more at once than is kept, not look at a request:
// it fails, and is not sent in part. So does one for which there is no other connection.
func TestTooMuch(t *testing.T) {
	wide := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}
	for name, c := range map[string]struct {
		talk func(f *http2.Framer)
		conn error // of the next connection
	}{
		"sent more than is kept": {func(f *http2.Framer) {
			_ = f.WriteSettings(wide)
			_ = f.WriteWindowUpdate(0, 1<<20)
			for came := 0; ; {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				if data, is := frame.(*http2.DataFrame); is {
					if came += int(data.Length); came > replayable {
						_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
					}
				}
			}
		}, nil},
		"no other connection": {func(f *http2.Framer) {
			_ = f.WriteSettings()
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				if _, is := frame.(*http2.DataFrame); is {
					_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
				}
			}
		}, ErrConnect},
	} {
		p := framing(t, Config{}, c.talk)
		s := open(t, p)
		if c.conn != nil {
			done := make(chan struct{})
			close(done)
			p.mu.Lock()
			p.dialing = &attempt{done: done, err: c.conn}
			p.mu.Unlock()
		}
		sent := upload(s, 100)
		if _, _, _, err := s.Head(nil); !errors.Is(err, errUnprocessed) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := <-sent; !errors.Is(err, errRefused) {
			t.Errorf("%s: content: %v", name, err)
		}
		s.Close()
		p.mu.Lock()
		for _, c := range p.conns { // nobody else has room
			c.mu.Lock()
			if c.count != 0 {
				t.Errorf("%s: room for %d requests is kept", name, c.count)
			}
			c.mu.Unlock()
		}
		p.mu.Unlock()
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
