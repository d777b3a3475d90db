package upstream

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var budgetStart = time.Unix(1_800_000_000, 0)

// retried is how many of n retries at a moment a budget lets through.
func retried(b *Budget, at time.Duration, n int) (yes int) {
	for range n {
		if b.Retry(budgetStart.Add(at)) {
			yes++
		}
	}
	return yes
}

func asked(b *Budget, at time.Duration, n int) {
	for range n {
		b.Request(budgetStart.Add(at))
	}
}

func TestBudget(t *testing.T) {
	is := func(got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%d retries, want %d", got, want)
		}
	}
	b := newBudget(&table.RetryBudget{ID: "b", Percent: 20, Interval: 10 * time.Second, Least: 3, LeastInterval: time.Second})
	is(retried(b, 0, 10), 3) // the least
	is(retried(b, 950*time.Millisecond, 10), 0)
	is(retried(b, 1100*time.Millisecond, 10), 3) // its window has passed
	asked(b, 2*time.Second, 800)
	is(retried(b, 2*time.Second, 1000), 194) // 200 of 1000 tries, 6 of which were before
	is(retried(b, 5*time.Second, 10), 3)
	is(retried(b, 15*time.Second, 10), 3) // the requests are forgotten
	none := newBudget(&table.RetryBudget{ID: "b", Percent: 0, Interval: time.Second, Least: 1, LeastInterval: time.Hour})
	asked(none, 0, 1000)
	is(retried(none, 0, 10), 1)
	is(retried(none, 59*time.Minute, 10), 0)
	is(retried(none, 61*time.Minute, 10), 1)
	all := newBudget(&table.RetryBudget{ID: "b", Percent: 100, Interval: time.Second, Least: 1, LeastInterval: time.Millisecond})
	is(retried(all, 0, 100), 100)
}

// TestBudgetLate has a request come to its backend long after its head did, as one whose
// content is held does: those that were counted since then are not forgotten for it.
func TestBudgetLate(t *testing.T) {
	b := newBudget(&table.RetryBudget{ID: "b", Percent: 50, Interval: 10 * time.Second, Least: 1, LeastInterval: time.Millisecond})
	asked(b, 20*time.Second, 100)
	asked(b, 10*time.Second, 1)
	if n := retried(b, 20*time.Second, 1000); n != 100 {
		t.Errorf("%d retries, want 100", n)
	}
}

// A clock that is set back makes no budget boundless.
func TestBudgetWithAClockSetBack(t *testing.T) {
	b := newBudget(&table.RetryBudget{ID: "b", Percent: 50, Interval: 10 * time.Second, Least: 1, LeastInterval: time.Millisecond})
	asked(b, time.Hour, 100)
	if n := retried(b, time.Hour, 1000); n != 100 {
		t.Errorf("%d retries before, want 100", n)
	}
	asked(b, 10*time.Second, 10)
	if n := retried(b, 10*time.Second, 1000); n != 10 {
		t.Errorf("%d retries after, want 10", n)
	}
}

// TestBudgetAtOnce has many callers at one moment: together they get no more than
// the budget.
func TestBudgetAtOnce(t *testing.T) {
	b := newBudget(&table.RetryBudget{ID: "b", Percent: 20, Interval: 10 * time.Second, Least: 5, LeastInterval: time.Second})
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() { asked(b, 0, 1000) })
	}
	running.Wait()
	var yes atomic.Int64
	for range 8 {
		running.Go(func() { yes.Add(int64(retried(b, 0, 1000))) })
	}
	running.Wait()
	if n := yes.Load(); n > 2000 || n < 1990 {
		t.Errorf("%d retries of 8000 requests, want 2000", n)
	}
}

func TestBudgetsOutliveTables(t *testing.T) {
	s := New(Config{})
	defer s.Close()
	cfg := table.RetryBudget{ID: "shop/api", Percent: 0, Interval: time.Second, Least: 1, LeastInterval: time.Hour}
	limit := func(id string, c *table.RetryBudget) *Budget {
		s.Limit(id, c)
		return s.Backend(id, table.BackendHTTP1).Budget()
	}
	first, again := cfg, cfg
	b := limit("shop/api:80", &first)
	if limit("shop/api:80", &again) != b || limit("shop/api:81", &again) != b {
		t.Error("the budget is not one")
	}
	s.Retain([]string{"shop/api:81"})
	if limit("shop/api:80", &cfg) != b {
		t.Error("the budget of a backend that stays was dropped")
	}
	again.Least = 2
	if limit("shop/api:80", &again) == b {
		t.Error("other settings have the old budget")
	}
	if limit("shop/api:80", nil) != nil {
		t.Error("the budget stays when its policy is gone")
	}
	s.Retain(nil)
	if len(s.budgets) != 0 {
		t.Errorf("%d budgets are left", len(s.budgets))
	}
}

func TestBudgetAllocs(t *testing.T) {
	b := newBudget(&table.RetryBudget{ID: "b", Percent: 20, Interval: time.Second, Least: 1, LeastInterval: time.Second})
	now := budgetStart
	if n := testing.AllocsPerRun(1000, func() { b.Request(now); b.Retry(now); now = now.Add(time.Millisecond) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
