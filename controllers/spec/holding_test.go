package spec

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHoldings finds whom comparing all hosts finds.
func TestHoldings(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hosts := []string{"*", "a.example", "b.example", "*.example", "a.b.example", "*.b.example", "c.a.b.example", "xexample", "example", "*.a.example", "a.test", "*.test"}
	pick := func() (out []string) {
		for range 1 + random.IntN(2) {
			out = append(out, hosts[random.IntN(len(hosts))])
		}
		return out
	}
	for range 2000 {
		held, of := Holdings{}, [][]string{}
		for i := range random.IntN(5) {
			of = append(of, pick())
			held.Add(of[i], i)
		}
		asked := pick()
		want := slices.IndexFunc(of, func(list []string) bool {
			return slices.ContainsFunc(list, func(a string) bool {
				return slices.ContainsFunc(asked, func(b string) bool { return share(a, b) })
			})
		})
		if got, found := held.First(asked); found != (want >= 0) || found && got != want {
			t.Fatalf("%q beside %q: got %d %v, want %d", asked, of, got, found, want)
		}
	}
}
