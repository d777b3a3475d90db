//go:build !race

package http2

import (
	"io"
	"testing"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// Under the race detector sync.Pool forgets at random, so this counts without it.
func TestAllocs(t *testing.T) {
	content := make([]byte, 128)
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		for x.Request.Body != nil {
			if _, err := x.Request.Body.Next(); err != nil {
				break
			}
		}
		x.Response.Status, x.Response.ContentLength = 200, int64(len(content))
		x.Response.Header.Add("Content-Type", "text/plain")
		x.Response.Header.Add("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
		_ = x.Writer.Head(x)
		_, _ = x.Writer.Write(content)
		_ = x.Writer.End(x)
	})
	for name, withContent := range map[string]bool{"GET": false, "POST": true} {
		r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		const streams = 16 // at one time
		method := "GET"
		if withContent {
			method = "POST"
		}
		var id uint32
		r.ask(1, true, common(method, "user-agent", "test", "x-field", "value")...)
		r.until("data")
		block := r.fields(common(method, "user-agent", "test", "x-field", "value")...) // all of it indexed
		out := make([]byte, 0, 16<<10)
		in, answer := make([]byte, 16<<10), 0
		round := func() {
			out = out[:0]
			for range streams {
				id += 2
				out = frame.AppendHeaders(out, id+1, endUnless(withContent), block, frame.MinMaxSize)
				if withContent {
					out = append(frame.Append(out, frame.Head{Length: 128, Type: frame.Data, Flags: frame.EndStream, Stream: id + 1}), content...)
				}
			}
			out = frame.AppendWindowUpdate(out, 0, 128*streams)
			_, _ = r.Write(out)
			for range streams { // each answer is as long as the others
				if n, err := io.ReadAtLeast(r, in[:answer], answer); err != nil {
					t.Fatal(n, err)
				}
			}
		}
		_, _ = r.Write(frame.AppendHeaders(nil, 3, endUnless(withContent), block, frame.MinMaxSize))
		if withContent {
			_, _ = r.Write(frame.Append(nil, frame.Head{Type: frame.Data, Flags: frame.EndStream, Stream: 3}))
		}
		answer, _ = io.ReadAtLeast(r, in, 9+9+128)
		id = 2
		for range 300 {
			round()
		}
		if n := testing.AllocsPerRun(200, round) / streams; n >= 1 {
			t.Errorf("%s: %v allocations a request, want none", name, n)
		} else {
			t.Logf("%s: %v allocations a request", name, n)
		}
	}
}

func endUnless(content bool) uint8 {
	if content {
		return 0
	}
	return frame.EndStream
}
