package store

import "slices"

// Memo keeps what was computed for each key, while nothing it was computed from
// has changed. Its zero value is empty. It belongs to one goroutine, and to one
// Store at a time: with another it begins anew.
type Memo[K comparable, V any] struct {
	store   *Store
	entries map[K]*memoEntry[V]
}

type memoEntry[V any] struct {
	reads *Reader
	value V
	asked bool // since the last Sweep
}

// Get returns the value of k: the one it has if all that was read for it still
// holds, else what compute makes of the store now.
func (m *Memo[K, V]) Get(s *Store, k K, compute func(*Reader, K) V) V {
	s.GiveWay()
	if m.store != s {
		m.store, m.entries = s, map[K]*memoEntry[V]{}
	}
	e := m.entries[k]
	if e == nil || !e.reads.Fresh() {
		r := s.Read()
		e = &memoEntry[V]{reads: r, value: compute(r, k)}
		r.reads = slices.Clone(r.reads) // with no room to grow: there are as many of these as objects
		m.entries[k] = e
	}
	e.asked = true
	return e.value
}

// Last returns the value of k as it was last asked for, fresh or not.
func (m *Memo[K, V]) Last(k K) (value V, ok bool) {
	if e := m.entries[k]; e != nil {
		return e.value, true
	}
	return value, false
}

// Sweep drops what was not asked for since the last Sweep.
func (m *Memo[K, V]) Sweep() {
	for k, e := range m.entries {
		if !e.asked {
			delete(m.entries, k)
		}
		e.asked = false
	}
}

// Drop drops the keys that are gone.
func (m *Memo[K, V]) Drop(gone func(K) bool) {
	for k := range m.entries {
		if gone(k) {
			delete(m.entries, k)
		}
	}
}
