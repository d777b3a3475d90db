package graph

import (
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// direct finds the XBackendTrafficPolicies that stand at a route's backends, and
// at those its requests are mirrored to. One that cannot be used does nothing: it
// guards nothing that could be left open.
func direct(r *store.Reader, rules []*Rule) {
	for _, rule := range rules {
		shape(r, rule.Backends)
		shape(r, rule.Mirrors)
		for _, b := range rule.Backends {
			shape(r, b.Mirrors)
		}
	}
}

func shape(r *store.Reader, list []*Backend) {
	for _, b := range list {
		if b.Broken != "" {
			continue
		}
		p, found := policy.Oldest(r.BackendTrafficPoliciesOn(b.Service), func(p *gatewayxv1alpha1.XBackendTrafficPolicy) bool {
			return spec.TargetsService(p, b.Service.Name)
		})
		if found {
			b.Traffic, _ = spec.BackendTraffic(p)
		}
	}
}
