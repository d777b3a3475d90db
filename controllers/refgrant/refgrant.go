// Package refgrant says whether an object of one namespace may refer to one of another
// (ReferenceGrant, GEP-709).
//
// graph calls it for what Gateways, routes and XBackends refer to, keysecret for
// the Secrets of policies. It calls store, and is pure.
package refgrant

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Allows says whether from may refer to an object of a core kind: in its own
// namespace always, elsewhere by a ReferenceGrant of that namespace.
func Allows(r *store.Reader, from gatewayv1.ReferenceGrantFrom, kind gatewayv1.Kind, to types.NamespacedName) bool {
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

// Any says whether from may refer to at least some objects of a core kind in a
// namespace, if they are there.
func Any(r *store.Reader, from gatewayv1.ReferenceGrantFrom, kind gatewayv1.Kind, namespace string) bool {
	if string(from.Namespace) == namespace {
		return true
	}
	for _, grant := range r.ReferenceGrants(namespace) {
		if grantsFrom(grant, from) && slices.ContainsFunc(grant.Spec.To, func(t gatewayv1.ReferenceGrantTo) bool { return t.Group == "" && t.Kind == kind }) {
			return true
		}
	}
	return false
}

func grantsFrom(grant *gatewayv1.ReferenceGrant, from gatewayv1.ReferenceGrantFrom) bool {
	return slices.Contains(grant.Spec.From, from)
}

func grantsTo(grant *gatewayv1.ReferenceGrant, kind gatewayv1.Kind, name string) bool {
	for _, t := range grant.Spec.To {
		if t.Group == "" && t.Kind == kind && (t.Name == nil || *t.Name == "" || string(*t.Name) == name) {
			return true
		}
	}
	return false
}
