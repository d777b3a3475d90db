package graph

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/external"
	"github.com/gatehouse-dev/gatehouse/controllers/refgrant"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

const kindService = "Service"

func backendField(rule, ref int) string {
	return fmt.Sprintf("spec.rules[%d].backendRefs[%d]", rule, ref)
}

// resolveBackend resolves one backendRef. One that cannot be resolved keeps its
// weight: its share of the requests gets 500 (HTTPRouteRule.BackendRefs).
func resolveBackend(r *store.Reader, route *gatewayv1.HTTPRoute, ref *gatewayv1.HTTPBackendRef, field string) (*Backend, *spec.Problem) {
	out := newBackend(route.Namespace, &ref.BackendRef)
	out.Filters = ref.Filters
	p := resolveService(r, route, out, ref, field)
	out.breaks(p)
	return out, p
}

// newBackend is what a backendRef says, for a route of that namespace.
func newBackend(namespace string, ref *gatewayv1.BackendRef) *Backend {
	out := &Backend{Service: types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}, Weight: 1}
	if ref.Namespace != nil {
		out.Service.Namespace = string(*ref.Namespace)
	}
	if ref.Port != nil {
		out.Port = *ref.Port
	}
	if ref.Weight != nil {
		out.Weight = *ref.Weight
	}
	return out
}

// breaks notes why b cannot be used; nil for nothing.
func (b *Backend) breaks(p *spec.Problem) {
	if p != nil {
		b.Reason, b.Broken = gatewayv1.RouteConditionReason(p.Reason), p.Text
	}
}

// service is the Service that a route of that kind and namespace may use as a
// backend.
func (b *Backend) service(r *store.Reader, kind gatewayv1.Kind, namespace, field string) (*corev1.Service, *spec.Problem) {
	from := gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: kind, Namespace: gatewayv1.Namespace(namespace)}
	if !refgrant.Allows(r, from, kindService, b.Service) {
		return nil, spec.Problemf(gatewayv1.RouteReasonRefNotPermitted, "%s: no ReferenceGrant in namespace %s lets %ss of namespace %s use Service %s",
			field, b.Service.Namespace, kind, namespace, b.Service.Name)
	}
	service := r.Service(b.Service)
	switch {
	case service == nil:
		return nil, spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s: Service %s does not exist", field, b.Service)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return nil, spec.Problemf(gatewayv1.RouteReasonInvalidKind, "%s: Service %s is of type ExternalName, which is not supported; use one with endpoints", field, b.Service)
	}
	return service, nil
}

func resolveService(r *store.Reader, route *gatewayv1.HTTPRoute, out *Backend, ref *gatewayv1.HTTPBackendRef, field string) *spec.Problem {
	if external.Is(&ref.BackendRef) {
		var p *spec.Problem
		out.Outside = true
		if out.External, p = external.Resolve(r, route.Namespace, &ref.BackendRef, field); p == nil {
			out.Port, out.Protocol = out.External.Port, out.External.Protocol
		}
		return p
	}
	if ref.Group != nil && *ref.Group != "" {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "%s.group: %s is not supported; name a Service of the core group, or an XBackend", field, *ref.Group)
	}
	if ref.Kind != nil && *ref.Kind != kindService {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "%s: %s is not supported; name a Service", field, *ref.Kind)
	}
	service, p := out.service(r, spec.RouteKind(route), route.Namespace, field)
	if p != nil {
		return p
	}
	has := tcpPorts(service)
	if ref.Port == nil {
		return spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s.port: is missing; Service %s has %s", field, out.Service, spec.List(has))
	}
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == out.Port && overTCP(p) })
	if i < 0 {
		return spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s: Service %s has no port %d; it has %s", field, out.Service, out.Port, spec.List(has))
	}
	out.Protocol = service.Spec.Ports[i].AppProtocol
	if app := out.Protocol; app != nil && marksTLS(*app) {
		if _, secured := backendtls.At(r, service, service.Spec.Ports[i].Name); secured {
			return nil
		}
		return spec.Problemf(gatewayv1.RouteReasonUnsupportedProtocol, "%s: port %d of Service %s has appProtocol %q; give the Service a BackendTLSPolicy, which says whom to trust",
			field, out.Port, out.Service, *app)
	}
	if out.Protocol != nil && !slices.Contains(appProtocols(), *out.Protocol) {
		return spec.Problemf(gatewayv1.RouteReasonUnsupportedProtocol, "%s: port %d of Service %s has appProtocol %q, which is not supported; use %s",
			field, out.Port, out.Service, *out.Protocol, spec.List(appProtocols()[1:]))
	}
	return nil
}

// appProtocols are what a Service port may be marked with (GEP-1911) whatever else
// is said of it; marksTLS has the others.
func appProtocols() []string {
	return []string{"", "http", "kubernetes.io/ws", "kubernetes.io/h2c", "grpc", "tcp"}
}

func overTCP(p corev1.ServicePort) bool {
	return p.Protocol == "" || p.Protocol == corev1.ProtocolTCP
}

func tcpPorts(service *corev1.Service) (out []string) {
	for _, p := range service.Spec.Ports {
		if overTCP(p) {
			out = append(out, strconv.Itoa(int(p.Port)))
		}
	}
	return out
}
