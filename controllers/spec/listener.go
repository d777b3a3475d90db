package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The kinds of route that HTTP and HTTPS listeners take.
const (
	KindHTTPRoute = "HTTPRoute"
	KindGRPCRoute = "GRPCRoute"
)

// Listener finds what keeps a listener from being accepted, taken by itself.
func Listener(gw *gatewayv1.Gateway, index int) *Problem {
	l, field := &gw.Spec.Listeners[index], fmt.Sprintf("spec.listeners[%d]", index)
	if !Speaks(l.Protocol) {
		return Problemf(gatewayv1.ListenerReasonUnsupportedProtocol, "%s.protocol: %s is not supported; use HTTP, HTTPS, TLS, TCP or UDP", field, l.Protocol)
	}
	if _, err := netip.ParseAddr(strings.Trim(Host(l), "[]")); err == nil { // "IP addresses are not permitted" (Hostname)
		return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.hostname: %s is an IP address; give a host name, or leave it out to take any", field, *l.Hostname)
	}
	if _, err := Selector(l); err != nil {
		return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.allowedRoutes.namespaces.selector: %v", field, err)
	}
	if l.Protocol != gatewayv1.HTTPSProtocolType {
		return stream(l, field)
	}
	switch {
	case l.TLS == nil:
		return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls: an HTTPS listener needs one; name a Secret in certificateRefs", field)
	case !Terminates(l):
		return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls.mode: %s does not go with HTTPS; use Terminate", field, *l.TLS.Mode)
	}
	switch l.TLS.Options[optionHTTP3] {
	case "", http3Enabled, http3Disabled:
		return nil
	}
	return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls.options[%s]: %q is not known; use %s or %s", field, optionHTTP3, l.TLS.Options[optionHTTP3], http3Enabled, http3Disabled)
}

// Transport is what a listener's protocol goes over.
func Transport(p gatewayv1.ProtocolType) corev1.Protocol {
	if p == gatewayv1.UDPProtocolType {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// The option of an HTTPS listener's TLS that turns HTTP/3 on.
const (
	optionHTTP3   = "gatehouse.dev/http3"
	http3Enabled  = "Enabled"
	http3Disabled = "Disabled" // the default
)

// HTTP3 says whether a listener is reached over QUIC as well.
func HTTP3(l *gatewayv1.Listener) bool {
	return l.Protocol == gatewayv1.HTTPSProtocolType && l.TLS != nil && l.TLS.Options[optionHTTP3] == http3Enabled
}

// Terminates says whether a listener ends TLS itself.
func Terminates(l *gatewayv1.Listener) bool {
	return overTLS(l.Protocol) && l.TLS != nil && (l.TLS.Mode == nil || *l.TLS.Mode == gatewayv1.TLSModeTerminate)
}

// Kinds returns the kinds of route a listener takes, and the problems with those
// it names in vain.
func Kinds(l *gatewayv1.Listener, index int) (kinds []gatewayv1.RouteGroupKind, bad []*Problem) {
	group, takes := gatewayv1.Group(gatewayv1.GroupName), kindsOf(l.Protocol)
	add := func(kind gatewayv1.Kind) {
		if !slices.ContainsFunc(kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind }) {
			kinds = append(kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: kind})
		}
	}
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		for _, kind := range takes {
			add(kind)
		}
		return kinds, nil
	}
	for i, k := range l.AllowedRoutes.Kinds {
		if k.Group != nil && *k.Group != group || !slices.Contains(takes, k.Kind) {
			bad = append(bad, Problemf(gatewayv1.ListenerReasonInvalidRouteKinds,
				"spec.listeners[%d].allowedRoutes.kinds[%d]: %s is not supported with protocol %s; %s", index, i, k.Kind, l.Protocol, takesText(takes)))
			continue
		}
		add(k.Kind)
	}
	return kinds, bad
}

// Takes says whether a listener takes routes of a kind, whatever their namespace.
func Takes(l *gatewayv1.Listener, kind gatewayv1.Kind) bool {
	kinds, _ := Kinds(l, 0)
	return slices.ContainsFunc(kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind })
}

// RoutesFrom says of which namespaces a listener takes routes.
func RoutesFrom(l *gatewayv1.Listener) gatewayv1.FromNamespaces {
	if l.AllowedRoutes == nil || l.AllowedRoutes.Namespaces == nil || l.AllowedRoutes.Namespaces.From == nil {
		return gatewayv1.NamespacesFromSame
	}
	return *l.AllowedRoutes.Namespaces.From
}

// Selector is the selector of a listener's namespaces; it takes none where the
// listener does not select by labels.
func Selector(l *gatewayv1.Listener) (labels.Selector, error) {
	if RoutesFrom(l) != gatewayv1.NamespacesFromSelector {
		return labels.Nothing(), nil
	}
	return metav1.LabelSelectorAsSelector(l.AllowedRoutes.Namespaces.Selector)
}

// Conflicts finds the listeners of a Gateway that are not distinct, by index.
// Nobody wins: all of them are refused (GatewaySpec.Listeners). A listener of a
// protocol nobody serves is in nobody's way.
func Conflicts(gw *gatewayv1.Gateway) map[int]*Problem {
	var out map[int]*Problem
	for i := range gw.Spec.Listeners {
		a := &gw.Spec.Listeners[i]
		for j := range gw.Spec.Listeners {
			o := &gw.Spec.Listeners[j]
			if i == j || a.Port != o.Port || !Speaks(a.Protocol) || !Speaks(o.Protocol) {
				continue
			}
			if p := conflict(a, o, i); p != nil {
				if out == nil {
					out = map[int]*Problem{}
				}
				out[i] = p
				break
			}
		}
	}
	return out
}

func conflict(a, o *gatewayv1.Listener, i int) *Problem {
	switch {
	case Distinct(a, o):
		return nil
	case a.Protocol != o.Protocol:
		return Problemf(gatewayv1.ListenerReasonProtocolConflict, "spec.listeners[%d].protocol: listener %s speaks %s on port %d too; give one of them another port",
			i, o.Name, o.Protocol, o.Port)
	}
	if a.Protocol == gatewayv1.TCPProtocolType || a.Protocol == gatewayv1.UDPProtocolType { // which know no hostnames
		return Problemf(gatewayv1.ListenerReasonHostnameConflict, "spec.listeners[%d].port: listener %s has it too; give one of them another port", i, o.Name)
	}
	return Problemf(gatewayv1.ListenerReasonHostnameConflict, "spec.listeners[%d].hostname: listener %s has the same port and hostname; give one of them another",
		i, o.Name)
}
