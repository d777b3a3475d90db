package feature

import (
	"fmt"
	"testing"
)

// A ListenerSet adds listeners to a Gateway that takes it; routes and policies
// reach what they name, and nothing else changes.
func TestListenerSet(t *testing.T) {
	t.Parallel()
	set := func(name, host string) string {
		return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: %s, namespace: shop}
spec:
  parentRef: {name: edge}
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: %s}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-%[1]s, namespace: shop}
spec:
  parentRefs: [{kind: ListenerSet, name: %[1]s}]
  rules: [{backendRefs: [{name: api, port: 80}]}]
---
`, name, host)
	}
	w := Start(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: gatehouse
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{port: 80}]}
---
`+set("a", "a.example")+set("b", "own.example"))
	status := func(url string, want int) {
		t.Helper()
		if got := w.Do("GET " + url).Status; got != want {
			t.Errorf("%s: got %d, want %d", url, got, want)
		}
	}
	status("http://a.example/", 200)
	status("http://own.example/", 404) // the Gateway's own, which has no route
	w.Apply(set("b", "b.example"))
	status("http://b.example/", 200)
	w.Apply(`
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: b, sectionName: http}]
  rules: {authorization: {nobody: {cel: "false"}}}
`)
	status("http://a.example/", 200)
	status("http://b.example/", 403)
	w.Delete(set("a", "a.example"))
	status("http://a.example/", 404)
}
