package oidc

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"
)

// maxCached is the largest session that is remembered, in bytes of its tokens and of what its
// claims take once they are read: objects within objects take 60 times what they are in a token.
const maxCached = 64 << 10

// How long the store is not asked about a session: usually, and when it fails.
const (
	fresh = time.Second
	stale = time.Minute
)

// Cache remembers what requests need of sessions, for all methods of a proxy. It
// is a fixed array of pointers, two places for each session by its id, which is
// a hash: reading takes no lock and allocates nothing. When both are taken the
// first gives way.
type Cache struct {
	slots []atomic.Pointer[session]
	mask  uint64
	epoch atomic.Uint64 // goes up when sessions are revoked that nobody can list
	counts
}

// NewCache makes a cache of at least size places.
func NewCache(size int) *Cache {
	n := uint64(1) << bits.Len64(uint64(max(size, 2)-1))
	return &Cache{slots: make([]atomic.Pointer[session], n), mask: n - 1}
}

// Events calls f with every event and how often it happened.
func (c *Cache) Events(f func(e Event, n uint64)) {
	for e := range events {
		f(e, c.counts[e].Load())
	}
}

func (c *Cache) count(e Event) { c.counts[e].Add(1) }

// session is a session as requests see it. What is not atomic does not change.
type session struct {
	id       [32]byte
	mark     [12]byte    // begins the sealed record it was read from: another record has another
	marks    [2][32]byte // where the store has the marks that would end it
	began    [2][]byte   // what was there when it began, which does not
	subject  string
	claims   map[string]any // shared by all requests; nobody writes to it
	informed bool           // claims are the userinfo endpoint's too
	created  int64          // milliseconds of Unix time
	until    int64          // the same: when it ends, for another has taken its place; 0: none has
	bytes    int
	checked  atomic.Int64  // milliseconds of Unix time; when the store last had it
	epoch    atomic.Uint64 // of the cache, then
	again    atomic.Int64  // Unix seconds before which it is not refreshed again
	underWay atomic.Bool   // somebody refreshes it
	granted
}

// granted is a session's access token.
type granted struct {
	access  string
	refresh int64 // Unix seconds from which it should be refreshed; 0: never
	expires int64 // Unix seconds at which it runs out; 0: unknown
}

func (c *Cache) places(id *[32]byte) (first, second *atomic.Pointer[session]) {
	h := binary.LittleEndian.Uint64(id[:])
	return &c.slots[h&c.mask], &c.slots[(h>>32|1)&c.mask]
}

func (c *Cache) get(id *[32]byte) *session {
	first, second := c.places(id)
	if s := first.Load(); s != nil && s.id == *id {
		return s
	}
	if s := second.Load(); s != nil && s.id == *id {
		return s
	}
	return nil
}

// put remembers s in place of what has not been checked for longer.
func (c *Cache) put(s *session) {
	if s.bytes > maxCached {
		return
	}
	first, second := c.places(&s.id)
	a, b := first.Load(), second.Load()
	switch {
	case a == nil || a.id == s.id:
		first.Store(s)
	case b == nil || b.id == s.id:
		second.Store(s)
	case b.checked.Load() < a.checked.Load():
		second.Store(s)
	default:
		first.Store(s)
	}
}

func (c *Cache) drop(id *[32]byte) {
	first, second := c.places(id)
	for _, place := range []*atomic.Pointer[session]{first, second} {
		if s := place.Load(); s != nil && s.id == *id {
			place.CompareAndSwap(s, nil)
		}
	}
}
