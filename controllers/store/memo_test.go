package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestMemo asks for keys in changing orders while routes come, change and go, and sweeps now and
// then: an answer must be what would be computed anew, and is kept until it is dropped.
func TestMemo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	name := func(i int) string { return fmt.Sprint("r", i) }
	hosts := func(r *Reader, i int) string {
		route := r.HTTPRoute(named("shop", name(i)))
		if route == nil {
			return ""
		}
		return fmt.Sprint(route.Spec.Hostnames)
	}
	s, m := New(), Memo[int, string]{}
	computed := 0
	for range 500 {
		for range random.IntN(3) {
			if i := random.IntN(12); random.IntN(3) == 0 {
				s.Delete(HTTPRoute, named("shop", name(i)))
			} else {
				s.Apply(route(name(i), gatewayv1.Hostname(fmt.Sprint("h", random.IntN(3)))))
			}
		}
		asked := random.Perm(12)[:random.IntN(12)]
		if random.IntN(2) == 0 {
			asked = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}[random.IntN(6):]
		}
		for _, i := range asked {
			compute := func(r *Reader, i int) string { computed++; return hosts(r, i) }
			if got, want := m.Get(s, i, compute), hosts(s.Read(), i); got != want {
				t.Fatalf("%d: got %s, want %s", i, got, want)
			}
			if _, kept := m.Last(i); !kept {
				t.Fatal(i, "was asked for and is not kept")
			}
		}
		if random.IntN(4) != 0 {
			m.Sweep()
		}
		dropped := random.IntN(30)
		m.Drop(func(i int) bool { return i == dropped })
		if _, kept := m.Last(dropped); kept {
			t.Fatal("what was dropped is kept")
		}
	}
	if computed > 2000 {
		t.Error(computed, "were computed: nothing is kept")
	}
}
