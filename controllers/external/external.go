// Package external reads XBackends (GEP-4894): hosts outside the cluster as
// backends of routes, and how they are reached over TLS.
//
// graph asks it for every backendRef to one, attach for their statuses. It calls
// store, backendtls for whom to trust, and spec. It is pure.
package external

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Backend is an XBackend as a destination.
type Backend struct {
	Host     string
	Port     int32
	Protocol *string // as the appProtocol of a Service port would have it
}

// Is says whether a backendRef names an XBackend.
func Is(ref *gatewayv1.BackendRef) bool {
	return ref.Group != nil && *ref.Group == gatewayx.GroupName && ref.Kind != nil && *ref.Kind == gatewayv1.Kind(store.XBackend)
}

// Resolve resolves a backendRef at a field of a route of that namespace. An
// XBackend is of the namespace of the route always, and no ReferenceGrant changes
// that (GEP-4894, "Route Attachment and Consumer Overrides").
func Resolve(r *store.Reader, namespace string, ref *gatewayv1.BackendRef, field string) (*Backend, *spec.Problem) {
	name := types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}
	if ref.Namespace != nil && string(*ref.Namespace) != namespace {
		return nil, spec.Problemf(gatewayv1.RouteReasonRefNotPermitted, "%s.namespace: an XBackend is used from its own namespace alone; make one in namespace %s", field, namespace)
	}
	obj := r.XBackend(name)
	if obj == nil {
		return nil, spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s: XBackend %s does not exist", field, name)
	}
	if p := Check(obj); p != nil {
		return nil, spec.Problemf(p.Reason, "%s: XBackend %s: %s", field, name, p.Text)
	}
	out := &Backend{Host: string(obj.Spec.ExternalHostname.Hostname), Port: int32(obj.Spec.Port.Port)}
	if ref.Port != nil && *ref.Port != out.Port {
		return nil, spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s.port: XBackend %s has port %d; leave the port out", field, name, out.Port)
	}
	switch protocolOf(obj) {
	case gatewayx.BackendProtocolH2C, gatewayx.BackendProtocolHTTP2, gatewayx.BackendProtocolGRPC:
		h2c := "kubernetes.io/h2c"
		out.Protocol = &h2c
	}
	return out, nil
}

// Secure is how an XBackend that can be used is reached over TLS, nil for in the
// clear, and the certificate that is shown to it, nil for none. Without a word on
// whom to trust the system's authorities are, for the name of the host.
func Secure(r *store.Reader, name types.NamespacedName) (*backendtls.Settings, *gatewayv1.SecretObjectReference) {
	obj := r.XBackend(name)
	t := obj.Spec.TLS
	if t == nil || t.Mode == gatewayx.BackendTLSModeNone {
		return nil, nil
	}
	v := t.Validation
	if v.Hostname == "" && len(v.CACertificateRefs) == 0 && v.WellKnownCACertificates == nil {
		system := gatewayv1.WellKnownCACertificatesSystem
		v.Hostname, v.WellKnownCACertificates = obj.Spec.ExternalHostname.Hostname, &system
	}
	s := backendtls.Resolve(r, obj.Namespace, "spec.tls.validation", &v)
	if t.Mode == gatewayx.BackendTLSModeClientAndServer && t.ClientCertificateRef == nil {
		s.Refused = spec.Problemf(gatewayv1.GatewayReasonInvalidClientCertificateRef, "spec.tls.clientCertificateRef: is missing; name a Secret of type kubernetes.io/tls")
	}
	return s, t.ClientCertificateRef
}

// Check finds what is wrong with an XBackend (GEP-4894) by itself. The reason
// is that of the routes that refer to it.
func Check(o *gatewayx.XBackend) *spec.Problem {
	s := &o.Spec
	if s.Type != gatewayx.BackendTypeExternalHostname || s.ExternalHostname == nil {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "spec.type: %q is not supported; use ExternalHostname and give externalHostname.hostname", s.Type)
	}
	host := string(s.ExternalHostname.Hostname)
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "spec.externalHostname.hostname: %q is not a host name; give one that DNS knows", host)
	}
	if strings.HasSuffix(host, ".cluster.local") {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "spec.externalHostname.hostname: %q is a name of the cluster; refer to the Service instead", host)
	}
	if p := s.Port.Port; p < 1 || p > 65535 {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "spec.port.port: %d is no port; give one from 1 to 65535", p)
	}
	secure := s.TLS != nil && s.TLS.Mode != gatewayx.BackendTLSModeNone
	switch protocol := protocolOf(o); protocol {
	case gatewayx.BackendProtocolHTTP, gatewayx.BackendProtocolHTTP11:
	case gatewayx.BackendProtocolHTTP2, gatewayx.BackendProtocolGRPC:
		if !secure {
			return spec.Problemf(gatewayv1.RouteReasonUnsupportedProtocol, "spec.protocol: %s is negotiated over TLS; set tls, or use H2C", protocol)
		}
	case gatewayx.BackendProtocolH2C:
		if secure {
			return spec.Problemf(gatewayv1.RouteReasonUnsupportedProtocol, "spec.protocol: H2C is spoken in the clear; remove tls, or use HTTP2")
		}
	default:
		return spec.Problemf(gatewayv1.RouteReasonUnsupportedProtocol, "spec.protocol: %s is not supported; use HTTP, HTTP11, HTTP2 or H2C", protocol)
	}
	return nil
}

// protocolOf is the protocol of an XBackend, HTTP where it names none.
func protocolOf(o *gatewayx.XBackend) gatewayx.BackendProtocol {
	if o.Spec.Protocol == nil {
		return gatewayx.BackendProtocolHTTP
	}
	return *o.Spec.Protocol
}
