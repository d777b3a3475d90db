package remote

import (
	"context"
	"hash/maphash"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CacheConfig bounds a Cache. Zero fields mean the default.
type CacheConfig struct {
	Size    int              // answers kept, 4096, rounded up to a power of two
	Bytes   int              // of memory that they take, 32 MiB; an answer that takes more than a 64th of it is used and not kept
	MaxKey  int              // bytes of the longest key that is kept, 8 KiB; answers for longer ones are used and not kept
	Fetches int              // at one time, 256; further ones fail with ErrBusy
	Backoff Backoff          // of a key whose fetch failed
	Now     func() time.Time // time.Now
}

// Life is how long an answer is good, and what keeping it costs. What says no has one too.
type Life struct {
	Fresh time.Duration // it is used, and nobody asks again
	Stale time.Duration // after that: it is used while it is fetched again in the background, and while that fails
	Spare time.Duration // after both: callers wait until it is fetched again, and it is used only while that fails
	Bytes int           // of memory that it takes beside its key, where that may be much
}

// Fetch gets the answer for a key. ctx ends when the Cache is closed, not when
// the caller goes away: others may wait for the same answer.
type Fetch[V any] func(ctx context.Context) (V, Life, error)

// Cache keeps what services answered, by key.
//
// It is a fixed array of pointers, two places for each key by its hash: what is
// there is read without a lock or an allocation. When both places are taken the
// one that is due first gives way, and when all answers together take too much
// memory, one after the other as they stand. What is compared is the whole key. A key is
// fetched once at a time, whoever asks, and once per back-off while that fails.
type Cache[V any] struct {
	cfg   CacheConfig
	seed  maphash.Seed
	slots []atomic.Pointer[entry[V]]
	mask  uint64
	bytes atomic.Int64  // that what is in the slots takes
	hand  atomic.Uint64 // the slot that gave way last
	born  time.Time

	mu      sync.Mutex            // never held while anything is waited for
	flights map[string]*flight[V] // by key
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// entry is an answer, or the failure to get one. But for due it does not change.
type entry[V any] struct {
	key   string
	value V
	err   error // of the last fetch
	fails int   // in a row
	bytes int   // of memory
	until int64 // the value is used before; 0: there is none
	spare int64 // while fetching fails it is used before this too
	due   atomic.Int64
}

// What an entry takes beside key and value, and which part of the memory one takes at most.
const (
	overhead = 200
	maxPart  = 64
)

// flight is a fetch that is under way.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// NewCache makes a Cache. Close it.
func NewCache[V any](c CacheConfig) *Cache[V] {
	c.Size = or(c.Size, 4096)
	c.Bytes = or(c.Bytes, 32<<20)
	c.MaxKey = or(c.MaxKey, 8<<10)
	c.Fetches = or(c.Fetches, 256)
	c.Backoff.defaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	n := uint64(1) << bits.Len64(uint64(max(c.Size, 2)-1))
	k := &Cache[V]{
		cfg: c, seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry[V]], n), mask: n - 1,
		born: c.Now(), flights: map[string]*flight[V]{},
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// now counts nanoseconds from the Cache's making, so that a wall clock that
// jumps moves nothing.
func (c *Cache[V]) now() int64 { return int64(c.cfg.Now().Sub(c.born)) + 1 }

func (c *Cache[V]) places(key string) (first, second *atomic.Pointer[entry[V]]) {
	h := maphash.String(c.seed, key)
	return &c.slots[h&c.mask], &c.slots[(h>>32|1)&c.mask]
}

func (c *Cache[V]) find(key string) *entry[V] {
	first, second := c.places(key)
	if e := first.Load(); e != nil && e.key == key {
		return e
	}
	if e := second.Load(); e != nil && e.key == key {
		return e
	}
	return nil
}

// Get returns the answer for key if it is there and nothing needs doing about
// it; else ask Load. key may be a view of memory that changes later.
func (c *Cache[V]) Get(key string) (value V, ok bool) {
	if e := c.find(key); e != nil {
		if now := c.now(); now < e.due.Load() && now < e.end() {
			return e.value, true
		}
	}
	return value, false
}

// Load returns the answer for key, from fetch if need be. It waits for that until
// ctx ends. A stale answer is returned at once and fetched again in the
// background. While a key rests after a failure, that failure is returned.
func (c *Cache[V]) Load(ctx context.Context, key string, fetch Fetch[V]) (value V, err error) {
	e, now := c.find(key), c.now()
	if e != nil && (now < e.until || e.fails > 0 && now < e.spare) {
		// One caller renews it; until that is done, it is due for nobody else.
		if due := e.due.Load(); now >= due && e.due.CompareAndSwap(due, e.end()) {
			if _, err := c.fly(key, e, fetch); err != nil {
				e.due.Store(now + int64(c.cfg.Backoff.After(1)))
			}
		}
		return e.value, nil
	}
	if e != nil && now < e.due.Load() {
		return value, e.err
	}
	f, err := c.fly(key, e, fetch)
	if err != nil {
		return value, err
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

// AppendPart appends s to a key so that no two lists of parts are the same key.
func AppendPart(key []byte, s string) []byte {
	key = strconv.AppendInt(key, int64(len(s)), 10)
	return append(append(key, ':'), s...)
}

// Drop forgets the answer for key.
func (c *Cache[V]) Drop(key string) {
	first, second := c.places(key)
	for _, p := range [...]*atomic.Pointer[entry[V]]{first, second} {
		if e := p.Load(); e != nil && e.key == key {
			c.clear(p, e)
		}
	}
}

// fly joins the fetch of key, or begins it, unless one has landed since the
// caller has seen what is there.
func (c *Cache[V]) fly(key string, seen *entry[V], fetch Fetch[V]) (*flight[V], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if f := c.flights[key]; f != nil {
		return f, nil
	}
	if e := c.find(key); e != nil && e != seen {
		return landed(e, c.now()), nil
	}
	if len(c.flights) >= c.cfg.Fetches {
		return nil, ErrBusy
	}
	f := &flight[V]{done: make(chan struct{})}
	key = strings.Clone(key)
	c.flights[key] = f
	c.running.Go(func() { c.run(key, f, fetch) })
	return f, nil
}

// landed is a flight that is over.
func landed[V any](e *entry[V], now int64) *flight[V] {
	f := &flight[V]{done: make(chan struct{}), value: e.value}
	if now >= e.end() {
		f.err = e.err
	}
	close(f.done)
	return f
}

func (c *Cache[V]) run(key string, f *flight[V], fetch Fetch[V]) {
	var life Life
	f.value, life, f.err = fetch(c.ctx)
	if len(key) <= c.cfg.MaxKey && c.ctx.Err() == nil {
		c.keep(key, f, life)
	}
	c.mu.Lock()
	delete(c.flights, key)
	c.mu.Unlock()
	close(f.done)
}

// keep puts the outcome of a fetch in its place: a failure too, with the last
// answer known as long as that is good, which those who wait get as well.
func (c *Cache[V]) keep(key string, f *flight[V], life Life) {
	now := c.now()
	e := &entry[V]{key: key, value: f.value, err: f.err, bytes: overhead + len(key) + life.Bytes}
	if f.err == nil {
		if life.Fresh <= 0 {
			c.Drop(key)
			return
		}
		e.due.Store(now + int64(life.Fresh))
		e.until = now + int64(life.Fresh) + int64(max(life.Stale, 0))
		e.spare = e.until + int64(max(life.Spare, 0))
	} else {
		e.fails = 1
		if old := c.find(key); old != nil {
			e.fails = old.fails + 1
			if now < old.end() {
				e.value, e.bytes, e.until, e.spare = old.value, old.bytes, old.until, old.spare
				f.value, f.err = old.value, nil
			}
		}
		e.due.Store(now + int64(c.cfg.Backoff.After(e.fails)))
	}
	if e.bytes > c.cfg.Bytes/maxPart {
		c.Drop(key)
		return
	}
	first, second := c.places(key)
	a, b := first.Load(), second.Load()
	switch {
	case b != nil && b.key == key: // even where the first is free: no key has two answers
		c.put(second, e)
	case a == nil || a.key == key:
		c.put(first, e)
	case b == nil || b.over(now) && !a.over(now):
		c.put(second, e)
	case a.over(now) || a.due.Load() <= b.due.Load():
		c.put(first, e)
	default:
		c.put(second, e)
	}
}

// put gives e a place, and makes room for it: who is next on the way round gives way.
func (c *Cache[V]) put(place *atomic.Pointer[entry[V]], e *entry[V]) {
	grown := int64(e.bytes)
	if old := place.Swap(e); old != nil {
		grown -= int64(old.bytes)
	}
	c.bytes.Add(grown)
	for range c.slots {
		if c.bytes.Load() <= int64(c.cfg.Bytes) {
			return
		}
		p := &c.slots[c.hand.Add(1)&c.mask]
		if old := p.Load(); old != e {
			c.clear(p, old)
		}
	}
}

// clear empties a place, if e is still there.
func (c *Cache[V]) clear(p *atomic.Pointer[entry[V]], e *entry[V]) {
	if e != nil && p.CompareAndSwap(e, nil) {
		c.bytes.Add(-int64(e.bytes))
	}
}

// end is when the value is of no use any more, even while fetching fails.
func (e *entry[V]) end() int64 { return max(e.until, e.spare) }

// over reports whether an entry serves nobody any more.
func (e *entry[V]) over(now int64) bool { return now >= e.end() && now >= e.due.Load() }

// Close ends the fetches that are under way and waits for them.
func (c *Cache[V]) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}
