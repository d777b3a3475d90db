package http3

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// A client that takes its requests back as soon as it has made them, or has us reset them, is
// not bounded by how many streams may be open: its connection ends. One that is answered
// meanwhile may go on.
func TestResets(t *testing.T) {
	const most = 20
	var handled, waiting, floods atomic.Int32
	_, addr := serve(t, func(x *exchange.Exchange) {
		handled.Add(1)
		if x.Request.Path == "/wait" {
			waiting.Add(1)
			<-x.Context.Done()
			time.Sleep(2 * frame.ResetSoon) // as long as a handler may take to notice
			waiting.Add(-1)
			return
		}
		echo(x)
	}, func(c *Config) { c.Resets, c.Flooded = most, func(string) { floods.Add(1) } })
	get := []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/wait"}
	post := []string{":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/"}
	upper := headers(append(slices.Clone(get), "X-Upper", "1")...)
	short := append(headers(append(slices.Clone(post), "content-length", "2")...), data("x")...)
	// begun waits until the handler has one more than before.
	begun := func(c *quic.Conn, before int32) {
		for handled.Load() == before && c.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	plain := func(c *quic.Conn) {
		if str, err := c.OpenStream(); err == nil {
			_, _ = str.Write(headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"))
			_ = str.Close()
			_ = answer(t, c, str)
		}
	}
	for _, client := range []struct {
		name  string
		once  func(c *quic.Conn, str *quic.Stream)
		ended bool
	}{
		{"taken back", func(c *quic.Conn, str *quic.Stream) {
			before := handled.Load()
			_, _ = str.Write(headers(get...))
			_ = str.Close()
			begun(c, before)
			str.CancelRead(codeCancelled)
		}, true},
		{"content taken back", func(c *quic.Conn, str *quic.Stream) {
			before := handled.Load()
			_, _ = str.Write(headers(post...))
			begun(c, before)
			str.CancelWrite(codeCancelled)
			_ = answer(t, c, str)
		}, true},
		{"malformed", func(c *quic.Conn, str *quic.Stream) {
			_, _ = str.Write(upper)
			_ = str.Close()
			_ = answer(t, c, str)
		}, true},
		{"malformed content", func(c *quic.Conn, str *quic.Stream) {
			_, _ = str.Write(short)
			_ = str.Close()
			_ = answer(t, c, str)
		}, true},
		{"taken back, and others answered", func(c *quic.Conn, str *quic.Stream) {
			before := handled.Load()
			_, _ = str.Write(headers(get...))
			_ = str.Close()
			begun(c, before)
			str.CancelRead(codeCancelled)
			plain(c)
			for waiting.Load() > most/2 && c.Context().Err() == nil { // those that nobody has counted yet
				time.Sleep(time.Millisecond)
			}
		}, false},
	} {
		floods.Store(0)
		c, from := dial(t, addr), time.Now()
		n := 0
		for ; n < 5*most; n++ {
			str, err := c.OpenStreamSync(t.Context())
			if err != nil {
				break
			}
			client.once(c, str)
		}
		if !client.ended {
			if c.Context().Err() != nil || floods.Load() != 0 {
				t.Errorf("%s: %v after %d", client.name, context.Cause(c.Context()), n)
			}
			continue
		}
		select {
		case <-c.Context().Done():
		case <-time.After(5 * time.Second):
		}
		var closed *quic.ApplicationError
		if err := context.Cause(c.Context()); !errors.As(err, &closed) || closed.ErrorCode != codeLoad || floods.Load() != 1 || n < most/2 {
			t.Errorf("%s: %v after %d in %v, told %d times", client.name, err, n, time.Since(from), floods.Load())
		}
	}
}
