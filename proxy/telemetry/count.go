package telemetry

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Classes counts answers by the first digit of their status.
type Classes [6]atomic.Uint64

// Add counts one answer; a status outside 100-599 counts as class 0, which
// stands for a client that left before it could be answered.
func (c *Classes) Add(status int) {
	class := uint(status) / 100
	if class > 5 {
		class = 0
	}
	c[class].Add(1)
}

// bounds are the upper limits of a histogram's buckets.
const buckets = 14

var bounds = [buckets]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations in fixed buckets, from 0.5 ms to 10 s and above.
type Histogram struct {
	counts [buckets + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < buckets && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// empty reports whether nothing was counted.
func (h *Histogram) empty() bool {
	for i := range h.counts {
		if h.counts[i].Load() > 0 {
			return false
		}
	}
	return true
}

// maxCauses bounds the series of one Causes. Both labels are names the
// operator or the program chose, never a caller's, so only a very large
// cluster comes near; what is beyond counts under "other".
const maxCauses = 4096

// cause is the labels of one series: policy is empty where none is behind it.
type cause struct{ policy, code string }

// Causes counts events by policy and cause. A series that has been seen before
// costs one map read and one atomic add; a new one copies the map.
type Causes struct {
	series atomic.Pointer[map[cause]*atomic.Uint64]
	mu     sync.Mutex // one copy at a time
}

// Add counts one event. The strings may be views: they are cloned when kept.
func (c *Causes) Add(policy, code string) {
	if m := c.series.Load(); m != nil {
		if n := (*m)[cause{policy, code}]; n != nil {
			n.Add(1)
			return
		}
	}
	c.create(policy, code).Add(1)
}

func (c *Causes) create(policy, code string) *atomic.Uint64 {
	key := cause{strings.ToValidUTF8(policy, "?"), strings.ToValidUTF8(code, "?")}
	c.mu.Lock()
	defer c.mu.Unlock()
	var known map[cause]*atomic.Uint64
	if m := c.series.Load(); m != nil {
		known = *m
	}
	if len(known) >= maxCauses && known[key] == nil {
		key = cause{"other", "other"}
	}
	if n := known[key]; n != nil {
		return n
	}
	next := make(map[cause]*atomic.Uint64, len(known)+1)
	maps.Copy(next, known)
	n := new(atomic.Uint64)
	next[cause{strings.Clone(key.policy), strings.Clone(key.code)}] = n
	c.series.Store(&next)
	return n
}

// retain drops the series of policies that are not in keep.
func (c *Causes) retain(keep names) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.series.Load()
	if m == nil {
		return
	}
	next := maps.Clone(*m)
	maps.DeleteFunc(next, func(k cause, _ *atomic.Uint64) bool {
		return k.policy != "" && k.policy != "other" && keep[k.policy] == 0
	})
	c.series.Store(&next)
}

func (c *Causes) each(do func(k cause, n uint64)) {
	if m := c.series.Load(); m != nil {
		for k, n := range *m {
			do(k, n.Load())
		}
	}
}
