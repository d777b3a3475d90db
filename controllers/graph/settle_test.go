package graph

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestKindsOfRouteByNameAlone has an HTTPRoute and a GRPCRoute of one name and age want one host:
// others beside them must not change which of the two has it.
func TestKindsOfRouteByNameAlone(t *testing.T) {
	s := large(t, 0)
	apply := func(kind, name, host string) {
		for _, o := range parse(t, fmt.Sprintf("kind: %s\nmetadata: {name: %s, namespace: shop, creationTimestamp: '%s'}\nspec: {parentRefs: [{name: gw, namespace: web}], hostnames: [%s]}", kind, name, early, host)) {
			s.Apply(o)
		}
	}
	apply("HTTPRoute", "r", "r.example")
	apply("GRPCRoute", "r", "r.example")
	b := NewBuilder(Config{Controller: controller})
	for i := range 100 {
		apply("HTTPRoute", fmt.Sprintf("%c%d", 'q'+rune(i%3), i), fmt.Sprintf("h%d.example", i))
		g := b.Build(s)
		at := slices.IndexFunc(g.Routes, func(r *Route) bool { return r.Object.Name == "r" })
		if accepted := find(g.Routes[at].Parents[0].Conditions, gatewayv1.RouteConditionAccepted); accepted.Status != metav1.ConditionTrue {
			t.Fatalf("beside %d others the HTTPRoute is not accepted: %s", i+1, accepted.Message)
		}
	}
}

// TestManyOfEachKind holds a change of one route among thousands of both kinds to a part of what a
// first build takes.
func TestManyOfEachKind(t *testing.T) {
	const n = 3000
	s := large(t, n)
	for i := range n {
		s.Apply(parse(t, fmt.Sprintf("kind: GRPCRoute\nmetadata: {name: g%[1]d, namespace: shop}\nspec: {parentRefs: [{name: gw, namespace: web}], hostnames: [g%[1]d.example], rules: [{backendRefs: [{name: s7, port: 80}]}]}", i))[0])
	}
	builder := NewBuilder(Config{Controller: controller})
	start := time.Now()
	builder.Build(s)
	full, best := time.Since(start), time.Hour
	for i := range 10 {
		s.Apply(parse(t, fmt.Sprintf(largeRoute, 7, 81-i%2))[1])
		start := time.Now()
		builder.Build(s)
		best = min(best, time.Since(start))
	}
	if best > full/4 {
		t.Errorf("one route took %v, all took %v", best, full)
	}
}
