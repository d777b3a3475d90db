package graph

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const kindService = "Service"

// maxWeight is the largest weight the schema of BackendRef allows.
const maxWeight = 1_000_000

// backend resolves one backendRef. One that cannot be resolved keeps its weight:
// its share of the requests gets 500 (HTTPRouteRule.BackendRefs).
func (rr *ruleResolver) backend(i int) *Backend {
	ref, field := &rr.spec.BackendRefs[i], fmt.Sprintf("%s.backendRefs[%d]", rr.field(), i)
	out := &Backend{
		Service: types.NamespacedName{Namespace: rr.route.Namespace, Name: string(ref.Name)},
		Weight:  1,
		Filters: ref.Filters,
	}
	if ref.Namespace != nil {
		out.Service.Namespace = string(*ref.Namespace)
	}
	if ref.Port != nil {
		out.Port = *ref.Port
	}
	if ref.Weight != nil {
		out.Weight = *ref.Weight
	}
	if out.Weight < 0 || out.Weight > maxWeight {
		rr.breakRule(problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.weight: %d is not between 0 and %d", field, out.Weight, maxWeight))
	}
	rr.filters(field+".filters", ref.Filters, false, true)
	if p := rr.resolveService(out, ref, field); p != nil {
		out.Reason, out.Broken = gatewayv1.RouteConditionReason(p.reason), p.text
		rr.unresolved = append(rr.unresolved, p)
	}
	return out
}

func (rr *ruleResolver) resolveService(out *Backend, ref *gatewayv1.HTTPBackendRef, field string) *problem {
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != kindService {
		return problemf(gatewayv1.RouteReasonInvalidKind, "%s: %s is not supported; name a Service", field, kindOf(ref.Kind, kindService))
	}
	from := gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: kindHTTPRoute, Namespace: gatewayv1.Namespace(rr.route.Namespace)}
	if !granted(rr.reader, from, kindService, out.Service) {
		return problemf(gatewayv1.RouteReasonRefNotPermitted, "%s: no ReferenceGrant in namespace %s lets HTTPRoutes of namespace %s use Service %s",
			field, out.Service.Namespace, rr.route.Namespace, out.Service.Name)
	}
	service := rr.reader.Service(out.Service)
	switch {
	case service == nil:
		return problemf(gatewayv1.RouteReasonBackendNotFound, "%s: Service %s does not exist", field, out.Service)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return problemf(gatewayv1.RouteReasonInvalidKind, "%s: Service %s is of type ExternalName, which is not supported; use one with endpoints", field, out.Service)
	}
	has := tcpPorts(service)
	if ref.Port == nil {
		return problemf(gatewayv1.RouteReasonBackendNotFound, "%s.port: is missing; Service %s has %s", field, out.Service, list(has))
	}
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == out.Port && overTCP(p) })
	if i < 0 {
		return problemf(gatewayv1.RouteReasonBackendNotFound, "%s: Service %s has no port %d; it has %s", field, out.Service, out.Port, list(has))
	}
	out.Protocol = service.Spec.Ports[i].AppProtocol
	if out.Protocol != nil && !slices.Contains(appProtocols(), *out.Protocol) {
		return problemf(gatewayv1.RouteReasonUnsupportedProtocol, "%s: port %d of Service %s has appProtocol %q, which is not supported; use %s",
			field, out.Port, out.Service, *out.Protocol, list(appProtocols()[1:]))
	}
	return nil
}

// appProtocols are what a Service port may be marked with (GEP-1911): HTTP/1.1
// or cleartext HTTP/2. TLS to the backend is not among them.
func appProtocols() []string {
	return []string{"", "http", "kubernetes.io/h2c", "kubernetes.io/ws", "tcp"}
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
