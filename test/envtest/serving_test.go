//go:build envtest

package envtest

import (
	"net/http"
	"testing"
)

// TestServing follows objects to answers, and their changes.
func TestServing(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.Run().WaitReady()
	w.Expect("/a", http.StatusOK)
	w.Expect("/b", http.StatusNotFound)

	w.Apply(routeTo("r", "/b"))
	w.Expect("/b", http.StatusOK)
	w.Expect("/a", http.StatusNotFound)

	w.Apply(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, namespace: NS, labels: {kubernetes.io/service-name: api}}
addressType: IPv4
ports: [{name: "", port: BACKEND, protocol: TCP}]
endpoints: [{addresses: [MACHINE], conditions: {ready: false}}]
`)
	w.Expect("/b", http.StatusServiceUnavailable)
	w.Apply(base)
	w.Expect("/b", http.StatusOK)

	w.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: NS
  listeners:
  - {name: http, protocol: HTTP, port: PORT2}
`)
	w.Expect("/b", 0)
	w.Port = w.Port2
	w.Expect("/b", http.StatusOK)
	w.Delete(routeTo("r", "/b"))
	w.Expect("/b", http.StatusNotFound)
}
