package http2

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handler func(x *exchange.Exchange)

func (h handler) Handle(x *exchange.Exchange) { h(x) }

// serve starts a server and returns its address and a client of prior knowledge.
func serve(t *testing.T, h handler) (*Server, string, *http.Client) {
	t.Helper()
	s := New(Config{
		Handler: h, Limits: wire.Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100},
		Streams: 100, Timeouts: Timeouts{Idle: time.Minute, Read: 500 * time.Millisecond, Write: time.Second}, Log: logr.Discard(),
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() {
				ahead := make([]byte, 3) // as http1 hands over what it has read
				if _, err := io.ReadFull(c, ahead); err == nil {
					s.Serve(c, ahead, &exchange.Conn{})
				}
				_ = c.Close()
			})
		}
	})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() {
		_ = ln.Close()
		transport.CloseIdleConnections()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return s, "http://" + ln.Addr().String(), &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// echo answers with what it was asked.
func echo(x *exchange.Exchange) {
	q, a := &x.Request, &x.Response
	var content []byte
	if _, ok := q.Header.Get("x-unread"); ok {
		<-x.Context.Done()
		return
	}
	for q.Body != nil {
		p, err := q.Body.Next()
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
	a.Status, a.ContentLength = 200, int64(len(content))
	a.Header.Add("x-request", q.Method+" "+q.Scheme+" "+q.Authority+" "+q.Host+" "+q.Path+" "+q.RawQuery)
	te, _ := q.Header.Get("te")
	one, _ := q.Header.Get("x-one")
	a.Header.Add("X-One", one+te)
	a.Header.Add("x-two", "a")
	a.Header.Add("X-Two", "b")
	a.Header.Add("Connection", "close")
	_ = x.Writer.Head(x)
	if q.Method != "HEAD" {
		_, _ = x.Writer.Write(content)
	}
	for i := range q.Trailer {
		a.Trailer.Add(q.Trailer[i].Name, q.Trailer[i].Value)
	}
	_ = x.Writer.End(x)
}

func TestExchange(t *testing.T) {
	_, url, client := serve(t, echo)
	big := strings.Repeat("0123456789", 100_000)
	for range 3 { // streams are reused
		r, err := http.NewRequest("POST", url+"/a%2Fb?q=1", io.NopCloser(strings.NewReader(big)))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "A.Example.com:8080"
		r.Header.Set("X-One", "1")
		r.Header.Set("Te", "trailers")
		r.Trailer = http.Header{"X-Sum": {"42"}}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(a.Body)
		if err != nil || string(content) != big {
			t.Fatalf("content of %d bytes, %v", len(content), err)
		}
		if got := a.Header.Get("X-Request"); got != "POST http A.Example.com:8080 a.example.com /a%2Fb q=1" {
			t.Errorf("request %q", got)
		}
		if a.Header.Get("X-One") != "1" || strings.Join(a.Header["X-Two"], ",") != "a,b" || a.Header["Content-Type"] != nil || a.Header["Connection"] != nil {
			t.Errorf("header %v", a.Header)
		}
		if a.Trailer.Get("X-Sum") != "42" || a.ContentLength != int64(len(big)) {
			t.Errorf("trailer %v, length %d", a.Trailer, a.ContentLength)
		}
	}
	a, err := client.Head(url)
	if err != nil || a.StatusCode != 200 || a.ContentLength != 0 {
		t.Errorf("HEAD: %v, %v", a, err)
	}
}

// ask sends one request as given, which a client library would not, and
// returns the status of the answer, or the code of the reset.
func ask(t *testing.T, url string, fields ...string) string {
	t.Helper()
	r := dial(t, url)
	r.ask(1, true, fields...)
	status, _, _ := strings.Cut(r.next(), " ")
	return status
}

func TestRefused(t *testing.T) {
	_, url, _ := serve(t, echo)
	for _, c := range []struct {
		want   string
		fields []string
	}{
		{"200", []string{":path", "/"}},
		{"400", []string{":path", "/", "connection", "close"}},
		{"400", []string{":path", "/", "transfer-encoding", "chunked"}},
		{"400", []string{":path", "/", "upgrade", "websocket"}},
		{"400", []string{":path", "/", "te", "gzip"}},
		{"417", []string{":path", "/", "expect", "200-maybe"}},
		{"400", []string{":path", "/", "content-length", "x"}},
		{"400", []string{":path", "/", "content-length", "1", "content-length", "2"}},
		{"400", []string{":path", "/a b"}},
		{"400", []string{":path", "/a\\b"}},
		{"400", []string{":path", "*"}},
		{"414", []string{":path", "/" + strings.Repeat("a", 5000)}},
		{"431", []string{":path", "/", "x-big", strings.Repeat("a", 9000), "x-big", strings.Repeat("a", 9000)}},
		{"400", []string{":path", "/", "host", "b"}},
		{"400", []string{":path", "/", "X-Upper", "b"}},
		{"400", []string{":path", "/", "x-value", "a\nb"}},
		{"400", []string{":path", "http://b/"}},
	} {
		if got := ask(t, url, append([]string{":method", "GET", ":scheme", "http", ":authority", "a"}, c.fields...)...); got != c.want {
			t.Errorf("%.60v: %s, want %s", c.fields, got, c.want)
		}
	}
	for want, fields := range map[string][]string{
		"400": {":method", "G(T", ":scheme", "http", ":authority", "a", ":path", "/"},
		"501": {":method", "CONNECT", ":authority", "a"},
	} {
		if got := ask(t, url, fields...); got != want {
			t.Errorf("%v: %s, want %s", fields, got, want)
		}
	}
	if got := ask(t, url, ":method", "GET", ":scheme", "http", ":authority", "a,b", ":path", "/"); got != "400" {
		t.Errorf("authority with a comma: %s", got)
	}
}

// duplex answers with what it is asked, while it is asked.
func duplex(x *exchange.Exchange) {
	x.Response.Status, x.Response.ContentLength = 200, -1
	_ = x.Writer.Head(x)
	for {
		p, err := x.Request.Body.Next()
		if err != nil {
			break
		}
		_, _ = x.Writer.Write(p)
		_ = x.Writer.Flush()
	}
	_ = x.Writer.End(x)
}

func TestFullDuplex(t *testing.T) {
	_, url, client := serve(t, duplex)
	in, out := io.Pipe()
	a, err := client.Post(url, "", in) // returns with the head, before any content was sent
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	for _, s := range []string{"ping", "pong"} {
		_, _ = io.WriteString(out, s)
		if _, err := io.ReadFull(a.Body, got); err != nil || string(got) != s {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = out.Close()
	if rest, err := io.ReadAll(a.Body); len(rest) > 0 || err != nil {
		t.Errorf("rest %q, %v", rest, err)
	}
}

// TestEarlyAnswer has an answer before the content has come: the client may send on,
// for some that are reset then lose the answer; one that sends nothing more is.
func TestEarlyAnswer(t *testing.T) {
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 403, 0
		_ = x.Writer.Head(x)
		_ = x.Writer.End(x)
	})
	s.cfg.MaxBody = 1 << 20
	for want, fields := range map[string][]string{
		"403 on 1 end": nil, "413 on 1": {"content-length", "2000000"}, "431 on 1": {"x", strings.Repeat("y", s.cfg.Limits.Head)},
	} {
		r := dial(t, url)
		r.ask(1, false, common("POST", fields...)...)
		r.until(want)
		for range 30 { // within the window
			r.send(frame.Data, 0, 1, make([]byte, 8<<10)...)
		}
		r.send(frame.Data, 0, 3)
		if got := r.until("reset", "goaway"); got != "goaway PROTOCOL_ERROR 1" { // for stream 3
			t.Errorf("%s: %s", want, got)
		}
	}
	r := dial(t, url)
	begun := time.Now()
	r.ask(1, false, common("POST")...)
	if got := r.until("reset", "goaway"); got != "reset NO_ERROR on 1" || time.Since(begun) < lingerTime {
		t.Errorf("%s after %v", got, time.Since(begun))
	}
}

func TestUnfinishedAnswerIsReset(t *testing.T) {
	for name, length := range map[string]int64{"unknown length": -1, "known length": 100} {
		_, url, client := serve(t, func(x *exchange.Exchange) {
			x.Response.Status, x.Response.ContentLength = 200, length
			_ = x.Writer.Head(x)
			_, _ = x.Writer.Write([]byte("half"))
			_ = x.Writer.Flush()
		})
		a, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		var reset http2.StreamError
		if _, err := io.ReadAll(a.Body); !errors.As(err, &reset) {
			t.Errorf("%s: the client took half an answer for whole: %v", name, err)
		}
	}
}

func TestSlowContentTimesOut(t *testing.T) {
	_, url, client := serve(t, echo)
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	a, err := client.Post(url, "", in)
	if err != nil || a.StatusCode != 408 {
		t.Fatalf("%v, %v", a, err)
	}
}

func TestContentLimit(t *testing.T) {
	s, url, client := serve(t, echo)
	s.cfg.MaxBody = 1000
	for name, body := range map[string]io.Reader{
		"declared": strings.NewReader(strings.Repeat("a", 1001)), "streamed": io.NopCloser(strings.NewReader(strings.Repeat("a", 1001))),
	} {
		if a, err := client.Post(url, "", body); err != nil || a.StatusCode != 413 {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if a, err := client.Post(url, "", strings.NewReader(strings.Repeat("a", 1000))); err != nil || a.StatusCode != 200 {
		t.Errorf("just fits: %v, %v", a, err)
	}
}

func TestCancel(t *testing.T) {
	_, url, client := serve(t, func(x *exchange.Exchange) {
		stream, result := x.Request.Body, make(chan error)
		go func() {
			_, err := stream.Next()
			result <- err
		}()
		time.Sleep(10 * time.Millisecond)
		stream.Cancel()
		x.Fail(<-result)
		_ = x.WriteReply()
	})
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	if a, err := client.Post(url, "", in); err != nil || a.StatusCode != 499 {
		t.Fatalf("%v, %v", a, err)
	}
}

func TestDrain(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	s, url, client := serve(t, func(x *exchange.Exchange) {
		if x.Request.Path == "/slow" {
			close(started)
			<-finish
		}
		echo(x)
	})
	result := make(chan error)
	go func() {
		a, err := client.Get(url + "/slow")
		if err == nil && a.StatusCode != 200 {
			err = errors.New(a.Status)
		}
		result <- err
	}()
	<-started
	s.Drain()
	time.Sleep(20 * time.Millisecond)
	close(finish)
	if err := <-result; err != nil {
		t.Errorf("a stream that was open when the drain began: %v", err)
	}
	if _, err := client.Get(url + "/after"); err == nil {
		t.Error("a drained server took a connection")
	}
}
