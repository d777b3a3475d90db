// Package admission bounds what is taken on at one time, so that more of it does
// not make what is under way slower: whatever comes over a limit is turned away
// at the door, at once or after a short wait.
//
// proxy asks a Gate before it begins with a request, proxy/listener before it
// serves a connection, proxy/upstream before a request goes to a backend. Memory
// closes the first two while the process has little left. It calls nothing.
package admission

import (
	"context"
	"sync/atomic"
	"time"
)

// Config of a Gate.
type Config struct {
	Limit int           // in at one time; not above 0: no limit
	Queue int           // that wait when it is reached; not above 0: none
	Wait  time.Duration // for which one waits at most
}

// Gate lets a number in at one time. To enter takes no lock as long as nobody
// waits. The zero Gate has no limit, and counts who is in.
type Gate struct {
	limit   atomic.Int64
	in      atomic.Int64
	waiting atomic.Int64
	refused atomic.Uint64
	queue   int64
	wait    time.Duration
	wake    chan struct{} // as many as may wait; one each time somebody leaves meanwhile
}

// New returns a Gate nobody is in.
func New(c Config) *Gate {
	g := &Gate{}
	g.Open(c)
	return g
}

// Open begins with g, the zero Gate.
func (g *Gate) Open(c Config) {
	g.queue, g.wait = int64(max(c.Queue, 0)), c.Wait
	g.Limit(c.Limit)
	if g.queue > 0 {
		g.wake = make(chan struct{}, g.queue)
	}
}

// Limit changes the limit; not above 0: none. Who is in stays.
func (g *Gate) Limit(n int) { g.limit.Store(int64(n)) }

// Limited reports whether there is a limit.
func (g *Gate) Limited() bool { return g.limit.Load() > 0 }

// Busy reports whether more than three quarters of the places are taken.
func (g *Gate) Busy() bool {
	limit := g.limit.Load()
	return limit > 0 && g.in.Load() > limit/4*3+limit%4*3/4
}

// Enter reports whether the caller may go on at once; then it must Leave.
func (g *Gate) Enter() bool {
	if g.waiting.Load() == 0 && g.try() {
		return true
	}
	g.refused.Add(1)
	return false
}

// Wait is Enter, but that it waits if there is a queue, until ctx ends; nil: the
// caller is sure to stay.
func (g *Gate) Wait(ctx context.Context) bool {
	if g.waiting.Load() == 0 && g.try() || g.queue > 0 && g.stand(ctx) {
		return true
	}
	g.refused.Add(1)
	return false
}

func (g *Gate) try() bool {
	limit := g.limit.Load()
	if g.in.Add(1) <= limit || limit <= 0 {
		return true
	}
	if g.in.Add(-1) < limit { // somebody left meanwhile, and whoever was woken may have counted this caller as in
		g.next()
	}
	return false
}

// stand waits for a place. Whoever leaves looks for those who wait after it has
// left, and each of them tries after it has said that it waits: so none sleeps
// while there is a place.
func (g *Gate) stand(ctx context.Context) bool {
	if g.waiting.Add(1) > g.queue {
		g.waiting.Add(-1)
		return false
	}
	defer g.waiting.Add(-1)
	if g.try() {
		return true
	}
	var gone <-chan struct{}
	if ctx != nil {
		gone = ctx.Done()
	}
	late := time.NewTimer(g.wait)
	defer late.Stop()
	for {
		select {
		case <-g.wake:
			if g.try() {
				return true
			}
		case <-late.C:
			return false
		case <-gone:
			return false
		}
	}
}

// Leave gives the caller's place to the next.
func (g *Gate) Leave() {
	g.in.Add(-1)
	g.next()
}

// next wakes one of those who wait, if anybody does.
func (g *Gate) next() {
	if g.waiting.Load() > 0 {
		select {
		case g.wake <- struct{}{}:
		default: // each of those who wait has been told
		}
	}
}

// Figures is how full a Gate is.
type Figures struct {
	Limit   int    // 0: none
	In      int    // now
	Waiting int    // now
	Refused uint64 // so far
}

// Figures returns how full g is.
func (g *Gate) Figures() Figures {
	return Figures{
		Limit: max(0, int(g.limit.Load())), In: int(g.in.Load()), Waiting: int(g.waiting.Load()), Refused: g.refused.Load(),
	}
}
