//go:build !race

package guard

import "testing"

// Under the race detector sync.Pool forgets at random, so this counts without it.

// What is remembered, or needs no memory, allocates nothing.
func TestMethodsDoNotAllocate(t *testing.T) {
	s := newBench(t, 0)
	for name, w := range s.workloads(t) {
		if !w.free {
			continue
		}
		p, err := s.Build(w.auth)
		if err != nil {
			t.Fatal(err)
		}
		fields := w.fieldsOf()
		if n := testing.AllocsPerRun(100, func() { check(t, p, w.requests[0], fields[0]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
