package keyset

import (
	"hash/maphash"
	"sync"
	"time"
)

// Fetches for keys that a set does not have.
const (
	maxWait    = 2 * time.Second  // of a request, for one
	maxWaiting = 256              // requests that wait; others are told to come again
	afterFound = time.Second      // between one that brought something new and the next
	afterVain  = 10 * time.Second // at most, between one that did not and the next; how long a key stays known to be missing
	maxAbsent  = 1024             // keys known to be missing; when full, all are forgotten
)

// misses is what a set was asked for and does not have. Only requests whose key is
// unknown take its lock.
type misses struct {
	seed  maphash.Seed
	asked chan struct{} // one element: a fetch is wanted

	mu      sync.Mutex
	absent  map[uint64]absence // by the hash of what names the key
	begun   uint64             // fetches
	ended   chan struct{}      // closed when the fetch that is asked for or under way has ended; nil for none
	ours    bool               // that one is for a miss
	waiting int
	failing bool      // the last fetch brought none
	vain    int       // fetches for misses in a row that brought nothing new
	soonest time.Time // of the next one; of the next of any kind, when the last failed
}

// absence is a key that was asked for in vain.
type absence struct {
	before uint64    // fetches begun by then
	judged time.Time // when a later fetch had ended, which did not bring it; zero till then
}

func newMisses() *misses {
	return &misses{seed: maphash.MakeSeed(), asked: make(chan struct{}, 1), absent: map[uint64]absence{}}
}

// miss implements auth.Keys.
func (m *misses) miss(what string) (again bool, after time.Duration) {
	key, late := maphash.String(m.seed, what), time.NewTimer(maxWait)
	defer late.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		now := time.Now()
		if m.judged(key, now) {
			return false, 0
		}
		pause := m.soonest.Sub(now)
		switch {
		case m.ended == nil && pause > 0 && (m.failing || pause > afterFound):
			return false, pause
		case m.waiting >= maxWaiting:
			return false, afterFound
		case m.ended == nil && pause <= 0:
			m.ended, m.ours = make(chan struct{}), true
			m.asked <- struct{}{}
		}
		if ended, in := m.wait(m.ended, pause, late.C); ended || !in {
			return ended, afterFound
		}
	}
}

// wait lets go of the lock until a fetch has ended, or, where there is none yet,
// until one may begin; not in: it took too long.
func (m *misses) wait(fetch <-chan struct{}, pause time.Duration, late <-chan time.Time) (ended, in bool) {
	m.waiting++
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.waiting--
	}()
	var soon <-chan time.Time
	if fetch == nil {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		soon = timer.C
	}
	select {
	case <-fetch:
		return true, true
	case <-soon:
		return false, true
	case <-late:
		return false, false
	}
}

// judged reports a key that the set is known not to have, and notes one of which
// that is not known.
func (m *misses) judged(key uint64, now time.Time) bool {
	a, there := m.absent[key]
	if there && (a.judged.IsZero() || now.Sub(a.judged) < afterVain) {
		return !a.judged.IsZero()
	}
	if len(m.absent) >= maxAbsent {
		clear(m.absent)
	}
	m.absent[key] = absence{before: m.begun}
	return false
}

// begin says that a fetch begins.
func (m *misses) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun++
	if m.ended == nil {
		m.ended = make(chan struct{})
	}
	select {
	case <-m.asked: // this is it
	default:
	}
}

// end says how a fetch ended: with keys, new ones or those there were before; or
// with none, and then nobody need ask again before pause is over.
func (m *misses) end(ok, fresh bool, pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.failing = !ok
	switch {
	case !ok:
		m.soonest = now.Add(pause)
	case fresh && m.ours:
		m.vain, m.soonest = 0, now.Add(afterFound)
	case fresh:
		m.vain, m.soonest = 0, now
	case m.ours:
		m.vain = min(m.vain+1, 4)
		m.soonest = now.Add(min(afterFound<<m.vain, afterVain))
	}
	for key, a := range m.absent {
		if ok && a.before < m.begun && a.judged.IsZero() {
			m.absent[key] = absence{judged: now}
		}
	}
	close(m.ended)
	m.ended, m.ours = nil, false
}
