// Package sessions keeps what methods must remember of callers from one request
// to the next: in this process's memory, or in a Redis or Valkey server that
// replicas share.
//
// proxy/guard makes one Memory, and one Redis per server a table names, and
// hands them to the methods, which see them by an interface of their own. A
// store is given keys and values that say nothing to who reads them: hashes, and
// what the method has sealed.
package sessions

import (
	"context"
	"sync"
	"time"
)

// Key names a value. It is a hash: keys are spread evenly and cannot be guessed.
type Key = [32]byte

// When says in which case Set writes.
type When = uint8

// The cases.
const (
	Always  When = iota
	Absent       // nothing is there
	Present      // something is there
)

// Bounds of a Memory.
const (
	maxBytes = 512 << 20
	overhead = 240 // of an item beside its value: list, map and allocator
	sweep    = 4   // items looked at on each write, so that what has run out goes
)

// Memory keeps values in this process. When it is full, what was not used for
// longest goes first. A lock guards it: methods ask it once a second for a
// session, not on every request.
type Memory struct {
	mu    sync.Mutex
	now   func() time.Duration // since it was made: a time of day that jumps ends nothing and lengthens nothing
	max   int
	items map[Key]*item
	ends  item // the ring's ends: next is the latest used, previous the one not used for longest
	bytes int
	lost  uint64
}

// item is one value, and its place in the ring.
type item struct {
	key            Key
	value          []byte
	until          time.Duration // as now counts
	next, previous *item
}

// NewMemory makes an empty one. max is its bound in bytes; 512 MiB when 0.
func NewMemory(now func() time.Time, max int) *Memory {
	if max == 0 {
		max = maxBytes
	}
	born := now()
	m := &Memory{now: func() time.Duration { return now().Sub(born) }, max: max, items: map[Key]*item{}}
	m.ends.next, m.ends.previous = &m.ends, &m.ends
	return m
}

// Get returns the values of keys, nil for those that are not there. The first
// key's value lives for keep from now on; all count as used, in order. Nobody
// changes a value that Get returned.
func (m *Memory) Get(_ context.Context, keys []Key, keep time.Duration) ([][]byte, error) {
	out := make([][]byte, len(keys))
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for i, k := range keys {
		it := m.live(k, now)
		if it == nil {
			continue
		}
		if i == 0 {
			it.until = now + keep
		}
		it.unlink()
		m.front(it)
		out[i] = it.value
	}
	return out, nil
}

// Set writes a value that lives for keep, and reports whether it did. The value
// belongs to the store from then on.
func (m *Memory) Set(_ context.Context, k Key, value []byte, keep time.Duration, when When) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	it := m.live(k, now)
	if when == Absent && it != nil || when == Present && it == nil {
		return false, nil
	}
	if it != nil {
		m.remove(it)
	}
	it = &item{key: k, value: value, until: now + keep}
	m.items[k] = it
	m.front(it)
	m.bytes += len(value) + overhead
	m.makeRoom(now)
	return true, nil
}

// Delete removes a value.
func (m *Memory) Delete(_ context.Context, k Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if it := m.items[k]; it != nil {
		m.remove(it)
	}
	return nil
}

// Figures are a Memory's size.
type Figures struct {
	Values int
	Bytes  int
	Lost   uint64 // values that had to go before their time
}

// Figures may be called at any time.
func (m *Memory) Figures() Figures {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Figures{len(m.items), m.bytes, m.lost}
}

func (m *Memory) live(k Key, now time.Duration) *item {
	it := m.items[k]
	if it != nil && it.until <= now {
		m.remove(it)
		return nil
	}
	return it
}

// makeRoom drops what has run out among those not used for longest, and then as
// many of them as it takes.
func (m *Memory) makeRoom(now time.Duration) {
	it := m.ends.previous
	for range sweep {
		if it == &m.ends {
			break
		}
		before := it.previous
		if it.until <= now {
			m.remove(it)
		}
		it = before
	}
	for m.bytes > m.max && m.ends.previous != m.ends.next {
		last := m.ends.previous
		m.remove(last)
		if last.until > now {
			m.lost++
		}
	}
}

func (m *Memory) front(it *item) {
	it.next, it.previous = m.ends.next, &m.ends
	it.next.previous, m.ends.next = it, it
}

func (m *Memory) remove(it *item) {
	it.unlink()
	delete(m.items, it.key)
	m.bytes -= len(it.value) + overhead
}

func (it *item) unlink() { it.previous.next, it.next.previous = it.next, it.previous }
