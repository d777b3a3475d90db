package spec

import (
	"cmp"
	"regexp"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// RouteKind is the kind of a route in its HTTP form.
func RouteKind(route *gatewayv1.HTTPRoute) gatewayv1.Kind {
	if route.Kind == KindGRPCRoute || route.Kind == KindIngress {
		return gatewayv1.Kind(route.Kind)
	}
	return KindHTTPRoute
}

// HTTPForm is a GRPCRoute as the HTTPRoute it stands for: gRPC is HTTP, and a
// method of a service is a path (gRPC over HTTP/2, Requests). Its TypeMeta says
// what it is.
func HTTPForm(route *gatewayv1.GRPCRoute) *gatewayv1.HTTPRoute {
	out := &gatewayv1.HTTPRoute{ObjectMeta: route.ObjectMeta}
	out.Kind = KindGRPCRoute
	out.Spec.CommonRouteSpec = route.Spec.CommonRouteSpec
	out.Spec.Hostnames = route.Spec.Hostnames
	out.Status.RouteStatus = route.Status.RouteStatus
	for i := range route.Spec.Rules {
		rule := &route.Spec.Rules[i]
		form := gatewayv1.HTTPRouteRule{Name: rule.Name, Filters: filterForms(rule.Filters), SessionPersistence: rule.SessionPersistence}
		for _, m := range rule.Matches {
			form.Matches = append(form.Matches, gatewayv1.HTTPRouteMatch{Path: methodForm(m.Method), Headers: headerForms(m.Headers)})
		}
		for _, ref := range rule.BackendRefs {
			form.BackendRefs = append(form.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: ref.BackendRef, Filters: filterForms(ref.Filters)})
		}
		out.Spec.Rules = append(out.Spec.Rules, form)
	}
	return out
}

func headerForms(headers []gatewayv1.GRPCHeaderMatch) (out []gatewayv1.HTTPHeaderMatch) {
	for _, h := range headers {
		kind := gatewayv1.HeaderMatchType(kindOf(h.Type, gatewayv1.GRPCHeaderMatchExact))
		out = append(out, gatewayv1.HTTPHeaderMatch{Type: &kind, Name: gatewayv1.HTTPHeaderName(h.Name), Value: h.Value})
	}
	return out
}

func filterForms(filters []gatewayv1.GRPCRouteFilter) (out []gatewayv1.HTTPRouteFilter) {
	for i := range filters {
		f := &filters[i]
		out = append(out, gatewayv1.HTTPRouteFilter{
			Type:                   gatewayv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier:  f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror:          f.RequestMirror,
			ExtensionRef:           f.ExtensionRef,
		})
	}
	return out
}

// A path for any service, or any method, of which the other is given.
const (
	anyService  = "[^/]+"
	methodStart = "/(?:"
	methodMid   = ")/(?:"
	methodEnd   = ")"
)

// methodForm is the path that a method match stands for; nil for any.
func methodForm(m *gatewayv1.GRPCMethodMatch) *gatewayv1.HTTPPathMatch {
	if m == nil {
		return nil
	}
	service, method := text(m.Service), text(m.Method)
	kind, value := gatewayv1.PathMatchExact, "/"+service+"/"+method
	switch {
	case kindOf(m.Type, gatewayv1.GRPCMethodMatchExact) == string(gatewayv1.GRPCMethodMatchRegularExpression):
		kind, value = gatewayv1.PathMatchRegularExpression, methodRegex(service, method)
	case m.Type != nil && *m.Type != gatewayv1.GRPCMethodMatchExact:
		kind = gatewayv1.PathMatchType(*m.Type) // which is none, and said to be
	case method == "" && service == "":
		kind, value = gatewayv1.PathMatchPathPrefix, "/"
	case method == "", service == "": // both by expressions, whose order is ours to choose
		kind, value = gatewayv1.PathMatchRegularExpression, methodRegex(regexp.QuoteMeta(service), regexp.QuoteMeta(method))
	}
	return &gatewayv1.HTTPPathMatch{Type: &kind, Value: &value}
}

func methodRegex(service, method string) string {
	if service == "" {
		service = anyService
	}
	if method == "" {
		method = anyService
	}
	return methodStart + service + methodMid + method + methodEnd
}

// regexParts are the expressions that methodRegex made a path of.
func regexParts(path string) (service, method string) {
	service, method, _ = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(path, methodStart), methodEnd), methodMid)
	return service, method
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// exactForm is what services and methods are made of (GRPCMethodMatch).
var exactForm = regexp.MustCompile(`^/(\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*(/[A-Za-z_][A-Za-z_0-9]*)?)?$`)

// methodProblem checks a method match by the path it stands for.
func methodProblem(p *gatewayv1.HTTPPathMatch, field string) *Problem {
	switch {
	case p == nil:
		return nil
	case *p.Type == gatewayv1.PathMatchRegularExpression:
		service, method := regexParts(*p.Value)
		return cmp.Or(regexProblem(service, field), regexProblem(method, field), regexProblem(*p.Value, field))
	case *p.Type != gatewayv1.PathMatchExact && *p.Type != gatewayv1.PathMatchPathPrefix:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use Exact or RegularExpression", field, *p.Type)
	case !exactForm.MatchString(*p.Value):
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %q is not a service and method; write service: example.v1.Shop, method: Buy", field, strings.TrimPrefix(*p.Value, "/"))
	}
	return nil
}

// MethodRank is how many characters of service and method a path names that
// HTTPForm made, by which GRPCRoutes are ordered (GRPCRouteRule.Matches).
func MethodRank(kind gatewayv1.PathMatchType, path string) (service, method int) {
	a, b, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if kind == gatewayv1.PathMatchRegularExpression {
		a, b = regexParts(path)
		if a == anyService {
			a = ""
		}
		if b == anyService {
			b = ""
		}
		a, b = strings.ReplaceAll(a, `\`, ""), strings.ReplaceAll(b, `\`, "")
	}
	return len(a), len(b)
}
