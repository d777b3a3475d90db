// Package memo keeps what one build of the table made for the next one, so that
// what a change did not touch comes back as the same value. Compile and its
// rooms use it; it calls nothing.
package memo

// Map keeps values by key from one build to the next. What a build does not
// ask for is forgotten with the next one.
type Map[K comparable, V any] struct {
	Last, Now map[K]V
}

// Turn begins the next build.
func (m *Map[K, V]) Turn() {
	m.Last, m.Now = m.Now, make(map[K]V, len(m.Now))
}

// Get returns the value of k, building it if the last build had none.
func (m *Map[K, V]) Get(k K, build func() V) V {
	if v, ok := m.Now[k]; ok {
		return v
	}
	v, ok := m.Last[k]
	if !ok {
		v = build()
	}
	m.Now[k] = v
	return v
}

// Keep returns this or the last build's value of k if it is the same as v, else v.
func (m *Map[K, V]) Keep(k K, v V, same func(a, b V) bool) V {
	if now, ok := m.Now[k]; ok && same(now, v) {
		return now
	}
	if old, ok := m.Last[k]; ok && same(old, v) {
		v = old
	}
	m.Now[k] = v
	return v
}
