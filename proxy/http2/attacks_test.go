package http2

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// flooded sends what step sends until the server has had enough, and returns how
// many steps that took.
func flooded(t *testing.T, r *raw, step func(i int)) int {
	t.Helper()
	ended := make(chan string, 1)
	go func() {
		for {
			if s := r.next(); s == "closed" || strings.HasPrefix(s, "goaway") {
				ended <- s
				return
			}
		}
	}()
	for i := range 1_000_000 {
		step(i)
		select {
		case s := <-ended:
			if !strings.HasPrefix(s, "goaway ENHANCE_YOUR_CALM") {
				t.Errorf("the connection ended with %q", s)
			}
			return i
		default:
		}
	}
	t.Error("the server had a million of them")
	return 0
}

// TestFloods has frames without end that cost their sender next to nothing. How
// many the sender gets rid of before it sees GOAWAY depends on the system's
// buffers; how many were taken is bounded by the buckets.
func TestFloods(t *testing.T) {
	var handled atomic.Int64
	s, url, _ := serve(t, func(x *exchange.Exchange) { handled.Add(1); echo(x) })
	for name, step := range map[string]func(r *raw, i int){
		"PING":              func(r *raw, _ int) { r.send(frame.Ping, 0, 0, make([]byte, 8)...) },
		"PING answers":      func(r *raw, _ int) { r.send(frame.Ping, frame.Ack, 0, make([]byte, 8)...) },
		"SETTINGS":          func(r *raw, _ int) { r.send(frame.Settings, 0, 0) },
		"SETTINGS, large":   func(r *raw, _ int) { r.send(frame.Settings, 0, 0, make([]byte, 6*maxSettings)...) },
		"SETTINGS answers":  func(r *raw, _ int) { r.send(frame.Settings, frame.Ack, 0) },
		"PRIORITY":          func(r *raw, _ int) { r.send(frame.Priority, 0, 1, 0, 0, 0, 0, 1) },
		"unknown types":     func(r *raw, _ int) { r.send(0xee, 0, 0) },
		"GOAWAY":            func(r *raw, _ int) { r.send(frame.GoAway, 0, 0, make([]byte, 8)...) },
		"WINDOW_UPDATE":     func(r *raw, _ int) { r.send(frame.WindowUpdate, 0, 0, 0, 0, 0, 1) },
		"DATA without any":  func(r *raw, i int) { r.once(i, "POST"); r.send(frame.Data, 0, 1) },
		"DATA, all padding": func(r *raw, i int) { r.once(i, "POST"); r.send(frame.Data, frame.Padded, 1, 0) },
		"DATA of no stream": func(r *raw, i int) {
			if i == 0 {
				r.ask(5, true, common("GET")...)
			}
			r.send(frame.Data, 0, 3, 'a')
		},
		"DATA of one taken back": func(r *raw, i int) {
			r.once(i, "POST")
			if i == 0 {
				r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8)
			}
			r.send(frame.Data, 0, 1, 'a')
		},
		"resets of an ended": func(r *raw, i int) { r.once(i, "GET"); r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8) },
		"windows of an ended": func(r *raw, i int) {
			r.once(i, "GET")
			r.send(frame.WindowUpdate, 0, 1, 0, 0, 0, 1)
		},
		"CONTINUATION": func(r *raw, i int) {
			if i == 0 {
				r.send(frame.Headers, 0, 1, 0x82)
			}
			r.send(frame.Continuation, 0, 1, 0x82)
		},
		"rapid reset": func(r *raw, i int) {
			r.ask(uint32(2*i+1), false, common("POST")...)
			r.send(frame.ResetStream, 0, uint32(2*i+1), 0, 0, 0, 8)
		},
		"rapid reset of whole requests": func(r *raw, i int) {
			r.ask(uint32(2*i+1), true, common("GET", "x-unread", "1")...)
			r.send(frame.ResetStream, 0, uint32(2*i+1), 0, 0, 0, 8)
		},
		"made you reset by a window": func(r *raw, i int) {
			r.ask(uint32(2*i+1), true, common("GET", "x-unread", "1")...)
			r.send(frame.WindowUpdate, 0, uint32(2*i+1), uint32s(frame.MaxWindow)...)
		},
		"made you reset by a length": func(r *raw, i int) {
			r.ask(uint32(2*i+1), false, common("POST", "content-length", "1")...)
			r.send(frame.Data, 1, uint32(2*i+1), 'a', 'b')
		},
		"made you reset by a trailer": func(r *raw, i int) {
			r.ask(uint32(2*i+1), false, common("POST")...)
			r.ask(uint32(2*i+1), false, "x", "y")
		},
		"malformed requests":   func(r *raw, i int) { r.ask(uint32(2*i+1), true, common("GET", "upgrade", "h2c")...) },
		"more streams than go": func(r *raw, i int) { r.ask(uint32(2*i+1), true, common("GET", "x-unread", "1")...) },
	} {
		t.Run(name, func(t *testing.T) {
			handled.Store(0)
			r := dial(t, url)
			flooded(t, r, func(i int) { step(r, i) })
			if n := handled.Load(); n > int64(s.cfg.Floods.Resets)+int64(s.cfg.Streams)+frame.ResetRate*10 {
				t.Errorf("%d requests reached the handler", n)
			}
			if n := int64(r.acked); n > int64(s.cfg.Floods.Idle)+2+idleRate*10 {
				t.Errorf("%d frames were acknowledged", n)
			}
		})
	}
}

// once begins stream 1 with the first step.
func (r *raw) once(i int, method string) {
	if i == 0 {
		r.ask(1, method == "GET", common(method)...)
	}
}

// TestUsefulTraffic has a client that cancels much, pings much and updates windows
// much, but for requests that it lets complete: nobody stops it.
func TestUsefulTraffic(t *testing.T) {
	_, url, _ := serve(t, echo)
	r := dial(t, url)
	for i := range 3000 {
		id := uint32(4*i + 1)
		r.ask(id, true, common("GET")...)
		r.send(frame.WindowUpdate, 0, 0, 0, 0, 0, 1)
		r.send(frame.Ping, 0, 0, make([]byte, 8)...)
		if r.until("200", "goaway", "closed") != fmt.Sprintf("200 on %d end", id) {
			t.Fatalf("after %d requests", i)
		}
		if i%2 == 0 {
			r.ask(id+2, false, common("POST")...)
			r.send(frame.ResetStream, 0, id+2, 0, 0, 0, 8)
		}
	}
}

// TestMessages has a stream of small messages in both directions, as clients of gRPC
// have them: each has both windows updated, and is a chance to measure the path by a
// PING.
func TestMessages(t *testing.T) {
	_, url, _ := serve(t, duplex)
	r := dial(t, url)
	r.ask(1, false, common("POST")...)
	r.until("200 on 1")
	for i := range 3000 {
		r.send(frame.WindowUpdate, 0, 0, 0, 0, 0, 1)
		r.send(frame.WindowUpdate, 0, 1, 0, 0, 0, 1)
		r.send(frame.Ping, 0, 0, make([]byte, 8)...)
		r.send(frame.Data, 0, 1, 'a')
		if got := r.until("data", "goaway", "closed"); got != "data 1 on 1" {
			t.Fatalf("after %d messages: %s", i, got)
		}
	}
}

// TestTaste has a client that takes the first of each answer and no more, as those of
// gRPC do with a stream of which they want one message.
func TestTaste(t *testing.T) {
	_, url, _ := serve(t, duplex)
	r := dial(t, url)
	for i := range uint32(1000) {
		id := 2*i + 1
		r.ask(id, false, common("POST")...)
		if got := r.until("200", "goaway", "closed"); got != fmt.Sprintf("200 on %d", id) {
			t.Fatalf("after %d answers: %s", i, got)
		}
		r.send(frame.ResetStream, 0, id, 0, 0, 0, 8)
	}
}

// TestPatience has many requests given up by one client, after some time: a slow
// backend's fault, and nothing by which other requests of its connection should end.
func TestPatience(t *testing.T) {
	s, url, _ := serve(t, echo)
	s.cfg.Floods.Resets = 20
	r := dial(t, url)
	const n = 90
	for i := range uint32(n) {
		r.ask(2*i+1, true, common("GET", "x-unread", "1")...)
	}
	time.Sleep(frame.ResetSoon + 100*time.Millisecond)
	for i := range uint32(n) {
		r.send(frame.ResetStream, 0, 2*i+1, 0, 0, 0, 8)
	}
	r.ask(2*n+1, true, common("GET")...)
	if got := r.until("200", "goaway", "closed"); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
}

// TestHeaderBomb has a table entry of 4,000 bytes that is referred to 16,000 times
// in a frame: 64 MB, in 16 KiB.
func TestHeaderBomb(t *testing.T) {
	_, url, _ := serve(t, echo)
	r := dial(t, url)
	r.ask(1, true, common("GET", "x-bomb", strings.Repeat("a", 4000))...)
	r.until("200 on 1")
	bomb := append(r.fields(common("GET")...), strings.Repeat("\xbe", 16000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for i := range 100 {
		id := uint32(2*i + 3)
		r.send(frame.Headers, frame.EndHeaders|frame.EndStream, id, bomb...)
		if got := r.until("431", "goaway"); got != fmt.Sprintf("431 on %d", id) {
			t.Fatalf("bomb %d: %s", i, got)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 { // the client's framer included
		t.Errorf("100 bombs took %d bytes", n)
	}
	t.Logf("%v a bomb", time.Since(start)/100)
	flooded(t, r, func(i int) { r.send(frame.Headers, frame.EndHeaders|frame.EndStream, uint32(2*i+1001), bomb...) })
}

// TestEndlessBlock has a header block that goes on for ever, in frames that are full.
func TestEndlessBlock(t *testing.T) {
	_, url, _ := serve(t, echo)
	r := dial(t, url)
	r.send(frame.Headers, 0, 1, r.fields(common("GET")...)...)
	part := []byte("\x00\x7f\x81\x7f" + strings.Repeat("a", 16380)) // of a name of 16,384 bytes
	n := flooded(t, r, func(int) { r.send(frame.Continuation, 0, 1, part...) })
	t.Logf("%d frames were sent", n)
}

// big answers with more than any window has.
func big(x *exchange.Exchange) {
	x.Response.Status, x.Response.ContentLength = 200, -1
	_ = x.Writer.Head(x)
	for range 1000 {
		if _, err := x.Writer.Write(make([]byte, 32<<10)); err != nil {
			return
		}
	}
	_ = x.Writer.End(x)
}

// TestSlowReader has clients that take an answer slowly, by their windows.
func TestSlowReader(t *testing.T) {
	for name, trickle := range map[string]bool{"no window": false, "a byte now and then": true} {
		t.Run(name, func(t *testing.T) {
			s, url, _ := serve(t, big)
			s.cfg.Timeouts.Write = 100 * time.Millisecond
			r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			r.ask(1, true, common("GET")...)
			r.until("200 on 1")
			stop := make(chan struct{})
			defer close(stop)
			if trickle {
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
							r.send(frame.WindowUpdate, 0, 1, 0, 0, 0, 1)
						}
					}
				}()
			}
			start := time.Now()
			r.until("reset CANCEL on 1")
			if d := time.Since(start); d < 50*time.Millisecond || d > 2*time.Second {
				t.Errorf("reset after %v", d)
			}
		})
	}
}

// TestDeafClient has clients that read nothing at all, while they ask for answers,
// or for acknowledgements: the connection ends, and held little.
func TestDeafClient(t *testing.T) {
	for name, step := range map[string]func(r *raw, i int){
		"answers": func(r *raw, i int) {
			if i < 50 {
				r.ask(uint32(2*i+1), true, common("GET")...)
				r.send(frame.WindowUpdate, 0, 0, uint32s(1<<24)...)
				r.send(frame.WindowUpdate, 0, uint32(2*i+1), uint32s(1<<24)...)
			}
			time.Sleep(time.Millisecond)
		},
		"pings": func(r *raw, _ int) { r.send(frame.Ping, 0, 0, make([]byte, 8)...) },
	} {
		t.Run(name, func(t *testing.T) {
			s, url, _ := serve(t, big)
			s.cfg.Timeouts.Write = 200 * time.Millisecond
			r := dial(t, url)
			_ = r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			for i := 0; ; i++ {
				step(r, i)
				if _, err := r.Write(frame.AppendWindowUpdate(nil, 0, 1)); err != nil {
					return // the server has closed
				}
				if i > 200_000 {
					t.Fatal("the server still listens")
				}
				for c := range s.each() {
					if c > outputLimit+64<<10 {
						t.Fatalf("%d bytes are staged", c)
					}
				}
			}
		})
	}
}

// each yields how much each connection has staged.
func (s *Server) each() func(func(int) bool) {
	return func(yield func(int) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.mu.Lock()
			n := len(c.out.staged)
			c.mu.Unlock()
			if !yield(n) {
				return
			}
		}
	}
}

// TestSlowStart has clients that do not get on: with the preface, with a header
// block, with anything.
func TestSlowStart(t *testing.T) {
	s, url, _ := serve(t, echo)
	s.cfg.Timeouts.Read, s.cfg.Timeouts.Idle = 100*time.Millisecond, 200*time.Millisecond
	ends := func(name string, c io.Reader) {
		t.Helper()
		start := time.Now()
		_, _ = io.Copy(io.Discard, c)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: ended after %v", name, d)
		}
	}
	c := dialPlain(t, url)
	_, _ = io.WriteString(c, "PRI * HT")
	ends("half a preface", c)
	r := dial(t, url)
	r.send(frame.Headers, 0, 1, 0x82)
	ends("half a block", r)
	r = dial(t, url)
	_, _ = r.Write([]byte{0, 0, 8, 6})
	ends("half a frame", r)
	r = dial(t, url)
	go func(r *raw) { // bytes come, but the block does not get complete
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			if _, err := r.Write([]byte{0, 0, 0, 9, 0, 0, 0, 0, 1}); err != nil {
				return
			}
		}
	}(r)
	r.send(frame.Headers, 0, 1, 0x82)
	ends("a block that trickles", r)
	r = dial(t, url)
	ends("idle", r)
	r = dial(t, url)
	r.ask(1, true, common("GET")...)
	go func(r *raw) { // it is there, but wants nothing more
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			if _, err := r.Write(append([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0}, "12345678"...)); err != nil {
				return
			}
		}
	}(r)
	ends("idle, but for pings", r)
}

// TestStreamsAtOneTime has more streams than may be open, and resets that leave
// their handlers running: as many again may run, and no more.
func TestStreamsAtOneTime(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	s, url, _ := serve(t, func(*exchange.Exchange) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release // deaf to the client
		running.Add(-1)
	})
	defer close(release)
	r := dial(t, url)
	streams := int64(s.cfg.Streams)
	all := func(n int64) {
		t.Helper()
		for range 5000 { // until all that may run do
			if most.Load() == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("%d handlers run, not %d", most.Load(), n)
	}
	ask := func(from, to int64) {
		for i := from; i < to; i++ {
			r.ask(uint32(2*i+1), true, common("GET")...)
		}
	}
	ask(0, streams)
	all(streams)
	for i := range streams {
		r.send(frame.ResetStream, 0, uint32(2*i+1), 0, 0, 0, 8)
	}
	ask(streams, 2*streams+50)
	for range 50 {
		if got := r.next(); !strings.HasPrefix(got, "reset REFUSED_STREAM") {
			t.Fatal(got)
		}
	}
	all(2 * streams)
}

// TestEagerClient has more streams than may be open before the client can know how
// many those are, as proxies send when many wait for a connection: they are refused,
// and the others are answered. Once it knows it is stopped.
func TestEagerClient(t *testing.T) {
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		time.Sleep(300 * time.Millisecond)
		echo(x)
	})
	r := dial(t, url)
	for i := range s.cfg.Streams + 900 {
		r.ask(2*i+1, true, common("GET")...)
	}
	answered := 0
	for range s.cfg.Streams + 900 {
		switch got := r.until("200", "reset REFUSED_STREAM", "goaway", "closed"); got[:1] {
		case "2":
			answered++
		case "g", "c":
			t.Fatal(got)
		}
	}
	if answered < int(s.cfg.Streams) {
		t.Errorf("%d were answered", answered)
	}
	r.send(frame.Settings, frame.Ack, 0)
	for i := range s.cfg.Streams + 900 {
		r.ask(2*(i+s.cfg.Streams+900)+1, true, common("GET", "x-unread", "1")...)
	}
	r.until("goaway ENHANCE_YOUR_CALM")
}

// TestRefusedForms has a proxy whose clients ask for more than may be: each
// has its answer, and the connection goes on for the others.
func TestRefusedForms(t *testing.T) {
	s, url, _ := serve(t, echo)
	s.cfg.MaxBody, s.cfg.Floods.Resets = 10, 20
	r := dial(t, url)
	for i := range uint32(200) {
		want, end, more := "417", true, []string{"expect", "a miracle"}
		switch i % 4 {
		case 0:
			want, end, more = "413", false, []string{"content-length", "11"}
		case 1:
			want, more = "431", []string{"x", strings.Repeat("y", s.cfg.Limits.Head)}
		case 2:
			want, more = "431", strings.Fields(strings.Repeat("x y ", s.cfg.Limits.Fields+1))
		}
		r.ask(2*i+1, end, common("POST", more...)...)
		if got := r.until("4", "goaway", "closed"); !strings.HasPrefix(got, want) {
			t.Fatalf("after %d: %s", i, got)
		}
	}
}
