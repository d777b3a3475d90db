package spec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// slowly is Overlaps as it is told: each listener is compared with all others.
func slowly(list []Secured) (names, hosts []int) {
	first := func(i int, test func(a, b *Secured) bool) int {
		for j := range list {
			if i != j && list[i].Port == list[j].Port && test(&list[i], &list[j]) {
				return j
			}
		}
		return NoOther
	}
	certifies := func(wildcard, host string) bool {
		parent, is := strings.CutPrefix(wildcard, "*.")
		_, rest, _ := strings.Cut(host, ".")
		return is && rest == parent
	}
	for i := range list {
		names = append(names, first(i, func(a, b *Secured) bool {
			return slices.ContainsFunc(a.Names, func(n string) bool {
				return slices.ContainsFunc(b.Names, func(m string) bool { return n == m || certifies(n, m) || certifies(m, n) })
			})
		}))
		hosts = append(hosts, first(i, func(a, b *Secured) bool { return share(a.Host, b.Host) }))
	}
	return names, hosts
}

// share says whether some host is taken by both of two host names.
func share(a, b string) bool {
	_, both := narrower(a, b)
	return both
}

func TestOverlaps(t *testing.T) {
	hosts := []string{"", "*", "c", "b.c", "*.c", "a.b.c", "*.b.c", "x.c", "a.x.c", "d", "*.d", "bb.c", "*.bb.c"}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 20000 {
		var list []Secured
		for range 1 + r.IntN(6) {
			l := Secured{Port: gatewayv1.PortNumber(443 + r.IntN(2)), Host: hosts[r.IntN(len(hosts))]}
			for range r.IntN(3) {
				l.Names = append(l.Names, hosts[1+r.IntN(len(hosts)-1)])
			}
			list = append(list, l)
		}
		names, own := Overlaps(list)
		wantNames, wantOwn := slowly(list)
		if !slices.Equal(names, wantNames) || !slices.Equal(own, wantOwn) {
			t.Fatalf("round %d: %+v: got %v and %v, want %v and %v", round, list, names, own, wantNames, wantOwn)
		}
	}
}

// As many as a Gateway and its ListenerSets may have, with certificates for many hosts.
func TestManyOverlaps(t *testing.T) {
	var list []Secured
	for i := range 4096 {
		l := Secured{Port: 443, Host: fmt.Sprintf("t%d.apps.example.com", i)}
		for j := range 20 {
			l.Names = append(l.Names, fmt.Sprintf("h%d.t%d.apps.example.com", j, i))
		}
		list = append(list, l)
	}
	began := time.Now()
	names, hosts := Overlaps(list)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	for i := range list {
		if names[i] != NoOther || hosts[i] != NoOther {
			t.Fatal(i, names[i], hosts[i])
		}
	}
}
