//go:build !race

package forward_test

import "testing"

// Under the race detector sync.Pool forgets at random, so this counts without it.
func TestForwardAllocs(t *testing.T) {
	once := loop(t)
	for range 1000 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n >= 1 {
		t.Errorf("%v allocations a request, want none", n)
	}
}
