package spec

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Stream is a TLSRoute, TCPRoute or UDPRoute, read by itself.
type Stream struct {
	Kind      gatewayv1.Kind
	Object    metav1.Object
	Common    *gatewayv1.CommonRouteSpec
	Status    *gatewayv1.RouteStatus
	Hostnames []gatewayv1.Hostname // of a TLSRoute
	Backends  []gatewayv1.BackendRef
	Broken    *Problem // the route cannot be used
}

// TLSRoute reads a TLSRoute.
func TLSRoute(o *gatewayv1.TLSRoute) Stream {
	s := Stream{Kind: KindTLSRoute, Object: o, Common: &o.Spec.CommonRouteSpec, Status: &o.Status.RouteStatus, Hostnames: o.Spec.Hostnames}
	if len(o.Spec.Rules) > 0 {
		s.Backends = o.Spec.Rules[0].BackendRefs
	}
	s.check(len(o.Spec.Rules))
	return s
}

// TCPRoute reads a TCPRoute.
func TCPRoute(o *gatewayv1.TCPRoute) Stream {
	s := Stream{Kind: KindTCPRoute, Object: o, Common: &o.Spec.CommonRouteSpec, Status: &o.Status.RouteStatus}
	if len(o.Spec.Rules) > 0 {
		s.Backends = o.Spec.Rules[0].BackendRefs
	}
	s.check(len(o.Spec.Rules))
	return s
}

// UDPRoute reads a UDPRoute.
func UDPRoute(o *gatewayv1.UDPRoute) Stream {
	s := Stream{Kind: KindUDPRoute, Object: o, Common: &o.Spec.CommonRouteSpec, Status: &o.Status.RouteStatus}
	if len(o.Spec.Rules) > 0 {
		s.Backends = o.Spec.Rules[0].BackendRefs
	}
	s.check(len(o.Spec.Rules))
	return s
}

// maxStreamBackends is how many the schemas allow.
const maxStreamBackends = 16

func (s *Stream) check(rules int) {
	switch {
	case rules != 1:
		s.Broken = Problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules: has %d entries; give exactly one", rules)
		return
	case len(s.Backends) > maxStreamBackends:
		s.Broken = Problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules[0].backendRefs: has %d entries, %d are allowed", len(s.Backends), maxStreamBackends)
		return
	}
	for i := range s.Backends {
		if w := s.Backends[i].Weight; w != nil && (*w < 0 || *w > maxWeight) {
			s.Broken = Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.weight: %d is not between 0 and %d", fmt.Sprintf("spec.rules[0].backendRefs[%d]", i), *w, maxWeight)
			return
		}
	}
}
