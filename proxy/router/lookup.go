package router

// few is how many entries a lookup has at most before it becomes a map: to look at
// each of so few costs less than to hash a key.
const few = 8

// lookup finds values by key. The zero value is empty.
type lookup[K comparable, V any] struct {
	list []entry[K, V] // in the order in which keys were added
	many map[K]V       // instead of list
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func (l *lookup[K, V]) empty() bool { return len(l.list) == 0 && l.many == nil }

// get returns the value of key, or V's zero value.
func (l *lookup[K, V]) get(key K) (v V) {
	for i := range l.list {
		if e := &l.list[i]; e.key == key {
			return e.value
		}
	}
	if l.many != nil {
		v = l.many[key]
	}
	return v
}

func (l *lookup[K, V]) set(key K, v V) {
	for i := range l.list {
		if e := &l.list[i]; e.key == key {
			e.value = v
			return
		}
	}
	if l.many == nil && len(l.list) < few {
		l.list = append(l.list, entry[K, V]{key, v})
		return
	}
	l.expect(2 * few)
	l.many[key] = v
}

// expect makes room for n keys.
func (l *lookup[K, V]) expect(n int) {
	if n <= few || l.many != nil {
		return
	}
	l.many = make(map[K]V, n)
	for _, e := range l.list {
		l.many[e.key] = e.value
	}
	l.list = nil
}
