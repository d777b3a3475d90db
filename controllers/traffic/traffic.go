// Package traffic finds the XBackendTrafficPolicies (GEP-3388, GEP-1619) that are in
// force: which of them stands at a Service.
//
// graph asks it for the backends of routes, attach for what the policies' statuses
// say. It calls store, policy and spec. It is pure.
package traffic

import (
	"k8s.io/apimachinery/pkg/types"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// At returns the policy that stands at a Service, the oldest; nil for none.
func At(r *store.Reader, service types.NamespacedName) *gatewayxv1alpha1.XBackendTrafficPolicy {
	first, _ := policy.Oldest(r.BackendTrafficPoliciesOn(service), func(p *gatewayxv1alpha1.XBackendTrafficPolicy) bool {
		return spec.TargetsService(p, service.Name)
	})
	return first
}

// Settings is what the policy there says; nil where there is none, or one that
// cannot be used: it guards nothing that could be left open.
func Settings(r *store.Reader, service types.NamespacedName) *spec.Traffic {
	p := At(r, service)
	if p == nil {
		return nil
	}
	settings, _ := spec.BackendTraffic(p)
	return settings
}
