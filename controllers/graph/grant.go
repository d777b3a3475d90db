package graph

import (
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// granted says whether objects of a Gateway API kind in one namespace may refer
// to an object of a core kind: in their own namespace always, elsewhere by a
// ReferenceGrant of that namespace (GEP-709).
func granted(r *store.Reader, from gatewayv1.ReferenceGrantFrom, kind gatewayv1.Kind, to types.NamespacedName) bool {
	if string(from.Namespace) == to.Namespace {
		return true
	}
	for _, grant := range r.ReferenceGrants(to.Namespace) {
		if grantsFrom(grant, from) && grantsTo(grant, kind, to.Name) {
			return true
		}
	}
	return false
}

func grantsFrom(grant *gatewayv1.ReferenceGrant, from gatewayv1.ReferenceGrantFrom) bool {
	for _, f := range grant.Spec.From {
		if f == from {
			return true
		}
	}
	return false
}

func grantsTo(grant *gatewayv1.ReferenceGrant, kind gatewayv1.Kind, name string) bool {
	for _, t := range grant.Spec.To {
		if t.Group == "" && t.Kind == kind && (t.Name == nil || *t.Name == "" || string(*t.Name) == name) {
			return true
		}
	}
	return false
}
