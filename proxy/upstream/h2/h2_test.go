package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a backend of net/http and returns a pool of connections to it.
func serve(t *testing.T, cfg Config, h http.HandlerFunc) *Pool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	s.Protocols.SetUnencryptedHTTP2(true)
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	p := pool(cfg, l.Addr().String())
	t.Cleanup(func() {
		p.Close()
		_ = s.Close()
		running.Wait()
	})
	return p
}

func pool(cfg Config, addr string) *Pool {
	d := Config{Conns: 4, Streams: 100, ConnectTimeout: time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Second, Head: 16 << 10, Fields: 100, Buffer: 256 << 10}
	if cfg.Conns > 0 {
		d.Conns = cfg.Conns
	}
	if cfg.Streams > 0 {
		d.Streams = cfg.Streams
	}
	return New(d).Pool(addr)
}

func exchangeOf(method, path string) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Request.Method, x.Request.Path, x.Request.Authority = method, path, "a.example"
	return x
}

func open(t *testing.T, p *Pool) *Stream {
	t.Helper()
	s, err := p.Open(context.Background(), time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answerOf reads what comes after Ask or Send.
func answerOf(t *testing.T, s *Stream) (status int, head, trailer exchange.Header, content string) {
	t.Helper()
	status, _, head, err := s.Head(nil)
	if err != nil {
		t.Fatalf("head: %v", err)
	}
	var all []byte
	for b := make([]byte, 4096); ; {
		n, err := s.Read(b)
		all = append(all, b[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("content: %v", err)
		}
	}
	return status, head, s.Trailer(nil), string(all)
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Asked", r.Method+" "+r.Host+" "+r.RequestURI+" te="+r.Header.Get("Te")+" ua="+r.Header.Get("User-Agent"))
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
}

func TestAsk(t *testing.T) {
	p := serve(t, Config{}, echo)
	for _, path := range []string{"/", "/a%2Fb", "//double//slash", "/a?b", "/?", "/a?"} {
		s := open(t, p)
		x := exchangeOf("POST", path)
		var question bool
		x.Request.Path, x.Request.RawQuery, question = strings.Cut(path, "?")
		x.Request.EmptyQuery = question && x.Request.RawQuery == ""
		x.Request.Header.Add("Connection", "close")
		if _, err := s.Ask(x, []byte("hello")); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		status, head, trailer, content := answerOf(t, s)
		asked, _ := head.Get("x-asked")
		if status != 200 || asked != "POST a.example "+path+" te=trailers ua=" || content != "hello" || trailer.Count("x-sum") != 1 {
			t.Errorf("%s: got %d %q %q %v", path, status, asked, content, trailer)
		}
		s.Close()
	}
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections for requests one after the other", n)
	}
}

func TestDuplex(t *testing.T) {
	p := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			_, _ = w.Write(b[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
				return
			}
		}
	})
	s := open(t, p)
	defer s.Close()
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = -1
	x.Request.Header.Add("Trailer", "X-Sum") // net/http shows its handlers no others
	s.Send(x)
	if status, length, _, err := s.Head(nil); status != 200 || length != -1 || err != nil {
		t.Fatalf("head %d %d %v", status, length, err)
	}
	b := make([]byte, 100)
	for _, word := range []string{"ping", "pong"} {
		if err := s.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(b); string(b[:n]) != word || err != nil {
			t.Fatalf("got %q, %v", b[:n], err)
		}
	}
	s.Last(exchange.Header{{Name: "X-Sum", Value: "42"}})
	if n, err := s.Read(b); n > 0 || err != io.EOF {
		t.Errorf("end: %d, %v", n, err)
	}
	if sum, _ := s.Trailer(nil).Get("x-sum"); sum != "42" {
		t.Errorf("trailer %q", sum)
	}
}

// TestEnds checks how a request ends before its answer does: by time, by the client
// and by the caller, each with the backend told.
func TestEnds(t *testing.T) {
	told := make(chan struct{}, 1)
	p := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/head" {
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		told <- struct{}{}
	})
	f := func(name, path string, fill bool, want error, end func(s *Stream, gone context.CancelCauseFunc)) {
		t.Helper()
		ctx, gone := context.WithCancelCause(context.Background())
		defer gone(nil)
		s, err := p.Open(ctx, time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		x := exchangeOf("POST", path)
		x.Request.ContentLength = -1
		s.Send(x)
		if err := s.Write([]byte("begin")); err != nil {
			t.Fatal(err)
		}
		read := func() error { _, _, _, err := s.Head(nil); return err }
		if path == "/head" {
			if err := read(); err != nil {
				t.Fatal(err)
			}
			read = func() error { _, err := s.Read(make([]byte, 10)); return err }
		}
		filled := make(chan struct{})
		go func() {
			defer close(filled)
			for b := make([]byte, 64<<10); fill && s.Write(b) == nil; { // until the window is full, and beyond
			}
		}()
		if fill {
			time.Sleep(50 * time.Millisecond)
		}
		end(s, gone)
		if err := read(); !errors.Is(err, want) {
			t.Errorf("%s %s, full %v: %v, want %v", name, path, fill, err, want)
		}
		<-told
		<-filled
		s.Close()
	}
	for _, path := range []string{"/", "/head"} {
		for _, fill := range []bool{false, true} {
			f("time", path, fill, os.ErrDeadlineExceeded, func(s *Stream, _ context.CancelCauseFunc) { s.Expire(time.Now().Add(20*time.Millisecond), 0) })
			f("client", path, fill, context.Canceled, func(_ *Stream, gone context.CancelCauseFunc) { gone(nil) })
			f("reset", path, fill, context.Canceled, func(_ *Stream, gone context.CancelCauseFunc) { gone(errTaken) })
			f("caller", path, fill, errRefused, func(s *Stream, _ context.CancelCauseFunc) { s.Abort() })
		}
	}
}

// errTaken is why the context of a stream of HTTP/3 has ended: quic-go says that as its cause.
var errTaken = errors.New("the client has reset the stream")

// TestGone has a client leave while its request waits for a connection.
func TestGone(t *testing.T) {
	ctx, gone := context.WithCancelCause(context.Background())
	gone(errTaken)
	a := &attempt{done: make(chan struct{})}
	if err := a.wait(ctx, time.Now().Add(time.Minute)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestBounds fills the connections an endpoint may have.
func TestBounds(t *testing.T) {
	release := make(chan struct{})
	p := serve(t, Config{Conns: 2, Streams: 3}, func(http.ResponseWriter, *http.Request) { <-release })
	var all []*Stream
	for range 6 {
		s := open(t, p)
		x := exchangeOf("POST", "/")
		x.Request.ContentLength = -1
		s.Send(x)
		all = append(all, s)
	}
	if n := p.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	if _, err := p.Open(context.Background(), time.Now().Add(time.Second)); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	close(release)
	for _, s := range all {
		s.Close()
	}
	for range 100 { // the library frees what they took a moment later
		s, err := p.Open(context.Background(), time.Now().Add(time.Second))
		if err == nil {
			s.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("no room after all have ended")
}

// TestBurst has as many requests come at once, on no connection yet, as all connections
// together take: none is turned away.
func TestBurst(t *testing.T) {
	release := make(chan struct{})
	const conns, streams = 10, 3
	p := serve(t, Config{Conns: conns, Streams: streams}, func(http.ResponseWriter, *http.Request) { <-release })
	var asking sync.WaitGroup
	for range conns * streams {
		asking.Go(func() {
			s, err := p.Open(context.Background(), time.Now().Add(5*time.Second))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = s.Ask(exchangeOf("GET", "/"), nil)
			s.Close()
		})
	}
	for range 5000 {
		if p.Connections() == conns {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	asking.Wait()
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := pool(Config{}, l.Addr().String())
	_ = l.Close()
	if _, err := p.Open(context.Background(), time.Now().Add(time.Second)); !errors.Is(err, ErrConnect) {
		t.Errorf("got %v", err)
	}
}

// TestWindow checks that a backend which does not read holds up who writes, and
// a client that does not read holds up the backend.
func TestWindow(t *testing.T) {
	var sent atomic.Int64
	p := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(b)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	s := open(t, p)
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = -1
	s.Send(x)
	wrote := make(chan int)
	go func() {
		n := 0
		for b := make([]byte, 64<<10); s.Write(b) == nil; {
			n += len(b)
		}
		wrote <- n
	}()
	if _, _, _, err := s.Head(nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	s.Abort()
	if n := <-wrote; n > 4<<20 {
		t.Errorf("a backend that reads nothing was sent %d bytes", n)
	}
	if n := sent.Load(); n > 4<<20 {
		t.Errorf("a client that reads nothing was sent %d bytes", n)
	}
	s.Close()
}

// A backend's PINGs and SETTINGS are acknowledged while as much content waits for it
// as may; one that asks for more than it reads loses its connection.
func TestAcknowledgements(t *testing.T) {
	here, there := net.Pipe()
	_ = there.SetDeadline(time.Now().Add(10 * time.Second))
	p := pool(Config{}, "a:1")
	c := newConn(p.dialer, here)
	p.conns = append(p.conns, c)
	f := http2.NewFramer(there, there)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<20)
	s := open(t, p)
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = -1
	s.Send(x)
	const size = 200_000
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := s.Write(make([]byte, size)); err != nil {
			t.Error(err)
		}
	})
	full := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.out.blocked > 0
	}
	for !full() {
		time.Sleep(time.Millisecond)
	}
	const each = 100
	for range each {
		_ = f.WritePing(false, [8]byte{})
		_ = f.WriteSettings()
	}
	_, _ = io.ReadFull(there, make([]byte, len(http2.ClientPreface)))
	for content, pings, settings := 0, 0, 0; content < size || pings < each || settings < each+1; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("after %d bytes and %d and %d acknowledgements: %v", content, pings, settings, err)
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			content += len(frame.Data())
		case *http2.PingFrame:
			pings++
		case *http2.SettingsFrame:
			if frame.IsAck() {
				settings++
			}
		}
	}
	writing.Wait()
	asked := 0
	for ; asked < 10*maxAcks && f.WritePing(false, [8]byte{}) == nil; asked++ {
	}
	if _, _, _, err := s.Head(nil); !errors.Is(err, errProtocol) || asked < maxAcks || asked > 2*maxAcks+1 {
		t.Errorf("after %d PINGs, and nothing read: %v", asked, err)
	}
	s.Close()
}

// framing is a backend that speaks frames: each connection's are talk's, once its preface has come.
func framing(t *testing.T, cfg Config, talk func(f *http2.Framer)) *Pool {
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
			running.Go(func() {
				defer func() { _ = c.Close() }()
				_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
				talk(http2.NewFramer(c, c))
			})
		}
	})
	p := pool(cfg, l.Addr().String())
	t.Cleanup(func() {
		p.Close()
		_ = l.Close()
		running.Wait()
	})
	return p
}

// raw is a backend that speaks frames. answer is called for the head of each
// request, n counts them, over all connections.
func raw(t *testing.T, answer func(f *http2.Framer, stream uint32, n int), settings ...http2.Setting) *Pool {
	t.Helper()
	var n atomic.Int32
	return framing(t, Config{}, func(f *http2.Framer) {
		_ = f.WriteSettings(settings...)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					_ = f.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				answer(f, frame.StreamID, int(n.Add(1)))
			}
		}
	})
}

func ok(f *http2.Framer, stream uint32) {
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
}

// hello sends x with content, as one piece or as it comes, and waits for the head of the answer.
func hello(s *Stream, x *exchange.Exchange, streamed bool) (untouched bool, err error) {
	if !streamed {
		return s.Ask(x, []byte("hello"))
	}
	x.Request.ContentLength = -1
	s.Send(x)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = s.Write([]byte("hello"))
		s.Last(nil)
	}()
	_, _, _, err = s.Head(nil)
	<-sent
	return false, err
}

// TestUnprocessed has a backend say that it has not looked at a request, which
// is sent again, and fail in ways that forbid it.
func TestUnprocessed(t *testing.T) {
	for name, c := range map[string]struct {
		first func(f *http2.Framer, stream uint32)
		again bool
	}{
		"refused": {func(f *http2.Framer, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeRefusedStream) }, true},
		"goaway":  {func(f *http2.Framer, _ uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, true},
		"reset":   {func(f *http2.Framer, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeInternal) }, false},
		"seen": {func(f *http2.Framer, s uint32) {
			_ = f.WriteGoAway(s, http2.ErrCodeNo, nil)
			_ = f.WriteRSTStream(s, http2.ErrCodeCancel)
		}, false},
	} {
		for _, streamed := range []bool{false, true} {
			p := raw(t, func(f *http2.Framer, stream uint32, n int) {
				if n == 1 {
					c.first(f, stream)
					return
				}
				ok(f, stream)
			})
			s := open(t, p)
			untouched, err := hello(s, exchangeOf("POST", "/"), streamed)
			if untouched {
				t.Errorf("%s: untouched after all tries: %v", name, err)
			}
			if (err == nil) != c.again {
				t.Errorf("%s, streamed %v: %v, want it sent again %v", name, streamed, err, c.again)
			}
			s.Close()
		}
	}
}

// TestLargeHead has a backend that says how large a head it takes: one that is larger
// is not sent, for some end the connection then, and others are on it.
func TestLargeHead(t *testing.T) {
	p := raw(t, func(f *http2.Framer, stream uint32, _ int) { ok(f, stream) }, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000})
	for _, c := range []struct {
		value int
		taken bool
	}{{10, true}, {700, true}, {1000, false}, {5000, false}, {10, true}} {
		for _, streamed := range []bool{false, true} {
			s := open(t, p)
			x := exchangeOf("POST", "/")
			x.Request.Header.Add("x-a", strings.Repeat("v", c.value))
			_, err := hello(s, x, streamed)
			if (err == nil) != c.taken || err != nil && err != errHead {
				t.Errorf("%d bytes, streamed %v: %v", c.value, streamed, err)
			}
			s.Close()
		}
	}
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestAlwaysRefused checks that a request is not sent again without end.
func TestAlwaysRefused(t *testing.T) {
	var heads atomic.Int32
	p := raw(t, func(f *http2.Framer, stream uint32, _ int) {
		heads.Add(1)
		_ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
	})
	s := open(t, p)
	defer s.Close()
	if untouched, err := s.Ask(exchangeOf("GET", "/"), nil); !untouched || err == nil {
		t.Errorf("got %v, %v", untouched, err)
	}
	if n := heads.Load(); n < repeats+1 || n > repeats+2 { // what is sent before SETTINGS have come is no try
		t.Errorf("%d tries", n)
	}
}

// TestRefusedEarly has new connections refuse a request that was sent before they
// could say how few they take. Each may, and there are some before one has room.
func TestRefusedEarly(t *testing.T) {
	const busy = repeats + 3
	var conns atomic.Int32
	p := framing(t, Config{Conns: busy + 1}, func(f *http2.Framer) {
		n := conns.Add(1)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			head, is := frame.(*http2.HeadersFrame)
			switch {
			case is && n > busy:
				_ = f.WriteSettings()
				ok(f, head.StreamID)
			case is:
				_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
				_ = f.WriteRSTStream(head.StreamID, http2.ErrCodeRefusedStream)
			}
		}
	})
	for _, streamed := range []bool{false, true} {
		s := open(t, p)
		if _, err := hello(s, exchangeOf("POST", "/"), streamed); err != nil {
			t.Errorf("streamed %v: %v", streamed, err)
		}
		s.Close()
	}
	if n := conns.Load(); n != busy+1 {
		t.Errorf("%d connections", n)
	}
}
