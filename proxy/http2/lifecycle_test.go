package http2

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// TestTwoStepDrain follows the frames of a drain: a request that was on its way
// when it began is answered still.
func TestTwoStepDrain(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		if x.Request.Method == "PUT" {
			close(started)
			<-release
		}
		echo(x)
	})
	r := dial(t, url)
	r.ask(1, true, common("PUT")...)
	<-started
	s.Drain()
	r.until("goaway NO_ERROR 2147483647")
	r.until("ping " + pong)
	r.ask(3, true, common("GET")...)
	r.until("200 on 3")
	r.send(frame.Ping, frame.Ack, 0, []byte(pong)...)
	r.until("goaway NO_ERROR 3")
	r.ask(5, true, common("GET")...) // told that it is not looked at
	close(release)
	if got := r.next(); got != "200 on 1 end" {
		t.Errorf("got %q", got)
	}
	if got := r.next(); got != "closed" {
		t.Errorf("got %q", got)
	}
}

// TestDrainCrossed has a client that does not answer the PING, and whose request, with content and
// trailer fields, crosses the final GOAWAY: those that were taken are answered, and what ends
// the connection does not say that it was one of them.
func TestDrainCrossed(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		started <- struct{}{}
		<-release
		echo(x)
	})
	r := dial(t, url)
	r.ask(1, true, common("PUT")...)
	r.ask(3, true, common("PUT")...)
	<-started
	<-started
	s.Drain()
	r.until("goaway NO_ERROR 3")
	r.ask(5, false, common("POST")...)
	r.send(frame.Data, 0, 5, 'a')
	r.ask(5, true, "x-sum", "1")
	r.send(frame.Ping, 0, 0, []byte("all sent")...)
	if got := r.next(); got != "ping all sent" {
		t.Errorf("got %q", got)
	}
	release <- struct{}{}
	if got := r.next(); !strings.HasPrefix(got, "200 on") {
		t.Errorf("got %q", got)
	}
	r.send(frame.PushPromise, 0, 5)
	if got := r.next(); got != "goaway PROTOCOL_ERROR 3" {
		t.Errorf("got %q", got)
	}
	close(release)
}

// TestDrainWithinHead has a request whose head is not complete when the final GOAWAY leaves: it
// is not looked at, and the client is told so.
func TestDrainWithinHead(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		close(started)
		<-release
		echo(x)
	})
	s.cfg.Timeouts.Head = 2 * roundTrip
	r := dial(t, url)
	r.ask(1, true, common("PUT")...)
	<-started
	s.Drain()
	r.until("ping " + pong)
	block := r.fields(common("GET")...)
	r.send(frame.Headers, frame.EndStream, 3, block[:1]...)
	if got := r.next(); got != "goaway NO_ERROR 1" {
		t.Errorf("got %q", got)
	}
	r.send(frame.Continuation, frame.EndHeaders, 3, block[1:]...)
	close(release)
	if got := r.next(); got != "200 on 1 end" {
		t.Errorf("got %q", got)
	}
	if got := r.next(); got != "closed" {
		t.Errorf("got %q", got)
	}
}

// TestDrainIdle has clients without a stream: one answers the PING, one does not.
func TestDrainIdle(t *testing.T) {
	s, url, _ := serve(t, echo)
	r, deaf := dial(t, url), dial(t, url)
	for _, r := range []*raw{r, deaf} {
		r.ask(1, true, common("GET")...)
		r.until("200 on 1")
	}
	start := time.Now()
	s.Drain()
	r.until("ping")
	r.send(frame.Ping, frame.Ack, 0, []byte(pong)...)
	r.until("goaway NO_ERROR 1")
	r.until("closed")
	if d := time.Since(start); d > roundTrip/2 {
		t.Errorf("closed after %v", d)
	}
	deaf.until("goaway NO_ERROR 1")
	deaf.until("closed")
	if d := time.Since(start); d > 3*roundTrip {
		t.Errorf("closed after %v", d)
	}
}

// TestFinish has answers that ask the client to leave, while new connections are served.
func TestFinish(t *testing.T) {
	s, url, _ := serve(t, echo)
	r := dial(t, url)
	r.ask(1, true, common("GET")...)
	r.until("200 on 1")
	s.Finish()
	for range 2 {
		r.ask(3, true, common("GET")...)
		r.until("goaway NO_ERROR 2147483647")
		r.until("200 on 3")
		r.send(frame.Ping, frame.Ack, 0, []byte(pong)...)
		r.until("goaway NO_ERROR 3")
		r.until("closed")
		r = dial(t, url)
	}
}

// TestContinue has clients that wait for 100 Continue, and one that does not.
func TestContinue(t *testing.T) {
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		if s := x.Request.Body; s != nil && x.Request.Path == "/stream" {
			if err := s.Continue(); err != nil {
				t.Error(err)
			}
		}
		echo(x)
	})
	for _, path := range []string{"/", "/stream"} {
		r := dial(t, url)
		r.ask(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", path, "expect", "100-Continue")
		if got := r.next(); got != "100 on 1" {
			t.Errorf("%s: %s", path, got)
		}
		r.send(frame.Data, frame.EndStream, 1, 'a')
		if got := r.next(); got != "200 on 1" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestRefusedWaiting has a client that waits to be told to send, and is refused instead:
// it has its answer before anything else of the stream.
func TestRefusedWaiting(t *testing.T) {
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 403, 0
		_ = x.Writer.Head(x)
		_ = x.Writer.End(x)
	})
	r := dial(t, url)
	r.ask(1, false, common("POST", "content-length", "3", "expect", "100-continue")...)
	r.until("403 on 1 end")
	r.send(frame.Ping, 0, 0, []byte("answered")...)
	if got := r.next(); got != "ping answered" {
		t.Error(got)
	}
}

// TestInterim has an informational answer before the final one.
func TestInterim(t *testing.T) {
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.ContentLength = 103, -1
		x.Response.Header.Add("Link", "</a.css>; rel=preload")
		_ = x.Writer.Head(x)
		x.Response.Header = x.Response.Header[:0]
		echo(x)
	})
	r := dial(t, url)
	r.ask(1, true, common("GET")...)
	if got := r.next(); got != "103 on 1" {
		t.Error(got)
	}
	if got := r.next(); got != "200 on 1 end" {
		t.Error(got)
	}
}

// TestClientGone has handlers told that their client has gone: by a reset, by the end of
// the connection.
func TestClientGone(t *testing.T) {
	told := make(chan error, 2)
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		if x.Context.Err() != nil {
			t.Error("gone from the start")
		}
		<-x.Context.Done()
		_, err := x.Request.Body.Next()
		told <- err
		if x.Writer.Head(x) == nil && x.Writer.Flush() == nil {
			t.Error("there is somebody to answer")
		}
	})
	for _, reset := range []bool{true, false} {
		r := dial(t, url)
		r.ask(1, false, common("POST")...)
		time.Sleep(10 * time.Millisecond)
		if reset {
			r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8)
		} else {
			_ = r.Close()
		}
		if err := <-told; err != errIncomplete {
			t.Error(err)
		}
	}
}

// TestAnswerEndsEarly has an answer that is complete before the request: the client
// is told to send no more, and what it sends nevertheless is let pass.
func TestAnswerEndsEarly(t *testing.T) {
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Fail(errTooLarge)
		_ = x.WriteReply()
	})
	r := dial(t, url)
	r.ask(1, false, common("POST")...)
	r.until("413 on 1")
	r.until("reset NO_ERROR on 1")
	for range 30 { // more than the connection's window has, were it not given back
		r.send(frame.Data, 0, 1, make([]byte, 16<<10)...)
	}
	r.ask(1, true, "x-trailer", "y")
	r.ask(3, true, common("GET")...)
	r.until("413 on 3")
}

// TestTrailersOnly has an answer whose head is its end, as gRPC has it for errors.
func TestTrailersOnly(t *testing.T) {
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Reply(404, "no_route", "none")
		_ = x.WriteReply()
	})
	r := dial(t, url)
	r.ask(1, true, common("POST", "content-type", "application/grpc")...)
	if got := r.next(); got != "200 on 1 end" {
		t.Error(got)
	}
}

// TestLargeHead has a head of an answer that needs CONTINUATION, and a client that
// has changed what it keeps of header tables.
func TestLargeHead(t *testing.T) {
	_, url, client := serve(t, func(x *exchange.Exchange) {
		x.Response.Status = 200
		for range 5 {
			x.Response.Header.Add("X-Large", strings.Repeat("a", 9000)+"\n")
		}
		x.Response.Header.Add("bad name", "x")
		x.Response.Header.Add("TE", "x")
		_ = x.Writer.Head(x)
		_ = x.Writer.End(x)
	})
	a, err := client.Get(url)
	if err != nil || len(a.Header["X-Large"]) != 5 || a.Header["X-Large"][4] != strings.Repeat("a", 9000) || a.Header["Bad name"] != nil || a.Header["Te"] != nil {
		t.Errorf("%v, %v", a, err)
	}
	r := dial(t, url)
	r.send(frame.Settings, 0, 0, 0, byte(frame.HeaderTableSize), 0, 0, 0, 0)
	r.ask(1, true, common("GET")...)
	r.framer.ReadMetaHeaders.SetMaxDynamicTableSize(4096)
	r.until("200 on 1")
}

// TestReplaced has a client that begins another stream as soon as one has ended for it,
// while the handler has not returned: it has no more than it may.
func TestReplaced(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		echo(x)
		<-release
	})
	s.cfg.Streams = 3
	r := dial(t, url)
	for id := uint32(1); id < 13; id += 2 {
		r.ask(id, true, common("GET")...)
		if got, want := r.until("200", "reset", "goaway", "closed"), fmt.Sprintf("200 on %d end", id); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	r.ask(13, true, common("GET")...)
	if got := r.until("200", "reset", "goaway", "closed"); got != "reset REFUSED_STREAM on 13" {
		t.Errorf("with as many handlers again that do not return: %s", got)
	}
}

// TestDrainSlow has a client that takes an answer slowly: what the kernel has of it
// when the server is done arrives, though the client says in between that it takes more.
func TestDrainSlow(t *testing.T) {
	const size = 512 << 10
	started, release := make(chan struct{}), make(chan struct{})
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		close(started)
		<-release
		x.Response.Status, x.Response.ContentLength = 200, size
		_ = x.Writer.Head(x)
		_, _ = x.Writer.Write(make([]byte, size))
		_ = x.Writer.End(x)
	})
	s.cfg.Timeouts.Write = 5 * time.Second
	r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
	_ = r.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	_ = r.framer.WriteWindowUpdate(0, size)
	r.ask(1, true, common("GET")...)
	<-started
	s.Drain()
	r.until("ping " + pong)
	r.send(frame.Ping, frame.Ack, 0, []byte(pong)...)
	r.until("goaway NO_ERROR 1")
	close(release)
	for range 4 {
		time.Sleep(50 * time.Millisecond) // meanwhile the server is done
		_ = r.framer.WriteWindowUpdate(0, 1)
	}
	got, n, last := 0, 0, ""
	for last = r.next(); last != "closed" && !strings.HasSuffix(last, "end"); last = r.next() {
		if _, err := fmt.Sscanf(last, "data %d", &n); err == nil {
			got += n
		}
	}
	if _, err := fmt.Sscanf(last, "data %d", &n); err != nil || got+n != size {
		t.Errorf("%d bytes, then %q", got, last)
	}
}

// TestIdleCrossed has a request on its way when its connection has been idle for long enough.
func TestIdleCrossed(t *testing.T) {
	s, url, _ := serve(t, echo)
	s.cfg.Timeouts.Idle = 100 * time.Millisecond
	r := dial(t, url)
	r.ask(1, true, common("GET")...)
	r.until("200 on 1")
	r.until("goaway NO_ERROR 2147483647")
	r.ask(3, true, common("GET")...)
	r.until("200 on 3")
	r.send(frame.Ping, frame.Ack, 0, []byte(pong)...)
	r.until("goaway NO_ERROR 3")
	r.until("closed")
}
