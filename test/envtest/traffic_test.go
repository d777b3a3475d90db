//go:build envtest

package envtest

import (
	"testing"

	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

const (
	firstBudget = `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: first, namespace: NS}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  retryConstraint: {budget: {percent: 10}}
  sessionPersistence: {sessionName: id}
`
	secondBudget = `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: second, namespace: NS}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  retryConstraint: {}
`
)

// TestBackendTraffic follows the statuses of two policies on one Service.
func TestBackendTraffic(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"), firstBudget, secondBudget)
	w.Run().WaitReady()
	w.Expect("/a", 200)
	const accepted = "ancestor Gateway NS/edge by CONTROLLER\nAccepted=True Accepted @0"
	Status(w, "first", &gatewayxv1alpha1.XBackendTrafficPolicy{}, accepted)
	Status(w, "second", &gatewayxv1alpha1.XBackendTrafficPolicy{}, "ancestor Gateway NS/edge by CONTROLLER\nAccepted=False Conflicted @0")
	w.Delete(firstBudget)
	Status(w, "second", &gatewayxv1alpha1.XBackendTrafficPolicy{}, accepted)
	w.Delete(routeTo("r", "/a"))
	Status(w, "second", &gatewayxv1alpha1.XBackendTrafficPolicy{}, "")
}
