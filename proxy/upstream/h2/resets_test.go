package h2

import (
	"testing"

	"golang.org/x/net/http2"
)

// TestResets has a backend end connections on which many requests are given up, as servers
// do that defend themselves: who waits for an answer meanwhile gets it.
func TestResets(t *testing.T) {
	answer := make(chan struct{})
	p := framing(t, Config{}, func(f *http2.Framer) {
		_ = f.WriteSettings()
		resets := 0
		for waits := uint32(0); ; {
			got, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch got := got.(type) {
			case *http2.HeadersFrame:
				if waits == 0 {
					waits = got.StreamID
				}
			case *http2.RSTStreamFrame:
				if resets++; resets == 2*maxResets {
					return
				}
			case *http2.DataFrame: // the last of it
				<-answer
				ok(f, waits)
				waits = 0
			}
		}
	})
	first := open(t, p)
	x := exchangeOf("POST", "/")
	x.Request.ContentLength = 5
	first.Send(x)
	for range 6 * maxResets {
		s := open(t, p)
		s.Send(x)
		s.Abort()
		s.Close()
	}
	if n := p.Connections(); n > 2 {
		t.Errorf("%d connections are kept", n)
	}
	if err := first.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	first.Last(nil)
	close(answer)
	if status, _, _, _ := answerOf(t, first); status != 200 {
		t.Errorf("got %d", status)
	}
	first.Close()
}
