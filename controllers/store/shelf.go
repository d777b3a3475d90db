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
	objects map[types.NamespacedName]held[T]
	index   map[string]*list[T]
	changed uint64 // tick of the last change of anything here
}

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
		objects: map[types.NamespacedName]held[T]{},
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
	old, had := s.objects[name]
	if had && any(old.object) == any(obj) {
		return false
	}
	// Another object of the same name is a change even if it says the same: its
	// status has yet to be written.
	if had && old.object.GetUID() == obj.GetUID() && s.same(old.object, obj) {
		s.objects[name] = held[T]{obj, old.changed}
		for _, in := range s.lists(obj) {
			s.index[in].put(obj)
		}
		return false
	}
	s.objects[name] = held[T]{obj, tick}
	s.changed = tick
	in := s.lists(obj)
	if had {
		for _, was := range s.lists(old.object) {
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
	s.changed = tick
	for _, was := range s.lists(old.object) {
		s.drop(was, name, tick)
	}
	return true
}

func (s *shelf[T]) drop(from string, name types.NamespacedName, tick uint64) {
	l := s.index[from]
	if len(l.objects) == 1 {
		delete(s.index, from)
		return
	}
	l.own()
	if i, found := slices.BinarySearchFunc(l.objects, name, compareName[T]); found {
		l.objects = slices.Delete(l.objects, i, i+1)
	}
	l.changed = tick
}

func (s *shelf[T]) version(k *key) uint64 {
	if k.list == "" {
		return s.objects[k.name].changed
	}
	if l := s.index[k.list]; l != nil {
		return l.changed
	}
	return 0
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
