package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	is := func(out string, want Totals, good bool) {
		t.Helper()
		got, err := parseWrk([]byte(out))
		if (err == nil) != good || good && got != want {
			t.Errorf("%q: got %+v, %v", out, got, err)
		}
	}
	is("Running 3s test\n{\"requests\":7,\"microseconds\":3,\"refused\":1,\"broken\":2,\"bytes\":5}\n", Totals{Requests: 6, Failed: 3, Microseconds: 3, Bytes: 5}, true)
	is("unable to connect", Totals{}, false)
	is("", Totals{}, false)
}

func TestParseH2load(t *testing.T) {
	is := func(out string, want Totals, good bool) {
		t.Helper()
		got, err := parseH2load([]byte(out))
		if (err == nil) != good || good && got != want {
			t.Errorf("%q: got %+v, %v", out, got, err)
		}
	}
	is("finished in 2.00s, 5.00 req/s, 1KB/s\nrequests: 12 total, 12 started, 11 done, 9 succeeded, 1 failed, 0 errored, 1 timeout\n"+
		"status codes: 9 2xx, 0 3xx, 1 4xx, 0 5xx\n", Totals{Requests: 9, Failed: 3, Microseconds: 2000000}, true)
	is("finished in 2.00s", Totals{}, false)
}

func TestWholeAnswer(t *testing.T) {
	is := func(text string, whole, good bool) {
		t.Helper()
		if w, g := wholeAnswer([]byte(text)); w != whole || g != good {
			t.Errorf("%q: got %v, %v", text, w, g)
		}
	}
	is("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, true)
	is("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", true, true)
	is("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", false, false)
	is("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokk", true, false)
	is("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok", true, false)
	is("HTTP/1.1 200 OK\r\n\r\n", true, false)
	is("HTTP/1.1 200 OK\r\n", false, false)
}

func TestFrames(t *testing.T) {
	if c, s := clientFrame(128), serverFrame(128); len(c) != 136 || len(s) != 132 || s[0] != c[0] || s[1] != 126 {
		t.Errorf("got %d and %d bytes", len(c), len(s))
	}
	if s := serverFrame(5); string(s) != "\x82\x05xxxxx" {
		t.Errorf("got %q", s)
	}
}

// The loop's messages come back from the backends themselves.
func TestLoop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := Listen{Site: port(t), API: port(t), GRPC: port(t), TCP: port(t), UDP: port(t)}
	ended := make(chan error, 1)
	go func() { ended <- Backends(ctx, at) }()
	opened(t, at.TCP)
	is := func(s Spec, atLeast, atMost int64) {
		t.Helper()
		s.Kind, s.Connections, s.Seconds, s.Host = Loop, 4, 0.2, "a.example"
		got, err := Run(ctx, s)
		if err != nil || got.Requests < atLeast || got.Requests > atMost {
			t.Errorf("%+v: got %+v, %v", s, got, err)
		}
		if s.Rate > 0 && (got.P50 <= 0 || got.P99 < got.P50 || got.Max < got.P999) {
			t.Errorf("%+v: latencies %+v", s, got)
		}
	}
	const many = 1 << 40
	is(Spec{Message: HTTP, Address: at.API, Path: SmallPath}, 10, many)
	is(Spec{Message: HTTP, Address: at.API, Path: SmallPath, Rate: 100}, 19, 21)
	is(Spec{Message: WebSocket, Address: at.API, Path: WebSocketPath, Body: 128}, 10, many)
	is(Spec{Message: Bytes, Address: at.TCP, Body: 128}, 10, many)
	is(Spec{Message: Bytes, Address: at.UDP, Body: 128, Datagrams: true}, 10, many)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// port is an address at which nobody listened a moment ago, below the range that
// outgoing connections take theirs from: of those one may be taken before it is bound.
func port(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		l.Close()
		d, err := net.ListenPacket("udp", at)
		if err != nil {
			continue
		}
		d.Close()
		return at
	}
	t.Fatal("no port is free")
	return ""
}

func opened(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("nothing listens at " + addr)
}
