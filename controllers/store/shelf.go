package store

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// shelf is the objects of one kind, each with the tick of its last change, and
// the lists they stand in.
type shelf[T metav1.Object] struct {
	same    func(a, b T) bool // nothing that matters differs
	lists   func(T) []string  // the lists an object stands in; nil for none
	objects map[types.NamespacedName]*held[T]
	index   map[string]*list[T]
	changed uint64 // tick of the last change of anything here
}

// held and list change in place: readers look at the tick where it stands. One that
// is dropped is never taken up again, and its tick is 0.
type held[T any] struct {
	object  T
	changed uint64
}

// list is objects by namespace, then name. An empty one is not kept.
type list[T metav1.Object] struct {
	objects []T
	changed uint64
	lent    bool // a reader has the slice: change a copy
}

func newShelf[T metav1.Object](same func(a, b T) bool, lists func(T) []string) *shelf[T] {
	if lists == nil {
		lists = func(T) []string { return nil }
	}
	return &shelf[T]{
		same: same, lists: lists,
		objects: map[types.NamespacedName]*held[T]{},
		index:   map[string]*list[T]{},
	}
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// put takes an object at a tick. An object that differs only in what does not
// matter replaces the one before it, so that its status is the latest known, and
// no version changes.
func (s *shelf[T]) put(obj T, tick uint64) bool {
	name := nameOf(obj)
	at := s.objects[name]
	if at == nil {
		at = &held[T]{}
		s.objects[name] = at
	}
	old, had := at.object, at.changed != 0
	if had && any(old) == any(obj) {
		return false
	}
	at.object = obj
	// Another object of the same name is a change even if it says the same: its
	// status has yet to be written.
	if had && old.GetUID() == obj.GetUID() && s.same(old, obj) {
		for _, in := range s.lists(obj) {
			s.index[in].put(obj)
		}
		return false
	}
	at.changed, s.changed = tick, tick
	in := s.lists(obj)
	if had {
		for _, was := range s.lists(old) {
			if !slices.Contains(in, was) {
				s.drop(was, name, tick)
			}
		}
	}
	for _, now := range in {
		l := s.index[now]
		if l == nil {
			l = &list[T]{}
			s.index[now] = l
		}
		l.put(obj)
		l.changed = tick
	}
	return true
}

func (s *shelf[T]) remove(name types.NamespacedName, tick uint64) bool {
	old, had := s.objects[name]
	if !had {
		return false
	}
	delete(s.objects, name)
	old.changed, s.changed = 0, tick
	for _, was := range s.lists(old.object) {
		s.drop(was, name, tick)
	}
	return true
}

func (s *shelf[T]) drop(from string, name types.NamespacedName, tick uint64) {
	l := s.index[from]
	if len(l.objects) == 1 {
		delete(s.index, from)
		l.changed = 0
		return
	}
	l.own()
	if i, found := slices.BinarySearchFunc(l.objects, name, compareName[T]); found {
		l.objects = slices.Delete(l.objects, i, i+1)
	}
	l.changed = tick
}

func (s *shelf[T]) tick(k *key) *uint64 {
	if k.list == "" {
		if at := s.objects[k.name]; at != nil {
			return &at.changed
		}
	} else if l := s.index[k.list]; l != nil {
		return &l.changed
	}
	return nil
}

func (s *shelf[T]) last() uint64 { return s.changed }

// all returns a list; the caller may keep it and may not write to it.
func (s *shelf[T]) all(name string) []T {
	l := s.index[name]
	if l == nil {
		return nil
	}
	l.lent = true
	return l.objects
}

// own makes the slice the list's own again, to be written to.
func (l *list[T]) own() {
	if l.lent {
		l.objects, l.lent = slices.Clone(l.objects), false
	}
}

// put adds the object, or puts it in the place of the one of that name.
func (l *list[T]) put(obj T) {
	l.own()
	i, found := slices.BinarySearchFunc(l.objects, nameOf(obj), compareName[T])
	if found {
		l.objects[i] = obj
		return
	}
	l.objects = slices.Insert(l.objects, i, obj)
}

func compareName[T metav1.Object](o T, name types.NamespacedName) int {
	return cmp.Or(cmp.Compare(o.GetNamespace(), name.Namespace), cmp.Compare(o.GetName(), name.Name))
}
