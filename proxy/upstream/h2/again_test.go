package h2

import (
	"context"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestUnlimited has a backend that says nothing of how many requests it takes: there is
// no limit but ours then (RFC 9113, section 6.5.2).
func TestUnlimited(t *testing.T) {
	const most = 2 * defaultStreams
	p := framing(t, Config{Streams: most}, func(f *http2.Framer) {
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if head, is := frame.(*http2.HeadersFrame); is {
				ok(f, head.StreamID)
			}
		}
	})
	s := open(t, p)
	if _, err := s.Ask(exchangeOf("GET", "/"), nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	var all []*Stream
	for range most {
		s, err := p.Open(context.Background(), time.Now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections for %d requests", n, most)
	}
	for _, s := range all {
		s.Close()
	}
}
