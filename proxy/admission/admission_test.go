package admission

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	g := New(Config{Limit: 2})
	if first, second, third := g.Enter(), g.Enter(), g.Enter(); !first || !second || third {
		t.Error("want two in, and no third")
	}
	g.Leave()
	if !g.Enter() {
		t.Error("the place of who left is taken")
	}
	if f := g.Figures(); f != (Figures{Limit: 2, In: 2, Refused: 1}) {
		t.Errorf("%+v", f)
	}
	g.Limit(3)
	if !g.Enter() || g.Enter() {
		t.Error("want one more in")
	}
	g.Limit(0)
	for range 100 {
		if !g.Enter() {
			t.Fatal("there is no limit")
		}
	}
}

func TestQueue(t *testing.T) {
	g := New(Config{Limit: 1, Queue: 1, Wait: 10 * time.Second})
	g.Enter()
	got := make(chan bool)
	go func() { got <- g.Wait(context.Background()) }()
	for g.Figures().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	if g.Wait(context.Background()) {
		t.Error("the queue is full, and somebody came in")
	}
	g.Leave()
	if !<-got {
		t.Error("who waited was refused though there was a place")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { got <- g.Wait(ctx) }()
	for g.Figures().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if <-got {
		t.Error("who had gone came in")
	}
	g = New(Config{Limit: 1, Queue: 1, Wait: 20 * time.Millisecond})
	g.Enter()
	start := time.Now()
	if g.Wait(context.Background()) || time.Since(start) < 20*time.Millisecond {
		t.Errorf("refused after %v", time.Since(start))
	}
	if f := g.Figures(); f != (Figures{Limit: 1, In: 1, Refused: 1}) {
		t.Errorf("%+v", f)
	}
}

// However they come and go, the limit holds, nobody who waits is forgotten, and
// in the end nobody is in.
func TestQueueUnderLoad(t *testing.T) {
	const limit, callers, times = 3, 32, 500
	g := New(Config{Limit: limit, Queue: callers, Wait: time.Minute})
	var in, most atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range times {
				if !g.Wait(context.Background()) {
					t.Error("refused with room in the queue")
					return
				}
				n := in.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				in.Add(-1)
				g.Leave()
			}
		})
	}
	all.Wait()
	if f := g.Figures(); f.In != 0 || f.Waiting != 0 || most.Load() > limit {
		t.Errorf("%+v, %d at one time", f, most.Load())
	}
}

// TestQueueMissesNoPlace: of several who come to wait while one leaves, one has its place.
func TestQueueMissesNoPlace(t *testing.T) {
	for range 15_000 {
		g := New(Config{Limit: 2, Queue: 3, Wait: 5 * time.Second})
		g.Enter()
		g.Enter()
		got := make(chan bool, 3)
		for range 3 {
			go func() { got <- g.Wait(context.Background()) }()
		}
		go g.Leave()
		if !<-got {
			t.Fatal("all wait, and there is a place")
		}
		g.Limit(0)
		for range 2 {
			g.Leave()
			<-got
		}
	}
}

func TestEnterDoesNotAllocate(t *testing.T) {
	g := New(Config{Limit: 1, Queue: 10, Wait: time.Second})
	full := New(Config{Limit: 1})
	full.Enter()
	m := NewMemory(1, nil)
	if n := testing.AllocsPerRun(100, func() {
		if g.Enter() {
			g.Leave()
		}
		if g.Wait(context.Background()) {
			g.Leave()
		}
		_ = full.Enter()
		_ = m.Pressed()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEnterLeave(b *testing.B) {
	g := New(Config{Limit: math.MaxInt})
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if g.Enter() {
				g.Leave()
			}
		}
	})
}

func TestMemory(t *testing.T) {
	used := uint64(0)
	m := NewMemory(1000, func() uint64 { return used })
	f := func(now uint64, want bool) {
		t.Helper()
		used = now
		m.look()
		if m.Pressed() != want {
			t.Errorf("%d of 1000 used: pressed %v", now, !want)
		}
	}
	f(0, false)
	f(850, false)
	f(851, true)
	f(800, true)
	f(750, true)
	f(749, false)
	f(800, false)
	if g := m.Figures(); g.Limit != 1000 || g.In != 800 || g.Refused != 3 {
		t.Errorf("%+v", g)
	}
	none := NewMemory(0, nil)
	none.Run(context.Background(), nil) // returns
	if none.Pressed() {
		t.Error("pressed without a limit")
	}
}

// Who can give up memory is asked to once a second before no more is taken on, and while no more
// is; and not when there is enough.
func TestRelieve(t *testing.T) {
	f := func(used uint64, want bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), relieveEvery/2)
		defer cancel()
		times := 0
		NewMemory(1000, func() uint64 { return used }).Run(ctx, func() { times++ })
		if times > 1 || want != (times == 1) {
			t.Errorf("%d of 1000 used: asked %d times", used, times)
		}
	}
	f(749, false)
	f(750, true)
	f(851, true)
}

// What the runtime says follows what is kept.
func TestUsage(t *testing.T) {
	m := NewMemory(1<<40, nil)
	runtime.GC() // what other tests have left
	m.look()
	before := m.Figures().In
	kept := make([]byte, 64<<20)
	for i := 0; i < len(kept); i += 4096 {
		kept[i] = 1
	}
	runtime.GC() // only then does it know what is kept
	m.look()
	if more := m.Figures().In - before; more < 60<<20 || more > 80<<20 {
		t.Errorf("%d bytes more in use, want 64 MiB", more)
	}
	runtime.KeepAlive(kept)
	if before <= 0 {
		t.Errorf("%d bytes in use", before)
	}
}

func TestFit(t *testing.T) {
	f := func(memory int64, connections, requests, sessions int) {
		t.Helper()
		if c, r, s := Connections(memory), Requests(memory), SessionBytes(memory); c != connections || r != requests || s != sessions {
			t.Errorf("%d MiB: %d connections, %d requests and %d bytes of sessions, want %d, %d and %d", memory>>20, c, r, s, connections, requests, sessions)
		}
	}
	f(0, 32768, 16384, 512<<20)
	f(1<<30, 8192, 4096, 128<<20)
	f(256<<20, 2048, 1024, 32<<20)
	f(64<<30, 32768, 16384, 512<<20)
	f(1, 1, 1, 1)
	for memory, want := range map[int64]int{0: 64 << 20, 1 << 30: 32 << 20, 64 << 30: 64 << 20} {
		if got := AnswerBytes(memory); got != want {
			t.Errorf("%d MiB: %d bytes of answers, want %d", memory>>20, got, want)
		}
	}
}

func TestContent(t *testing.T) {
	c := NewContent(100, Turns{Large: 2, Small: 1})
	if !c.Take(75) || c.Busy() {
		t.Error("three quarters are too much")
	}
	if !c.Take(25) || !c.Busy() {
		t.Error("all of it is too much, or not busy")
	}
	if c.Take(1) {
		t.Error("there is room for more than all")
	}
	if f := c.Figures(); f.Limit != 100 || f.In != 101 || f.Refused != 1 {
		t.Errorf("%+v", f)
	}
	c.Give(101)
	if f := c.Figures(); f.In != 0 {
		t.Errorf("%+v", f)
	}
	if r := NewRoom(-1); !r.Take(1<<40) || r.Busy() || r.Figures() != (Figures{In: 1 << 40}) {
		t.Errorf("where there is no limit: %+v", r.Figures())
	}
	const large = 20 << 10
	c.Enter(16 << 10)
	c.Enter(large) // which small content does not keep waiting
	c.Enter(large)
	third := make(chan struct{})
	go func() {
		c.Enter(large)
		close(third)
	}()
	select {
	case <-third:
		t.Error("three have their turn at one time")
	default:
	}
	c.Leave(large)
	<-third
	c.Leave(16 << 10)
	c.Enter(3 << 10)
}

// Whatever the memory, what content that is held may take, and what it is taken apart
// into, is a small part of it.
func TestContentFits(t *testing.T) {
	for _, memory := range []int64{64 << 20, 256 << 20, 1 << 30, 16 << 30} {
		held, all := int64(ContentBytes(memory)), ContentTurns(memory)
		turns, processors := int64(all.Large), runtime.GOMAXPROCS(0)
		if held > memory/8 || held < min(memory/8, 512<<20) {
			t.Errorf("%d MiB: %d MiB of content", memory>>20, held>>20)
		}
		if turns < 1 || turns > 1 && turns*takenApart > memory/8 || all.Large > max(1, processors/2) || all.Small != max(1, processors-1) {
			t.Errorf("%d MiB: %+v turns", memory>>20, all)
		}
	}
	if HelloBytes(1<<30) != 64<<20 || HelloBytes(16<<30) != 256<<20 || HelloBytes(1) != 1 || HelloBytes(0) != 256<<20 {
		t.Errorf("%d bytes of handshakes in 1 GiB", HelloBytes(1<<30))
	}
	if ContentBytes(0) != 512<<20 || ContentTurns(0).Large < 1 {
		t.Error("where nobody knows the memory")
	}
}
