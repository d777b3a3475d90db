package http2

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// TestWindowsReturnedLate has a client that holds megabytes of an answer before anybody
// reads them, as Go's does for one that is busy, and then updates both windows for each
// 4 KiB at once. More than that is a flood as it ever was.
func TestWindowsReturnedLate(t *testing.T) {
	const size, step = 8 << 20, 4 << 10
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 200, size
		_ = x.Writer.Head(x)
		for range size / (32 << 10) {
			_, _ = x.Writer.Write(make([]byte, 32<<10))
		}
		_ = x.Writer.End(x)
	})
	r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
	_ = r.framer.WriteWindowUpdate(0, size)
	r.ask(1, true, common("GET")...)
	for got := ""; !strings.HasSuffix(got, " end"); got = r.until("data") {
	}
	update := func(n int) {
		var b []byte
		for range n {
			b = frame.AppendWindowUpdate(frame.AppendWindowUpdate(b, 0, step), 1, step)
		}
		_, _ = r.Write(b)
	}
	update(size / step)
	r.send(frame.Ping, 0, 0, []byte("returned")...)
	r.until("ping returned")
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	go func() {
		for range 100 {
			update(1000)
		}
	}()
	if got := r.until("goaway"); got != "goaway ENHANCE_YOUR_CALM 1" {
		t.Errorf("got %q", got)
	}
}

// TestWindowOfUnwanted has content that nobody takes: of a request that was answered and
// that the client then gives up, and of one whose content is cancelled before it is looked
// at. What it took of the connection's window comes back, or uploads would stand still one day.
func TestWindowOfUnwanted(t *testing.T) {
	refuse := func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 403, 0
		_ = x.Writer.Head(x)
		_ = x.Writer.End(x)
	}
	sent := make(chan struct{}, 1)
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		<-sent
		if x.Request.Path == "/cancelled" {
			body := x.Request.Body
			body.Cancel()
			if p, err := body.Next(); err == nil {
				t.Errorf("got %d bytes", len(p))
			}
			refuse(x)
			return
		}
		refuse(x)
		<-x.Context.Done()
	})
	for _, path := range []string{"/given-up", "/cancelled"} {
		r := dial(t, url)
		r.ask(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", path)
		for range 10 {
			r.send(frame.Data, 0, 1, make([]byte, 8<<10)...)
		}
		r.send(frame.Ping, 0, 0, []byte("all sent")...)
		r.until("ping all sent")
		sent <- struct{}{}
		r.until("403 on 1 end")
		r.send(frame.ResetStream, 0, 1, uint32s(uint32(frame.Cancel))...)
		_, open := s.window()
		for open > 0 {
			time.Sleep(time.Millisecond)
			_, open = s.window()
		}
		if left, _ := s.window(); left != int64(s.cfg.Buffers.Connection) {
			t.Errorf("%s: of %d bytes %d are left", path, s.cfg.Buffers.Connection, left)
		}
		_ = r.Close()
		for open = 0; open >= 0; _, open = s.window() {
			time.Sleep(time.Millisecond)
		}
	}
}

// window returns what there is, or will be, of the window of the one connection, and how many
// streams are open on it; -1 when there is no connection.
func (s *Server) window() (left int64, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.window.recv + c.window.used, c.streams.open
	}
	return 0, -1
}
