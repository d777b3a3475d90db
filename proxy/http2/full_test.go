package http2

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
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

// TestWaiting has requests come when as many wait for somebody to look at them as may: their
// streams are refused until there are fewer.
func TestWaiting(t *testing.T) {
	s, url, _ := serve(t, echo)
	s.cfg.Waiting, s.cfg.Floods = 8, Floods{Idle: 40, Resets: 5, Block: 64}
	s.waiting.Store(8)
	r := dial(t, url)
	for id := uint32(1); id < 200; id += 2 {
		r.ask(id, true, common("GET")...)
		if got := r.next(); !strings.HasPrefix(got, "reset REFUSED_STREAM") {
			t.Fatalf("stream %d: %s", id, got)
		}
	}
	s.waiting.Store(7)
	for id := uint32(201); id < 220; id += 2 {
		r.ask(id, true, common("GET")...)
		r.until(fmt.Sprintf("200 on %d", id))
	}
	if n := s.waiting.Load(); n != 7 {
		t.Errorf("%d wait when all have been answered, want the 7 of before", n)
	}
}

// TestUntaken has a client that takes no answers to what is refused: so many of them wait for
// it, of all connections, and further ones are broken off. When it takes one, another may wait.
func TestUntaken(t *testing.T) {
	s, url, _ := serve(t, echo)
	answers := admission.NewRoom(4)
	s.cfg.Untaken = answers
	r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	ask := func(id uint32) {
		t.Helper()
		r.ask(id, true, common("GET", "x", strings.Repeat("y", s.cfg.Limits.Head))...)
		r.until(fmt.Sprintf("431 on %d", id))
	}
	for id := uint32(1); id < 8; id += 2 {
		ask(id)
	}
	for id := uint32(9); id < 20; id += 2 {
		ask(id)
		if got := r.next(); !strings.HasPrefix(got, "reset CANCEL") {
			t.Fatalf("stream %d: %s", id, got)
		}
	}
	_ = r.framer.WriteWindowUpdate(1, 1<<16)
	r.until("data")
	for answers.Figures().In > 3 {
		time.Sleep(time.Millisecond)
	}
	ask(21)
	for answers.Figures().In < 4 {
		time.Sleep(time.Millisecond)
	}
	if n := answers.Figures().Refused; n != 6 {
		t.Errorf("%d count as refused, want 6", n)
	}
}

// TestUntakenAfterTaken is the same of streams that have served requests before which were taken on.
func TestUntakenAfterTaken(t *testing.T) {
	content, release := admission.NewContent(1, admission.Turns{}), make(chan struct{})
	s, url, _ := serve(t, func(x *exchange.Exchange) {
		x.Held = content
		<-release
		echo(x)
		x.Release()
	})
	s.cfg.Untaken = admission.NewRoom(4)
	r := dial(t, url, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	const many = 30
	for i := range uint32(many) {
		r.ask(2*i+1, true, common("GET")...)
	}
	close(release)
	for range many {
		r.until("200")
	}
	time.Sleep(10 * time.Millisecond) // the handlers return
	for i := range uint32(many) {
		r.ask(2*(many+i)+1, true, common("GET", "x", strings.Repeat("y", s.cfg.Limits.Head))...)
	}
	_ = r.SetDeadline(time.Now().Add(5 * time.Second))
	for range many - 4 { // which wait
		r.until("reset CANCEL")
	}
}

// TestLateHandlers has a client that never has more streams than there may be, and gives
// all of them up, faster than their handlers return: what is refused for that is not its fault.
func TestLateHandlers(t *testing.T) {
	release := make(chan struct{})
	s, url, _ := serve(t, func(*exchange.Exchange) { <-release }) // deaf to the client
	defer close(release)
	s.cfg.Floods = Floods{Idle: 1000, Resets: 20, Block: 64}
	r := dial(t, url)
	r.send(frame.Settings, frame.Ack, 0)
	for round := range uint32(3) {
		for i := range s.cfg.Streams {
			r.ask(2*(round*s.cfg.Streams+i)+1, true, common("GET")...)
		}
		r.send(frame.Ping, 0, 0, []byte("all sent")...)
		refused := 0
		for got := r.next(); got != "ping all sent"; got = r.next() {
			if refused++; round < 2 || !strings.HasPrefix(got, "reset REFUSED_STREAM") {
				t.Fatalf("round %d: %s", round, got)
			}
		}
		if round == 2 && refused != int(s.cfg.Streams) {
			t.Errorf("%d were refused", refused)
		}
		time.Sleep(2 * frame.ResetSoon)
		for i := range s.cfg.Streams {
			r.send(frame.ResetStream, 0, 2*(round*s.cfg.Streams+i)+1, 0, 0, 0, 8)
		}
	}
}
