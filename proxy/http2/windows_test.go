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
