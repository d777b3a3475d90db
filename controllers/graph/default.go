package graph

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// parent is a parentRef of a route, as written or for a default Gateway, and what
// it names.
type parent struct {
	ref  gatewayv1.ParentReference
	of   *holder
	note string // for the message of the route that is accepted there
}

// parents are the parentRefs of a route that lead to Gateways of ours, and one for
// each default Gateway of the scope it asks for that it does not name itself. A
// status has room for 32 of them.
func (b *Builder) parents(r *store.Reader, route metav1.Object, common *gatewayv1.CommonRouteSpec) (out []parent) {
	for _, ref := range common.ParentRefs {
		if of := b.holderOf(r, route, ref); of != nil {
			out = append(out, parent{ref: ref, of: of})
		}
	}
	if scope := common.UseDefaultGateways; scope != "" && scope != gatewayv1.GatewayDefaultScopeNone {
		named := out
		for _, gw := range r.DefaultGateways(scope) {
			of := own(gw)
			known := func(p parent) bool { return p.of.kind == of.kind && p.of.gateway == of.gateway }
			if b.ours(r, gw) != nil && !slices.ContainsFunc(named, known) && len(out) < spec.MaxParents {
				out = append(out, parent{spec.ParentRef(gw), of, "; the Gateway is a default one"})
			}
		}
	}
	return out
}
