package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// external says of an XBackend how it stands with each Gateway (GEP-4894).
func (p projection) external(e *attach.External) Desired {
	d := Desired{Key: Key{kindOutside, types.NamespacedName{Namespace: e.Object.Namespace, Name: e.Object.Name}}, Generation: e.Object.Generation, UID: e.Object.UID}
	for _, gw := range e.Gateways {
		d.Backend = append(d.Backend, gatewayx.BackendAncestorStatus{
			ControllerName: p.controller, AncestorRef: ancestorRef(&attach.Ancestor{Gateway: gw}), Conditions: slices.Clone(e.Conditions),
		})
	}
	return d
}

// backend does for XBackends what parents does for routes.
func (m merger) backend(have, want []gatewayx.BackendAncestorStatus) []gatewayx.BackendAncestorStatus {
	return entries(have, want, spec.MaxParents, entry[gatewayx.BackendAncestorStatus]{
		ours:  func(e gatewayx.BackendAncestorStatus) bool { return e.ControllerName == m.controller },
		about: func(e gatewayx.BackendAncestorStatus) gatewayv1.ParentReference { return e.AncestorRef },
		merge: func(have, want gatewayx.BackendAncestorStatus) gatewayx.BackendAncestorStatus {
			want.Conditions = m.conditions(have.Conditions, want.Conditions)
			return want
		},
	})
}
