package feature

import "testing"

// Default Gateways (GEP-3793) come and go: a route that asks for one is served
// where there is one, and nowhere else.
func TestDefaultGateways(t *testing.T) {
	t.Parallel()
	const class = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
`
	gateway := func(scope string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec:\n  gatewayClassName: gatehouse\n" +
			scope + "  listeners: [{name: http, port: 80, protocol: HTTP}]\n---\n"
	}
	const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  useDefaultGateways: All
  rules: [{backendRefs: [{name: api, port: 80}]}]
---
`
	w := Start(t, class+gateway("  defaultScope: All\n")+Service("api")+route)
	f := func(when string, want int) {
		t.Helper()
		if got := w.Do("GET http://a.example/").Status; got != want {
			t.Errorf("%s: got %d, want %d", when, got, want)
		}
	}
	f("a default Gateway", 200)
	w.Apply(gateway("  defaultScope: None\n"))
	f("none any more", 404)
	w.Apply(gateway("  defaultScope: All\n"))
	f("one again", 200)
	w.Apply(gateway(""))
	f("without a scope", 404)
}
