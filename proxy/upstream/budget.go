package upstream

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Budget bounds the retries of the backends that share it (GEP-3388). It belongs
// to the Set and outlives tables, as long as its settings stay the same.
type Budget struct {
	cfg      table.RetryBudget
	requests window // first tries, over cfg.Interval
	retries  window // the others
	least    window // the others, over cfg.LeastInterval
}

func newBudget(cfg *table.RetryBudget) *Budget {
	b := &Budget{cfg: *cfg}
	b.requests.slot = slotOf(cfg.Interval)
	b.retries.slot = b.requests.slot
	b.least.slot = slotOf(cfg.LeastInterval)
	return b
}

// Request counts a request's first try.
func (b *Budget) Request(now time.Time) { b.requests.add(now.UnixNano(), 1) }

// Retry reports whether a request may be tried again now, and counts that.
// Callers at the same moment cannot both have the last retry there is.
func (b *Budget) Retry(now time.Time) bool {
	at := now.UnixNano()
	b.retries.add(at, 1)
	b.least.add(at, 1)
	retries := b.retries.sum(at)
	if b.least.sum(at) <= uint64(b.cfg.Least) || retries*100 <= uint64(b.cfg.Percent)*(retries+b.requests.sum(at)) {
		return true
	}
	b.retries.add(at, -1)
	b.least.add(at, -1)
	return false
}

// slots is how finely a window slides.
const slots = 10

// window counts what happened lately. Each slot has the number of its turn in the
// upper half of a word and the count in the lower, so that one that is out of date
// is begun anew in one step; nothing here waits.
type window struct {
	slot  int64 // nanoseconds
	words [slots]atomic.Uint64
}

func slotOf(interval time.Duration) int64 { return max(int64(interval)/slots, 1) }

// add counts n, which is negative to take back what was counted before.
func (w *window) add(at int64, n int) {
	turn := at / w.slot
	word := &w.words[turn%slots]
	tag := uint64(uint32(turn)) << 32
	for {
		old := word.Load()
		if old>>32<<32 == tag {
			if n < 0 && uint32(old) == 0 { // counted in the slot before: it goes with that
				return
			}
			if word.CompareAndSwap(old, old+uint64(n)) {
				return
			}
			continue
		}
		ahead := int32(uint32(old>>32) - uint32(turn))
		late := old != 0 && ahead > 0 && ahead <= 2*slots // by a whole window: it counts no more; by more than two the clock was set back
		if n < 0 || late || word.CompareAndSwap(old, tag|uint64(n)) {
			return
		}
	}
}

// sum is the count over the window.
func (w *window) sum(at int64) (n uint64) {
	turn := at / w.slot
	for i := range w.words {
		word := w.words[i].Load()
		if age := uint32(turn) - uint32(word>>32); age < slots {
			n += uint64(uint32(word))
		}
	}
	return n
}

// Limit makes the backend of that id share the budget of t.ID; nil: it has none.
// It is called at swap.
func (s *Set) Limit(id string, t *table.RetryBudget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.backend(id)
	if t == nil {
		b.budget.Store(nil)
		return
	}
	budget := s.budgets[t.ID]
	if budget == nil || budget.cfg != *t {
		budget = newBudget(t)
		s.budgets[t.ID] = budget
	}
	b.budget.Store(budget)
}

// dropBudgets drops those that no backend has any more. It is called with Set.mu held.
func (s *Set) dropBudgets() {
	used := make(map[string]bool, len(s.budgets))
	for _, b := range s.backends {
		if budget := b.budget.Load(); budget != nil {
			used[budget.cfg.ID] = true
		}
	}
	for id := range s.budgets {
		if !used[id] {
			delete(s.budgets, id)
		}
	}
}

// Budget returns what bounds retries of the backend; nil: nothing does.
func (b *Backend) Budget() *Budget { return b.budget.Load() }
