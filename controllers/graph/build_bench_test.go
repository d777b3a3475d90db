package graph

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// large is a cluster of n routes on one Gateway, each with a Service and a host of its own.
func large(b testing.TB, n int) *store.Store {
	s := load(b, class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]"))
	model := parse(b, fmt.Sprintf(largeRoute, 0, 80))
	for i := range n {
		service, route := model[0].(*corev1.Service).DeepCopy(), model[1].(*gatewayv1.HTTPRoute).DeepCopy()
		service.Name, route.Name = fmt.Sprint("s", i), fmt.Sprint("r", i)
		route.Spec.Hostnames[0] = gatewayv1.Hostname(fmt.Sprintf("h%d.example", i))
		route.Spec.Rules[0].BackendRefs[0].Name = gatewayv1.ObjectName(service.Name)
		s.Apply(service)
		s.Apply(route)
	}
	return s
}

const largeRoute = `
kind: Service
metadata: {name: s%[1]d, namespace: shop}
spec: {ports: [{port: 80}]}
---
kind: HTTPRoute
metadata: {name: r%[1]d, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: web}], hostnames: [h%[1]d.example], rules: [{backendRefs: [{name: s%[1]d, port: %[2]d}]}]}
`

// BenchmarkOneRoute is a change of one route among many.
func BenchmarkOneRoute(b *testing.B) {
	for _, n := range []int{10, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := large(b, n)
			route := [2]string{fmt.Sprintf(largeRoute, 7, 80), fmt.Sprintf(largeRoute, 7, 81)}
			changes := [2]metav1.Object{parse(b, route[0])[1], parse(b, route[1])[1]}
			builder := NewBuilder(Config{Controller: controller})
			builder.Build(s)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.Apply(changes[i%2])
				builder.Build(s)
			}
		})
	}
}

// BenchmarkFull is a first build.
func BenchmarkFull(b *testing.B) {
	s := large(b, 5000)
	for b.Loop() {
		NewBuilder(Config{Controller: controller}).Build(s)
	}
}

// TestOneRouteIsCheap holds a change of one route among 5,000 to a part of what a
// first build takes, with room for a machine that is busy.
func TestOneRouteIsCheap(t *testing.T) {
	grpc := parse(t, "kind: GRPCRoute\nmetadata: {name: g, namespace: shop}\n"+
		"spec: {parentRefs: [{name: gw, namespace: web}], hostnames: [g.example], rules: [{backendRefs: [{name: s7, port: 80}]}]}")
	for name, beside := range map[string][]metav1.Object{"alone": nil, "beside a GRPCRoute": grpc} {
		t.Run(name, func(t *testing.T) {
			s := large(t, 5000)
			for _, o := range beside {
				s.Apply(o)
			}
			builder := NewBuilder(Config{Controller: controller})
			start := time.Now()
			builder.Build(s)
			full := time.Since(start)
			best := time.Hour
			for i := range 20 {
				s.Apply(parse(t, fmt.Sprintf(largeRoute, 7, 81-i%2))[1]) // another port each time
				start := time.Now()
				builder.Build(s)
				best = min(best, time.Since(start))
			}
			if best > full/4 {
				t.Errorf("one route took %v, all took %v", best, full)
			}
		})
	}
}
