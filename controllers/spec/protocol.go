package spec

import (
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The kinds of route whose connections are relayed.
const (
	KindTLSRoute = "TLSRoute"
	KindTCPRoute = "TCPRoute"
	KindUDPRoute = "UDPRoute"
)

// Speaks says which protocols a listener may have.
func Speaks(p gatewayv1.ProtocolType) bool { return kindsOf(p) != nil }

// kindsOf returns the kinds of route that listeners of a protocol take.
func kindsOf(p gatewayv1.ProtocolType) []gatewayv1.Kind {
	switch p {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return []gatewayv1.Kind{KindHTTPRoute, KindGRPCRoute}
	case gatewayv1.TLSProtocolType:
		return []gatewayv1.Kind{KindTLSRoute}
	case gatewayv1.TCPProtocolType:
		return []gatewayv1.Kind{KindTCPRoute}
	case gatewayv1.UDPProtocolType:
		return []gatewayv1.Kind{KindUDPRoute}
	}
	return nil
}

// takesText says what listeners of a protocol take.
func takesText(kinds []gatewayv1.Kind) string {
	if len(kinds) == 0 {
		return "it takes no routes"
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return "it takes " + strings.Join(names, " and ")
}

// overTLS says whether a protocol's listeners are told apart by server name.
func overTLS(p gatewayv1.ProtocolType) bool {
	return p == gatewayv1.HTTPSProtocolType || p == gatewayv1.TLSProtocolType
}

// Distinct says whether two listeners of one port can be told apart: by
// transport, or by host name where they have one. HTTPS and TLS can share a port
// (GatewaySpec.Listeners).
func Distinct(a, o *gatewayv1.Listener) bool {
	switch {
	case (a.Protocol == gatewayv1.UDPProtocolType) != (o.Protocol == gatewayv1.UDPProtocolType):
		return true
	case a.Protocol == gatewayv1.TCPProtocolType, a.Protocol == gatewayv1.UDPProtocolType:
		return false
	case a.Protocol != o.Protocol && !(overTLS(a.Protocol) && overTLS(o.Protocol)):
		return false
	}
	return Host(a) != Host(o)
}

// stream finds what keeps a listener of TLS, TCP or UDP from being accepted.
func stream(l *gatewayv1.Listener, field string) *Problem {
	switch l.Protocol {
	case gatewayv1.TLSProtocolType:
		switch {
		case l.TLS == nil:
			return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls: a TLS listener needs one; give its mode, Passthrough or Terminate", field)
		case l.TLS.Mode != nil && *l.TLS.Mode != gatewayv1.TLSModePassthrough && *l.TLS.Mode != gatewayv1.TLSModeTerminate:
			return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls.mode: %s is not known; use Passthrough or Terminate", field, *l.TLS.Mode)
		}
	case gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
		switch {
		case l.TLS != nil:
			return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.tls: does not go with %s; remove it, or use protocol TLS", field, l.Protocol)
		case Host(l) != "":
			return Problemf(gatewayv1.ListenerReasonUnsupportedValue, "%s.hostname: does not go with %s, which has no host names; remove it", field, l.Protocol)
		}
	}
	return nil
}
