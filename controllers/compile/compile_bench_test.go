package compile

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// BenchmarkOneRoute is a change of one route among 5,000 under a policy of
// their Gateway: first the graph, then the table of it.
func BenchmarkOneRoute(b *testing.B) {
	s := store.New()
	apply := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	apply(load[gatewayv1.GatewayClass](s, classText))
	apply(load[gatewayv1.Gateway](s, gatewayText))
	apply(load[corev1.Service](s, serviceText))
	apply(load[v1alpha1.AuthPolicy](s, `{metadata: {name: all, namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}],
		rules: {authentication: {staff: {jwt: {issuer: "https://issuer.example", audiences: [a]}}}}}}`))
	for i := range 5000 {
		apply(load[gatewayv1.HTTPRoute](s, routeText(fmt.Sprintf("r%d", i), "80")))
	}
	builder, compiler := graph.NewBuilder(graph.Config{Controller: "gatehouse.dev/gateway"}), New()
	attacher := attach.NewBuilder(attach.Config{Controller: "gatehouse.dev/gateway"})
	g := builder.Build(s)
	policies := attacher.Build(s, g)
	var t *table.Table
	for _, half := range []string{"graph", "table"} {
		b.Run(half, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				apply(load[gatewayv1.HTTPRoute](s, routeText("r7", fmt.Sprint(80+i%2))))
				b.StartTimer()
				if half == "graph" {
					g = builder.Build(s)
					policies = attacher.Build(s, g)
					continue
				}
				b.StopTimer()
				g = builder.Build(s)
				policies = attacher.Build(s, g)
				b.StartTimer()
				t = compiler.Compile(g, policies)
			}
		})
	}
	if len(t.Listeners[0].Hosts) != 5000 {
		b.Errorf("%d hosts", len(t.Listeners[0].Hosts))
	}
}
