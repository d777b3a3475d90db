package http3

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// A client of messages that is silent while answers come, as one that watches something
// is, is there; once nothing comes to it either, it has gone.
func TestWatching(t *testing.T) {
	const patience, pieces = 100 * time.Millisecond, 40
	ended := make(chan error, 1)
	_, addr := serve(t, func(x *exchange.Exchange) {
		waited := make(chan error, 1)
		x.Response.Status, x.Response.ContentLength = 200, -1
		_ = x.Writer.Head(x)
		go func() {
			_, err := x.Request.Body.Next()
			waited <- err
		}()
		for range pieces {
			_, _ = x.Writer.Write([]byte("x"))
			_ = x.Writer.Flush()
			select {
			case err := <-waited:
				t.Errorf("while answers come: %v", err)
				ended <- err
				return
			case <-time.After(patience / 4):
			}
		}
		ended <- <-waited
		_ = x.Writer.End(x)
	}, func(c *Config) { c.Timeouts.Read, c.Timeouts.Stream = patience, patience })
	c := dial(t, addr)
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_ = str.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = str.Write(headers(":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/", "content-type", "application/grpc"))
	if got := answer(t, c, str); strings.Count(got, "x") != pieces {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != errSlow {
		t.Errorf("in the end: %v", err)
	}
}
