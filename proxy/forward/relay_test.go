package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"

	server "github.com/gatehouse-dev/gatehouse/proxy/http2"
)

// both is HTTP/2 on both sides: clients of prior knowledge, a forwarder and a backend.
type both struct {
	t       *testing.T
	f       *forward.Forwarder
	d       router.Destination
	addr    string
	in, out atomic.Int64 // content that took the long way
	traces  chan exchange.Trace
}

// longWay counts what comes out of Next and what goes through Write.
type longWay struct {
	exchange.Body
	exchange.Relayed
	n *atomic.Int64
}

func (l *longWay) Next() ([]byte, error) {
	p, err := l.Body.Next()
	l.n.Add(int64(len(p)))
	return p, err
}

type longWayBack struct {
	exchange.Writer
	exchange.Relayer
	n *atomic.Int64
}

func (l *longWayBack) Write(p []byte) (int, error) {
	l.n.Add(int64(len(p)))
	return l.Writer.Write(p)
}

// Handle implements exchange.Handler.
func (b *both) Handle(x *exchange.Exchange) {
	w := x.Writer
	if s := x.Request.Body; s != nil {
		x.Request.Body = &longWay{s, s.(exchange.Relayed), &b.in}
	}
	x.Writer = &longWayBack{w, w.(exchange.Relayer), &b.out}
	b.f.Send(x, &b.d, nil)
	x.Writer = w
	b.traces <- x.Trace
}

func startBoth(t *testing.T, cfg server.Config, up upstream.Config, backend string) *both {
	t.Helper()
	set := upstream.New(up)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { set.Run(ctx) })
	set.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(backend)}})
	b := &both{t: t, f: forward.New(forward.Config{}), d: router.Destination{Upstream: set.Backend("b", table.BackendH2C)}, traces: make(chan exchange.Trace, 10_000)}
	cfg.Handler, cfg.Limits, cfg.Streams, cfg.Log = b, wire.Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}, 100, logr.Discard()
	for _, d := range []*time.Duration{&cfg.Timeouts.Idle, &cfg.Timeouts.Read, &cfg.Timeouts.Write} {
		if *d == 0 {
			*d = 30 * time.Second
		}
	}
	s := server.New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				s.Serve(c, nil, &exchange.Conn{Peer: c.RemoteAddr().(*net.TCPAddr).AddrPort()})
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		cancel()
		running.Wait()
	})
	b.addr = l.Addr().String()
	return b
}

// client returns one that has a connection of its own.
func (b *both) client() *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// call is a stream of messages.
type call struct {
	io.Writer // what is sent
	end       func() error
	answer    *http.Response
	cancel    func() error // resets it
}

// call opens a stream. The backend must answer with a head at once.
func (b *both) call(c *http.Client, kind string) *call {
	b.t.Helper()
	r, w := io.Pipe()
	q, err := http.NewRequest("POST", "http://"+b.addr+"/", r)
	if err != nil {
		b.t.Fatal(err)
	}
	q.Header.Set("Content-Type", kind)
	q.Trailer = http.Header{"X-Sum": nil}
	a, err := c.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { a.Body.Close() })
	return &call{w, func() error { q.Trailer.Set("X-Sum", "42"); return w.Close() }, a, a.Body.Close}
}

// pong sends a message and has it come back.
func (c *call) pong(message []byte) error {
	sent := make(chan error, 1)
	go func() { _, err := c.Write(message); sent <- err }()
	back := make([]byte, len(message))
	if _, err := io.ReadFull(c.answer.Body, back); err != nil {
		return err
	}
	if !bytes.Equal(back, message) {
		return errors.New("another message came back")
	}
	return <-sent
}

// relayed has messages go back and forth until some have gone past both goroutines
// of the stream, both ways.
func (b *both) relayed(c *call) (total int64) {
	b.t.Helper()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		m := bytes.Repeat([]byte{byte(total)}, 100)
		if err := c.pong(m); err != nil {
			b.t.Fatal(err)
		}
		if total += 100; b.in.Load() < total && b.out.Load() < total {
			return total
		}
	}
	b.t.Fatal("everything takes the long way")
	return 0
}

// echoes answers with a head at once, and then with what it is sent; see TestRelay
// for the trailers.
func echoes(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	flush := http.NewResponseController(w).Flush
	flush()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			w.Write(buf[:n])
			flush()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
}

const messages = "application/grpc"

// TestRelay has messages of all sizes, both ends, and trailers both ways.
func TestRelay(t *testing.T) {
	b := startBoth(t, server.Config{}, upstream.Config{}, serveH2C(t, echoes))
	c := b.call(b.client(), messages)
	total := b.relayed(c)
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 5000, 20_000, 40_000, 1 << 20, 3, 300_000, 1} {
		m := make([]byte, size)
		for i := range m {
			m[i] = byte(r.Uint32())
		}
		if err := c.pong(m); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		total += int64(size)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.answer.Body); err != nil || len(rest) > 0 || c.answer.Trailer.Get("X-Sum") != "42" {
		t.Errorf("got %q, %v, trailer %v", cut(string(rest)), err, c.answer.Trailer)
	}
	if trace := <-b.traces; trace.BytesIn != total || trace.BytesOut != total {
		t.Errorf("counted %d in and %d out of %d", trace.BytesIn, trace.BytesOut, total)
	}
}

// TestRelayEnds has streams end in the middle, from either side; others of the same
// connections go on.
func TestRelayEnds(t *testing.T) {
	ended := make(chan error, 1)
	backend := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == messages {
			echoes(w, r)
			return
		}
		http.NewResponseController(w).Flush()
		b := make([]byte, 100)
		for n := 0; n < 100; n++ {
			if _, err := io.ReadFull(r.Body, b); err != nil {
				ended <- err
				return
			}
			w.Write(b)
			http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	b := startBoth(t, server.Config{}, upstream.Config{}, backend)
	one := b.client()
	beside := b.call(one, messages)
	b.relayed(beside)

	c := b.call(one, messages+"+x")
	for range 50 {
		if err := c.pong(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	c.cancel()
	if err := <-ended; err == nil {
		t.Error("the backend saw a clean end of a stream that was reset")
	}
	c = b.call(one, messages+"+x")
	n := 0
	for ; c.pong(make([]byte, 100)) == nil; n++ {
	}
	if n > 100 {
		t.Errorf("%d messages of a stream that the backend reset after 100", n)
	}
	if rest, err := io.ReadAll(c.answer.Body); err == nil {
		t.Errorf("a stream that the backend reset ended well, with %q", rest)
	}
	if err := beside.pong(make([]byte, 5000)); err != nil {
		t.Errorf("the stream beside: %v", err)
	}
}

// TestRelayLosesConnection has each connection die under a relayed stream.
func TestRelayLosesConnection(t *testing.T) {
	var lost sync.WaitGroup
	l := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		lost.Add(1)
		defer lost.Done()
		echoes(w, r)
	})
	proxy, cutOff := between(t, l)
	b := startBoth(t, server.Config{}, upstream.Config{}, proxy)
	c := b.call(b.client(), messages)
	b.relayed(c)
	cutOff()
	if rest, err := io.ReadAll(c.answer.Body); err != nil || c.answer.Trailer.Get("Grpc-Status") != "14" {
		t.Errorf("an answer whose connection was lost ended with %q, %v and %v", rest, err, c.answer.Trailer)
	}
	lost.Wait()

	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := preface(t, conn)
	f.open(1)
	f.WriteData(1, false, make([]byte, 100))
	f.data(100)
	conn.Close()
	lost.Wait() // the backend hears of it
}

// between relays to addr, and returns where, and what breaks all connections.
func between(t *testing.T, addr string) (string, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", addr)
			if err != nil {
				c.Close()
				return
			}
			mu.Lock()
			open = append(open, c, d)
			mu.Unlock()
			running.Go(func() { io.Copy(c, d); c.Close() })
			running.Go(func() { io.Copy(d, c); d.Close() })
		}
	})
	cutOff := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			c.Close()
		}
	}
	t.Cleanup(func() { l.Close(); cutOff(); running.Wait() })
	return l.Addr().String(), cutOff
}

// TestRelayCrowd has many streams begin, talk and end in any way, on a few
// connections: none gets what is another's.
func TestRelayCrowd(t *testing.T) {
	b := startBoth(t, server.Config{}, upstream.Config{}, serveH2C(t, echoes))
	var crowd sync.WaitGroup
	for i := range 4 {
		one := b.client()
		for j := range 10 {
			crowd.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				for k := range 8 {
					c := b.call(one, messages)
					for n := range r.IntN(30) {
						m := bytes.Repeat([]byte(fmt.Sprintf("%d/%d/%d/%d ", i, j, k, n)), 1+r.IntN(200))
						if err := c.pong(m); err != nil {
							t.Error(err)
						}
					}
					switch r.IntN(3) {
					case 0:
						c.Write([]byte("on its way"))
						fallthrough
					case 1:
						c.cancel()
					case 2:
						c.end()
						if _, err := io.ReadAll(c.answer.Body); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
	crowd.Wait()
}

// framer is one side of a connection, frame by frame.
type framer struct {
	*http2.Framer
	t      *testing.T
	window int64 // what the stream's other side takes; with that of the connection out of the way
	got    int64 // content received
}

// preface begins a connection as a client that has large windows.
func preface(t *testing.T, c net.Conn) *framer {
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, http2.ClientPreface)
	f := &framer{Framer: http2.NewFramer(c, c), t: t}
	f.WriteSettings()
	return f
}

// open begins a stream of messages.
func (f *framer) open(id uint32) {
	block := []byte{0x83, 0x86, 0x84, 0x01, 1, 'a'} // POST, http, /, :authority a
	block = append(block, 0x0f, 0x10, byte(len(messages)))
	block = append(block, messages...) // content-type
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
}

// next reads a frame, answers what must be, and counts content and windows.
func (f *framer) next() http2.Frame {
	f.t.Helper()
	fr, err := f.ReadFrame()
	if err != nil {
		f.t.Fatal(err)
	}
	switch fr := fr.(type) {
	case *http2.SettingsFrame:
		if v, ok := fr.Value(http2.SettingInitialWindowSize); ok {
			f.window += int64(v)
		}
		if !fr.IsAck() {
			f.WriteSettingsAck()
		}
	case *http2.WindowUpdateFrame:
		if fr.StreamID > 0 {
			f.window += int64(fr.Increment)
		}
	case *http2.DataFrame:
		f.got += int64(len(fr.Data()))
	}
	return fr
}

// data reads until so much content has come.
func (f *framer) data(n int64) {
	f.t.Helper()
	for f.got < n {
		f.next()
	}
}

// quiet reads until a ping has come back.
func (f *framer) quiet() {
	f.t.Helper()
	f.WritePing(false, [8]byte{1})
	for {
		if p, ok := f.next().(*http2.PingFrame); ok && p.IsAck() {
			return
		}
	}
}

// pattern is content that says where in its stream it belongs.
func pattern(at int64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		k := at + int64(i)
		p[i] = byte(k ^ k>>8 ^ k>>16)
	}
	return p
}

// serveFrames is a backend of one connection that answers each stream with a head,
// opens no window, and does the rest by f once a stream has begun.
func serveFrames(t *testing.T, f func(*framer)) string {
	return raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		s := &framer{Framer: http2.NewFramer(c, r), t: t}
		s.WriteSettings()
		for {
			fr, err := s.ReadFrame()
			if err != nil {
				return
			}
			switch fr := fr.(type) {
			case *http2.SettingsFrame:
				if !fr.IsAck() {
					s.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				s.WriteHeaders(http2.HeadersFrameParam{StreamID: fr.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true})
				f(s)
				return
			}
		}
	})
}

// TestRelayHoldsClient has a backend that takes nothing beyond its window: no more
// is taken from the client than that and the stream's buffer, and all arrives in
// order once the window opens.
func TestRelayHoldsClient(t *testing.T) {
	const all, first = 1 << 20, 65_535
	opened, arrived := make(chan struct{}), make(chan error, 1)
	backend := serveFrames(t, func(f *framer) {
		go func() {
			<-opened
			f.WriteWindowUpdate(0, 2*all)
			f.WriteWindowUpdate(1, 2*all)
		}()
		for at := int64(0); ; {
			fr, err := f.ReadFrame()
			d, ok := fr.(*http2.DataFrame)
			switch {
			case err != nil:
				arrived <- err
				return
			case !ok:
			case !bytes.Equal(d.Data(), pattern(at, len(d.Data()))):
				arrived <- fmt.Errorf("other content than was sent at %d", at)
				return
			default:
				if at += int64(len(d.Data())); d.StreamEnded() {
					arrived <- nil
					return
				}
			}
		}
	})
	b := startBoth(t, server.Config{}, upstream.Config{}, backend)
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := preface(t, conn)
	f.quiet()
	buffer := f.window
	f.open(1)
	sent := int64(0)
	for step := int64(100); sent < all; step = min(step+100, 9000) {
		n := min(step, all-sent, f.window)
		if n > 0 {
			f.WriteData(1, sent+n == all, pattern(sent, int(n)))
			sent, f.window = sent+n, f.window-n
			continue
		}
		f.quiet()
		if f.window > 0 {
			continue
		}
		select {
		case <-opened:
			f.next()
		default:
			if sent > first+buffer {
				t.Fatalf("%d bytes were taken for a backend that takes %d, with a buffer of %d", sent, first, buffer)
			}
			close(opened)
		}
	}
	if err := <-arrived; err != nil {
		t.Error(err)
	}
}

// TestRelayHoldsBackend has a client that takes nothing beyond its window, and a
// backend that sends more than that, yet less than the stream's buffer.
func TestRelayHoldsBackend(t *testing.T) {
	const all, first = 192 << 10, 65_535
	backend := serveFrames(t, func(f *framer) {
		for at, n := int64(0), 0; at < all; at += int64(n) {
			n = int(min(1+at/16, 8000, all-at))
			f.WriteData(1, at+int64(n) == all, pattern(at, n))
		}
		for { // until the gateway goes
			if _, err := f.ReadFrame(); err != nil {
				return
			}
		}
	})
	b := startBoth(t, server.Config{}, upstream.Config{}, backend)
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := preface(t, conn)
	f.open(1)
	check := func(fr http2.Frame) (ended bool) {
		d, ok := fr.(*http2.DataFrame)
		if !ok {
			return false
		}
		if n := int64(len(d.Data())); !bytes.Equal(d.Data(), pattern(f.got-n, int(n))) {
			t.Fatalf("other content than was sent before %d", f.got)
		}
		return d.StreamEnded()
	}
	for f.got < first {
		check(f.next())
	}
	f.quiet()
	if f.got > first {
		t.Fatalf("%d bytes for a client that takes %d", f.got, first)
	}
	f.WriteWindowUpdate(0, 2*all)
	f.WriteWindowUpdate(1, 2*all)
	for !check(f.next()) {
	}
	if f.got != all {
		t.Errorf("%d bytes of %d", f.got, all)
	}
}

// TestRelayLimits has content that may be only so long: it is held to that, and
// messages are not.
func TestRelayLimits(t *testing.T) {
	const most = 64 << 10
	var taken atomic.Int64
	backend := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, counter{&taken}), r.Body}
		echoes(w, r)
	})
	b := startBoth(t, server.Config{MaxBody: most}, upstream.Config{}, backend)
	c := b.call(b.client(), "text/plain")
	for i := 0; c.pong(make([]byte, 1000)) == nil; i++ {
		if i > 2*most/1000 {
			t.Fatal("there is no limit")
		}
	}
	if n := taken.Load(); n > most {
		t.Errorf("the backend was sent %d bytes of %d", n, most)
	}
	c = b.call(b.client(), messages)
	for total := b.relayed(c); total < 2*most; total += 1000 {
		if err := c.pong(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestRelayPatience has streams that go on for longer than either side may be
// silent, and then are.
func TestRelayPatience(t *testing.T) {
	const patience = time.Second
	var client server.Config
	client.Timeouts.Read = patience
	for name, one := range map[string]struct {
		client  server.Config
		backend upstream.Config
	}{
		"client":  {client, upstream.Config{}},
		"backend": {server.Config{}, upstream.Config{ReadTimeout: patience, StreamTimeout: patience}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBoth(t, one.client, one.backend, serveH2C(t, echoes))
			c := b.call(b.client(), messages)
			for began := time.Now(); time.Since(began) < patience+patience/4; {
				if err := c.pong(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
			}
			rest, err := io.ReadAll(c.answer.Body)
			if told := c.answer.Trailer.Get("Grpc-Message"); (err == nil) != (name == "backend") || err == nil && told != "backend_aborted" {
				t.Errorf("a silent stream ended with %q, %v and %q", rest, err, told)
			}
		})
	}
}

// TestRelayOneWay has streams on which one side alone says something, for longer than
// the other may be silent.
func TestRelayOneWay(t *testing.T) {
	const patience, pieces = 500 * time.Millisecond, 12
	piece := bytes.Repeat([]byte("x"), 100)
	var client server.Config
	client.Timeouts.Read = patience
	t.Run("backend", func(t *testing.T) {
		t.Parallel()
		c := startBoth(t, client, upstream.Config{}, serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
			for range pieces {
				w.Write(piece)
				http.NewResponseController(w).Flush()
				time.Sleep(patience / 4)
			}
		}))
		answer := c.call(c.client(), messages).answer
		if b, err := io.ReadAll(answer.Body); err != nil || len(b) != pieces*len(piece) {
			t.Errorf("got %d bytes, %v, trailer %v", len(b), err, answer.Trailer)
		}
	})
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		b := startBoth(t, server.Config{}, upstream.Config{StreamTimeout: patience}, serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, " ", err)
		}))
		c := b.call(b.client(), messages)
		for range pieces {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(patience / 4)
		}
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c.answer.Body); err != nil || string(got) != "1200 <nil>" {
			t.Errorf("got %q, %v, trailer %v", got, err, c.answer.Trailer)
		}
	})
}
