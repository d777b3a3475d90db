package store

import "slices"

// Memo keeps what was computed for each key, while nothing it was computed from
// has changed. Its zero value is empty. It belongs to one goroutine, and to one
// Store at a time: with another it begins anew.
type Memo[K comparable, V any] struct {
	store   *Store
	entries map[K]*memoEntry[K, V]
	last    *memoEntry[K, V] // that was asked for
}

type memoEntry[K comparable, V any] struct {
	key   K
	reads *Reader
	value V
	asked bool             // since the last Sweep
	gone  bool             // dropped
	next  *memoEntry[K, V] // what was asked for after it
}

// Get returns the value of k: the one it has if all that was read for it still
// holds, else what compute makes of the store now.
func (m *Memo[K, V]) Get(s *Store, k K, compute func(*Reader, K) V) V {
	s.GiveWay()
	if m.store != s {
		m.store, m.entries, m.last = s, map[K]*memoEntry[K, V]{}, nil
	}
	e := m.find(k)
	if e == nil {
		e = &memoEntry[K, V]{key: k}
		m.entries[k] = e
	}
	if e.reads == nil || !e.reads.Fresh() {
		r := s.Read()
		e.value = compute(r, k)
		r.reads = slices.Clone(r.reads) // with no room to grow: there are as many of these as objects
		e.reads = r
	}
	if m.last != nil {
		m.last.next = e
	}
	m.last, e.asked = e, true
	return e.value
}

// find returns the entry of k, or nil. Keys are mostly asked for in the order of the time before,
// so it looks behind the last one first.
func (m *Memo[K, V]) find(k K) *memoEntry[K, V] {
	if m.last != nil && m.last.next != nil && m.last.next.key == k && !m.last.next.gone {
		return m.last.next
	}
	return m.entries[k]
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
		m.store.GiveWay()
		if !e.asked {
			m.drop(k, e)
		}
		e.asked = false
	}
}

// Drop drops the keys that are gone.
func (m *Memo[K, V]) Drop(gone func(K) bool) {
	for k, e := range m.entries {
		if gone(k) {
			m.drop(k, e)
		}
	}
}

func (m *Memo[K, V]) drop(k K, e *memoEntry[K, V]) {
	delete(m.entries, k)
	e.gone, e.next = true, nil
}
