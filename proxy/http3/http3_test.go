package http3

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handler func(x *exchange.Exchange)

func (h handler) Handle(x *exchange.Exchange) { h(x) }

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve starts a server and returns where it is.
func serve(t testing.TB, h handler, change ...func(*Config)) (*Server, net.Addr) {
	t.Helper()
	cfg := Config{
		Handler: h, Limits: wire.Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}, Streams: 100, MaxBody: 1 << 20,
		Timeouts: Timeouts{Idle: time.Minute, Read: 500 * time.Millisecond, Write: time.Second},
	}
	for _, f := range change {
		f(&cfg)
	}
	transport := cfg.QUIC()
	s := New(cfg)
	ln, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{Protocol}}, transport)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			running.Go(func() { s.Serve(c, &exchange.Conn{}) })
		}
	})
	t.Cleanup(func() {
		s.Drain()
		_ = ln.Close()
		running.Wait()
	})
	return s, ln.Addr()
}

func dial(t testing.TB, addr net.Addr) *quic.Conn {
	t.Helper()
	c, err := quic.DialAddr(context.Background(), addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{Protocol}}, nil) //nolint:gosec // a test's own certificate
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseWithError(codeNo, "") })
	return c
}

// echo answers with the request's target and content.
func echo(x *exchange.Exchange) {
	var content []byte
	for x.Request.Body != nil {
		p, err := x.Request.Body.Next()
		content = append(content, p...)
		if err == io.EOF {
			break
		}
		if err != nil {
			x.Fail(err)
			_ = x.WriteReply()
			return
		}
	}
	cookie, _ := x.Request.Header.Get("cookie")
	content = append([]byte(x.Request.Method+" "+x.Request.Host+" "+x.Request.Path+" "+cookie+" "), content...)
	x.Response.Status, x.Response.ContentLength = 200, int64(len(content))
	for _, f := range x.Request.Trailer {
		x.Response.Trailer.Add(f.Name, f.Value)
	}
	_ = x.Writer.Head(x)
	_, _ = x.Writer.Write(content)
	_ = x.Writer.End(x)
}

func headers(fields ...string) []byte {
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	if len(fields) == 0 {
		block.Write([]byte{0, 0})
	}
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return append(appendFrame(nil, frameHeaders, block.Len()), block.Bytes()...)
}

func data(s string) []byte { return append(appendFrame(nil, frameData, len(s)), s...) }

// ask sends bytes as a request, and tells what came of it: the status and content
// of the answer, "reset CODE" or "closed CODE".
func ask(t testing.TB, addr net.Addr, request ...[]byte) string {
	t.Helper()
	c := dial(t, addr)
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_ = str.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = str.Write(bytes.Join(request, nil))
	_ = str.Close()
	return answer(t, c, str)
}

func answer(t testing.TB, c *quic.Conn, str *quic.Stream) string {
	t.Helper()
	in := input{str: str, buf: make([]byte, 64<<10)}
	var out []string
	for {
		kind, length, err := in.frame()
		var p []byte
		if err == nil {
			p, err = in.whole(int(length))
		}
		var reset *quic.StreamError
		var closed *quic.ApplicationError
		_, cause := str.Read(nil)
		switch {
		case err == io.EOF:
			return strings.Join(out, "|")
		// The stream hears of the end of its connection before the connection's context does.
		case err != nil && (errors.As(cause, &closed) || errors.As(context.Cause(c.Context()), &closed)):
			return "closed " + strconv.FormatUint(uint64(closed.ErrorCode), 16)
		case err != nil && errors.As(cause, &reset):
			return "reset " + strconv.FormatUint(uint64(reset.ErrorCode), 16)
		case err != nil:
			return err.Error()
		case kind == frameData:
			out = append(out, string(p))
		case kind == frameHeaders:
			next := qpack.NewDecoder().Decode(p)
			for f, err := next(); err == nil; f, err = next() {
				if f.Name == ":status" || strings.HasPrefix(f.Name, "x-") {
					out = append(out, f.Value)
				}
			}
		}
	}
}

func TestRequests(t *testing.T) {
	var handled atomic.Int32
	_, addr := serve(t, func(x *exchange.Exchange) {
		handled.Add(1)
		echo(x)
	})
	base := []string{":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/"}
	with := func(more ...string) []byte { return headers(append(append([]string{}, base...), more...)...) }
	grease := append(appendFrame(nil, 0x21, 3), "abc"...)
	for _, c := range []struct {
		name    string
		want    string
		request [][]byte
	}{
		{"plain", "200|GET a.example /  ", [][]byte{with()}},
		{"cookies", "200|GET a.example / a=1; b=2 ", [][]byte{with("cookie", "a=1", "cookie", "b=2")}},
		{"unknown frames", "200|GET a.example /  xy", [][]byte{grease, with(), grease, data("x"), grease, data("y"), grease}},
		{"trailers", "200|GET a.example /  x|1", [][]byte{with(), data("x"), headers("x-sum", "1")}},
		{"length", "200|GET a.example /  xy", [][]byte{with("content-length", "2"), data("x"), data("y")}},
		{"length 0", "200|GET a.example /  ", [][]byte{with("content-length", "0"), data("")}},
		{"empty data", "200|GET a.example /  xy", [][]byte{with("content-length", "2"), data(""), data("x"), data(""), data("y")}},
		{"host, port of the scheme", "200|GET a.example /  ", [][]byte{with("host", "a.example:443")}},
		{"host alone", "200|GET b /  ", [][]byte{headers(":method", "GET", ":scheme", "https", ":path", "/", "host", "b")}},
		{"large", "413", [][]byte{with("content-length", "2000000")}},
		{"connect", "501", [][]byte{headers(":method", "CONNECT", ":authority", "a")}},
		{"expectation", "417", [][]byte{with("expect", "miracles")}},
		{"continue", "100|200|GET a.example /  x", [][]byte{with("expect", "100-continue", "content-length", "1"), data("x")}},
		{"head too large", "431", [][]byte{with("x-big", strings.Repeat("a", 12000), "x-big", strings.Repeat("a", 12000))}},
		{"head said to be too large", "431", [][]byte{appendFrame(nil, frameHeaders, 1<<20)}},
		{"trailers said to be too large", "431", [][]byte{with(), data("x"), appendFrame(nil, frameHeaders, 1<<20)}},
		{"bad target", "400", [][]byte{headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/a b")}},

		{"content short", "reset 10e", [][]byte{with("content-length", "2"), data("x")}},
		{"content short of its length, and trailers", "reset 10e", [][]byte{with("content-length", "2"), data("x"), headers("x-sum", "1")}},
		{"content long", "reset 10e", [][]byte{with("content-length", "1"), data("xy")}},
		{"two lengths", "reset 10e", [][]byte{with("content-length", "1", "content-length", "1"), data("x")}},
		{"upper case", "reset 10e", [][]byte{with("X-Upper", "1")}},
		{"null in a name", "reset 10e", [][]byte{with("x\x00a", "1")}},
		{"empty name", "reset 10e", [][]byte{with("", "1")}},
		{"line feed", "reset 10e", [][]byte{with("x-a", "a\nb")}},
		{"connection", "reset 10e", [][]byte{with("connection", "close")}},
		{"transfer-encoding", "reset 10e", [][]byte{with("transfer-encoding", "chunked")}},
		{"te", "reset 10e", [][]byte{with("te", "gzip")}},
		{"hosts differ", "reset 10e", [][]byte{with("host", "b")}},
		{"pseudo late", "reset 10e", [][]byte{with("x-a", "1", ":path", "/")}},
		{"pseudo twice", "reset 10e", [][]byte{with(":path", "/")}},
		{"pseudo unknown", "reset 10e", [][]byte{with(":protocol", "websocket")}},
		{"status", "reset 10e", [][]byte{with(":status", "200")}},
		{"no path", "reset 10e", [][]byte{headers(":method", "GET", ":scheme", "https", ":authority", "a")}},
		{"no authority", "reset 10e", [][]byte{headers(":method", "GET", ":scheme", "https", ":path", "/")}},
		{"scheme", "reset 10e", [][]byte{headers(":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/")}},

		{"data first", "closed 105", [][]byte{data("x")}},
		{"settings", "closed 105", [][]byte{appendFrame(nil, frameSettings, 0)}},
		{"cut off", "closed 106", [][]byte{with()[:5]}},
		{"dynamic table", "closed 200", [][]byte{append(appendFrame(nil, frameHeaders, 3), 0, 0, 0x80)}},
		{"nothing", "reset 10d", nil},
	} {
		handled.Store(0)
		got := ask(t, addr, c.request...)
		if refused := strings.HasPrefix(c.want, "4") || strings.HasPrefix(c.want, "501"); refused {
			got, _, _ = strings.Cut(got, "|")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if n := handled.Load(); n > 0 && strings.HasPrefix(c.want, "reset") && !strings.HasPrefix(c.name, "content ") {
			t.Errorf("%s: the handler heard of it", c.name)
		}
	}
}

// Content that comes behind a length of 0 makes a request malformed (section 4.1.2), which
// nobody is to get.
func TestContentOfNoLength(t *testing.T) {
	_, addr := serve(t, func(*exchange.Exchange) { t.Error("the handler heard of it") })
	c := dial(t, addr)
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_ = str.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = str.Write(headers(":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/", "content-length", "0"))
	time.Sleep(50 * time.Millisecond) // in packets of their own
	_, _ = str.Write(data("x"))
	if got := answer(t, c, str); got != "reset 10e" {
		t.Errorf("%q", got)
	}
}

// The control streams of a client that breaks their rules.
func TestControlStreams(t *testing.T) {
	_, addr := serve(t, echo)
	settings := append([]byte{streamControl}, appendFrame(nil, frameSettings, 0)...)
	frames := func(kindsAndIDs ...byte) []byte {
		b := append([]byte{}, settings...)
		for i := 0; i < len(kindsAndIDs); i += 2 {
			b = append(appendFrame(b, uint64(kindsAndIDs[i]), 1), kindsAndIDs[i+1])
		}
		return b
	}
	for _, c := range []struct {
		name    string
		want    uint64
		streams [][]byte
	}{
		{"no settings", codeNoSettings, [][]byte{append([]byte{streamControl}, data("x")...)}},
		{"settings twice", codeUnexpected, [][]byte{append(append([]byte{}, settings...), appendFrame(nil, frameSettings, 0)...)}},
		{"settings of HTTP/2", codeSettings, [][]byte{append(append([]byte{streamControl}, appendFrame(nil, frameSettings, 2)...), 2, 0)}},
		{"setting 0", codeSettings, [][]byte{append(append([]byte{streamControl}, appendFrame(nil, frameSettings, 2)...), 0, 0)}},
		{"setting without a value", codeFrame, [][]byte{append(append([]byte{streamControl}, appendFrame(nil, frameSettings, 3)...), 8, 1, 8)}},
		{"long settings", codeLoad, [][]byte{append([]byte{streamControl}, appendFrame(nil, frameSettings, maxSettings+1)...)}},
		{"two control streams", codeCreation, [][]byte{settings, settings}},
		{"push", codeCreation, [][]byte{{streamPush}}},
		{"fewer pushes", codeID, [][]byte{frames(frameMaxPush, 3, frameMaxPush, 2)}},
		{"cancelled push", codeID, [][]byte{frames(frameCancelPush, 0)}},
		{"later goaway", codeID, [][]byte{frames(frameMaxPush, 3, frameMaxPush, 3, frameGoaway, 4, frameGoaway, 4, frameGoaway, 5)}},
		{"long goaway", codeFrame, [][]byte{append(append(append([]byte{}, settings...), appendFrame(nil, frameGoaway, 2)...), 0, 0)}},
		{"short goaway", codeFrame, [][]byte{append(append(append([]byte{}, settings...), appendFrame(nil, frameGoaway, 1)...), 0x40, 0)}},
		{"encoder", codeEncoder, [][]byte{{streamEncoder, 0x3f, 0x10}}},
		{"insert count", codeDecoder, [][]byte{{streamDecoder, 0x00}}},
		{"acknowledgment", codeDecoder, [][]byte{{streamDecoder, 0x40, 0x7f, 0x80, 0x01, 0x80}}},
	} {
		conn := dial(t, addr)
		for _, b := range c.streams {
			str, err := conn.OpenUniStream()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = str.Write(b)
		}
		select {
		case <-conn.Context().Done():
		case <-time.After(5 * time.Second):
		}
		var closed *quic.ApplicationError
		if err := context.Cause(conn.Context()); !errors.As(err, &closed) || uint64(closed.ErrorCode) != c.want {
			t.Errorf("%s: %v, want %x", c.name, err, c.want)
		}
	}
}

// A client that is slow to say what it wants does not keep its stream.
func TestSlowHead(t *testing.T) {
	_, addr := serve(t, echo)
	c := dial(t, addr)
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_ = str.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = str.Write([]byte{frameHeaders})
	if got := answer(t, c, str); got != "reset 10d" {
		t.Errorf("got %q", got)
	}
}

// Requests under way are answered when the server drains; later ones are rejected.
func TestDrain(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, func(x *exchange.Exchange) {
		close(begun)
		<-finish
		echo(x)
	})
	c := dial(t, addr)
	first, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	get := headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	_, _ = first.Write(get)
	_ = first.Close()
	<-begun
	s.Drain()
	time.Sleep(linger + 100*time.Millisecond)
	late, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = late.Write(get)
	if got := answer(t, c, late); got != "reset 10b" {
		t.Errorf("late: %q", got)
	}
	close(finish)
	if got := answer(t, c, first); got != "200|GET a /  " {
		t.Errorf("under way: %q", got)
	}
	select {
	case <-c.Context().Done():
	case <-time.After(5 * time.Second):
		t.Error("the connection stays")
	}
}

// A request that was on its way when an idle connection began to end is answered.
func TestIdleCrossed(t *testing.T) {
	_, addr := serve(t, echo, func(c *Config) { c.Timeouts.Idle = 100 * time.Millisecond })
	c := dial(t, addr)
	for range 2 {
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"))
		_ = str.Close()
		if got := answer(t, c, str); got != "200|GET a /  " {
			t.Errorf("got %q", got)
		}
		time.Sleep(200 * time.Millisecond)
	}
	select {
	case <-c.Context().Done():
	case <-time.After(5 * time.Second):
		t.Error("the connection stays")
	}
}

// A client that takes the last answer of a connection slowly gets all of it.
func TestDrainSlow(t *testing.T) {
	const size = 64 << 10
	sent := make(chan struct{})
	s, addr := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 200, size
		_ = x.Writer.Head(x)
		_, _ = x.Writer.Write(make([]byte, size))
		_ = x.Writer.End(x)
		close(sent)
	}, func(c *Config) { c.Timeouts.Write = 5 * time.Second })
	c := dial(t, addr)
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = str.Write(headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"))
	_ = str.Close()
	<-sent
	s.Drain()
	time.Sleep(3 * linger)
	if got, err := io.ReadAll(str); err != nil || len(got) < size {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_ = c.CloseWithError(codeNo, "")
}

// A client whose request was answered early may send on, for browsers that are told not to
// lose the answer; one that goes on for too long is told.
func TestEarlyAnswer(t *testing.T) {
	_, addr := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 403, 0
		_ = x.Writer.Head(x)
		_ = x.Writer.End(x)
	})
	c := dial(t, addr)
	post := []string{":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/"}
	for _, ask := range []struct {
		fields  []string
		endless bool
		want    string
	}{
		{post, false, "403"},
		{append(post, "content-length", "2000000"), false, "413"},
		{append(post, "x", strings.Repeat("y", 64<<10)), false, "431"},
		{post, true, "403"},
	} {
		endless := ask.endless
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_ = str.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = str.Write(headers(ask.fields...))
		begun := time.Now()
		for i := 0; err == nil && (endless || i < 100); i++ {
			_, err = str.Write(data(string(make([]byte, 8<<10))))
			if endless || i == 0 {
				time.Sleep(50 * time.Millisecond) // it is answered
			}
		}
		var stopped *quic.StreamError
		if !endless && err != nil {
			t.Errorf("sending on: %v", err)
		} else if endless && (!errors.As(err, &stopped) || stopped.ErrorCode != codeNo || time.Since(begun) < lingerTime) {
			t.Errorf("sending without end: %v after %v", err, time.Since(begun))
		}
		_ = str.Close()
		if got, _, _ := strings.Cut(answer(t, c, str), "|"); got != ask.want {
			t.Errorf("got %q, want %q", got, ask.want)
		}
	}
}

// Who writes content is told that all of it was taken, whether it leaves at once or not.
func TestWrite(t *testing.T) {
	_, addr := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 200, 10_000
		_ = x.Writer.Head(x)
		for _, n := range []int{10, 9_990} {
			if taken, err := x.Writer.Write(make([]byte, n)); taken != n || err != nil {
				t.Errorf("%d bytes taken of %d, %v", taken, n, err)
			}
		}
		_ = x.Writer.End(x)
		if x.Trace.BytesOut != 10_000 {
			t.Errorf("%d bytes are counted", x.Trace.BytesOut)
		}
	})
	if got := ask(t, addr, headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")); !strings.HasPrefix(got, "200|") {
		t.Errorf("got %q", got)
	}
}

// An answer that ends before its length is broken off, not ended.
func TestShortAnswer(t *testing.T) {
	_, addr := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 200, 10
		_ = x.Writer.Head(x)
		_, _ = x.Writer.Write(make([]byte, 9))
		if x.Writer.End(x) == nil {
			t.Error("all is well with it")
		}
	})
	if got := ask(t, addr, headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")); got != "reset 102" {
		t.Errorf("got %q", got)
	}
}

// Datagrams of nonsense make no difference to anybody.
func TestGarbage(t *testing.T) {
	_, addr := serve(t, echo)
	c, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for i := range 2000 {
		p := make([]byte, 1+i%1400)
		_, _ = rand.Read(p)
		if i%2 == 0 {
			p[0] |= 0xc0 // a long header
		}
		_, _ = c.Write(p)
	}
	if got := ask(t, addr, headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")); got != "200|GET a /  " {
		t.Errorf("after garbage: %q", got)
	}
}
