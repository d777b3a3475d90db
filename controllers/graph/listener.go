package graph

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// kindHTTPRoute is the one kind of route the listeners take.
const kindHTTPRoute = "HTTPRoute"

// speaks says which protocols a listener may have.
func speaks(p gatewayv1.ProtocolType) bool {
	return p == gatewayv1.HTTPProtocolType || p == gatewayv1.HTTPSProtocolType
}

type listenerInput struct {
	gateway  *gatewayv1.Gateway
	index    int
	taken    *taken
	conflict *problem
}

// listener resolves one listener: all its conditions but Programmed, and whether
// it could serve if its Gateway can.
func (b *Builder) listener(r *store.Reader, in listenerInput) *Listener {
	spec := &in.gateway.Spec.Listeners[in.index]
	kinds, badKinds := supportedKinds(spec, in.index)
	l := &Listener{
		Key:            ListenerKey{nameOf(in.gateway), spec.Name},
		Spec:           spec,
		Hostname:       listenerHost(spec),
		SupportedKinds: kinds,
	}
	refused := in.conflict
	if refused == nil {
		refused = listenerProblem(in)
	}
	unresolved := badKinds
	if spec.Protocol == gatewayv1.HTTPSProtocolType && terminates(spec) {
		var bad []*problem
		l.Certificates, bad = b.certificates(r, in)
		unresolved = append(unresolved, bad...)
	}
	l.usable = refused == nil && (spec.Protocol == gatewayv1.HTTPProtocolType || len(l.Certificates) > 0)
	l.Serves = l.usable
	l.Conditions = listenerConditions(refused, in.conflict, sentences(unresolved))
	return l
}

func listenerConditions(refused, conflict, unresolved *problem) []metav1.Condition {
	accepted := yes(gatewayv1.ListenerConditionAccepted, gatewayv1.ListenerReasonAccepted, "the listener is accepted")
	if refused != nil {
		accepted = no(gatewayv1.ListenerConditionAccepted, refused.reason, refused.text)
	}
	conflicted := no(gatewayv1.ListenerConditionConflicted, gatewayv1.ListenerReasonNoConflicts, "the listener is distinct from the others")
	if conflict != nil {
		conflicted = yes(gatewayv1.ListenerConditionConflicted, conflict.reason, conflict.text)
	}
	resolved := yes(gatewayv1.ListenerConditionResolvedRefs, gatewayv1.ListenerReasonResolvedRefs, "all references are resolved")
	if unresolved != nil {
		resolved = no(gatewayv1.ListenerConditionResolvedRefs, unresolved.reason, unresolved.text)
	}
	return []metav1.Condition{accepted, conflicted, resolved}
}

func listenerProgrammed(serves bool) metav1.Condition {
	if serves {
		return yes(gatewayv1.ListenerConditionProgrammed, gatewayv1.ListenerReasonProgrammed, "the listener serves")
	}
	return no(gatewayv1.ListenerConditionProgrammed, gatewayv1.ListenerReasonInvalid, "the listener cannot serve; see the other conditions and those of the Gateway")
}

// listenerProblem finds what keeps a listener that conflicts with none from
// being accepted.
func listenerProblem(in listenerInput) *problem {
	l, field := &in.gateway.Spec.Listeners[in.index], fmt.Sprintf("spec.listeners[%d]", in.index)
	if !speaks(l.Protocol) {
		return problemf(gatewayv1.ListenerReasonUnsupportedProtocol, "%s.protocol: %s is not supported; use HTTP or HTTPS", field, l.Protocol)
	}
	if in.taken != nil && in.taken.listeners[l.Name] != "" {
		return problemf(gatewayv1.ListenerReasonPortUnavailable, "%s.port: the older Gateway listener %s has port %d; choose another port or hostname",
			field, in.taken.listeners[l.Name], l.Port)
	}
	if _, err := routeSelector(l); err != nil {
		return problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.allowedRoutes.namespaces.selector: %v", field, err)
	}
	if l.Protocol != gatewayv1.HTTPSProtocolType {
		return nil
	}
	switch {
	case l.TLS == nil:
		return problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls: an HTTPS listener needs one; name a Secret in certificateRefs", field)
	case !terminates(l):
		return problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls.mode: %s does not go with HTTPS; use Terminate", field, *l.TLS.Mode)
	case validatesClients(in.gateway, l.Port):
		return problemf(gatewayv1.ListenerReasonUnsupportedValue,
			"spec.tls.frontend: client certificates are not validated yet, so port %d is not opened; remove the validation to serve without", l.Port)
	}
	return nil
}

func terminates(l *gatewayv1.Listener) bool {
	return l.TLS != nil && (l.TLS.Mode == nil || *l.TLS.Mode == gatewayv1.TLSModeTerminate)
}

// validatesClients says whether the Gateway asks for client certificates on a port (GEP-91).
func validatesClients(gw *gatewayv1.Gateway, port gatewayv1.PortNumber) bool {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Frontend == nil {
		return false
	}
	for _, p := range gw.Spec.TLS.Frontend.PerPort {
		if p.Port == port {
			return p.TLS.Validation != nil
		}
	}
	return gw.Spec.TLS.Frontend.Default.Validation != nil
}

// supportedKinds returns the kinds of route a listener takes, and the problems
// with those it names in vain.
func supportedKinds(l *gatewayv1.Listener, index int) (kinds []gatewayv1.RouteGroupKind, bad []*problem) {
	group := gatewayv1.Group(gatewayv1.GroupName)
	ours := gatewayv1.RouteGroupKind{Group: &group, Kind: kindHTTPRoute}
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		if speaks(l.Protocol) {
			kinds = append(kinds, ours)
		}
		return kinds, nil
	}
	for i, k := range l.AllowedRoutes.Kinds {
		switch {
		case !speaks(l.Protocol) || k.Kind != kindHTTPRoute || k.Group != nil && *k.Group != group:
			bad = append(bad, problemf(gatewayv1.ListenerReasonInvalidRouteKinds,
				"spec.listeners[%d].allowedRoutes.kinds[%d]: %s is not supported with protocol %s; an HTTP or HTTPS listener takes HTTPRoute", index, i, k.Kind, l.Protocol))
		case len(kinds) == 0:
			kinds = append(kinds, ours)
		}
	}
	return kinds, bad
}

// overlapping marks the HTTPS listeners of which one's hosts include another's
// on the same port: a client that reuses a connection may meet the other's
// certificate (GEP-3567).
func overlapping(listeners []*Listener) {
	for _, l := range listeners {
		with := slices.IndexFunc(listeners, func(o *Listener) bool {
			if o == l || l.Spec.Protocol != gatewayv1.HTTPSProtocolType || o.Spec.Protocol != l.Spec.Protocol || o.Spec.Port != l.Spec.Port {
				return false
			}
			_, both := narrower(l.Hostname, o.Hostname)
			return both
		})
		if with >= 0 {
			l.Conditions = append(l.Conditions, yes(gatewayv1.ListenerConditionOverlappingTLSConfig, gatewayv1.ListenerReasonOverlappingHostnames,
				fmt.Sprintf("the hostnames overlap with those of listener %s on the same port", listeners[with].Spec.Name)))
		}
	}
}
