package http2

import (
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// TestFull has a client that takes no answers, and asks for what is refused without
// the handler: each of them holds its head until it is taken. When there is no memory
// left no more are begun, the client is not to blame for it, and those that are open
// go on.
func TestFull(t *testing.T) {
	s, url, _ := serve(t, echo)
	var full atomic.Bool
	s.cfg.Full, s.cfg.Floods = full.Load, Floods{Idle: 40, Resets: 5, Block: 64}
	r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	refused := common("GET", "x", strings.Repeat("y", s.cfg.Limits.Head))
	r.ask(1, true, refused...)
	r.until("431 on 1")
	full.Store(true)
	for id := uint32(3); id < 200; id += 2 {
		r.ask(id, true, refused...)
		if got := r.next(); !strings.HasPrefix(got, "reset REFUSED_STREAM") {
			t.Fatalf("stream %d: %s", id, got)
		}
	}
	_ = r.framer.WriteWindowUpdate(1, 1<<16)
	r.until("data")
	full.Store(false)
	r.ask(201, true, common("GET")...)
	r.until("200 on 201")
}
