package ingress

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// The ports of Ingresses, and the names of the listeners there.
const (
	httpPort  = 80
	httpsPort = 443
	http      = "http"
	https     = "https"
)

// DefaultBackend is the name of the rule that stands for spec.defaultBackend.
const DefaultBackend = "defaultBackend"

// derived names everything the package makes.
const derived = "ingress"

// gateway is the name of the Gateway of a class.
func (c Config) gateway(class string) types.NamespacedName {
	return types.NamespacedName{Namespace: c.Namespace, Name: spec.DerivedName(derived, class)}
}

// listenerOf is the listener that shows the certificate of a host.
func listenerOf(host string) gatewayv1.SectionName {
	if host == "" {
		return https
	}
	return gatewayv1.SectionName(https + "-" + host)
}

// class is the GatewayClass of an IngressClass, with its parameters.
func (c Config) class(of *networkingv1.IngressClass) *gatewayv1.GatewayClass {
	out := &gatewayv1.GatewayClass{}
	out.Kind, out.Name = spec.KindIngress, spec.DerivedName(derived, of.Name)
	out.CreationTimestamp = of.CreationTimestamp
	out.Spec.ControllerName = c.Gateways
	if p := of.Spec.Parameters; p != nil {
		ref := &gatewayv1.ParametersReference{Kind: gatewayv1.Kind(p.Kind), Name: p.Name}
		if p.APIGroup != nil {
			ref.Group = gatewayv1.Group(*p.APIGroup)
		}
		if p.Namespace != nil {
			namespace := gatewayv1.Namespace(*p.Namespace)
			ref.Namespace = &namespace
		}
		out.Spec.ParametersRef = ref
	}
	return out
}

// gatewayForm is the Gateway of an IngressClass, whose UID it has: ports 80 and,
// for the hosts that have a certificate, 443. It takes nothing but Ingresses.
func (c Config) gatewayForm(of *networkingv1.IngressClass, claimed *claims) *gatewayv1.Gateway {
	out := &gatewayv1.Gateway{}
	name := c.gateway(of.Name)
	out.Kind, out.Name, out.Namespace = spec.KindIngress, name.Name, name.Namespace
	out.CreationTimestamp, out.UID = of.CreationTimestamp, of.UID
	out.Spec.GatewayClassName = gatewayv1.ObjectName(spec.DerivedName(derived, of.Name))
	none := gatewayv1.NamespacesFromSelector
	routes := &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &none}}
	out.Spec.Listeners = []gatewayv1.Listener{{Name: http, Port: httpPort, Protocol: gatewayv1.HTTPProtocolType, AllowedRoutes: routes}}
	keys := slices.SortedFunc(maps.Keys(claimed.listeners), func(a, b ListenerKey) int { return strings.Compare(string(a.Listener), string(b.Listener)) })
	for _, key := range keys {
		if key.Gateway != name {
			continue
		}
		cert := claimed.listeners[key]
		namespace := gatewayv1.Namespace(cert.by.object.Namespace)
		l := gatewayv1.Listener{
			Name: key.Listener, Port: httpsPort, Protocol: gatewayv1.HTTPSProtocolType, AllowedRoutes: routes,
			TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{
				Name: gatewayv1.ObjectName(cert.secret), Namespace: &namespace,
			}}},
		}
		if host := gatewayv1.Hostname(cert.host); host != "" {
			l.Hostname = &host
		}
		out.Spec.Listeners = append(out.Spec.Listeners, l)
	}
	return out
}

// routes are the HTTPRoutes of an Ingress: one per host, and a second for a host
// whose callers are sent to HTTPS.
func (c Config) routes(n *node, is *shaped) (out []*gatewayv1.HTTPRoute) {
	hosts := n.hosts
	if slices.Contains(is.fallbacks, "") && !slices.ContainsFunc(hosts, func(h *host) bool { return h.name == "" }) {
		hosts = append(slices.Clone(hosts), &host{})
	}
	for i, h := range hosts {
		var rules []gatewayv1.HTTPRouteRule
		for _, p := range h.paths {
			if !slices.Contains(is.lost, p) {
				rules = append(rules, ruleForm(h.name, p))
			}
		}
		if slices.Contains(is.fallbacks, h.name) {
			rules = append(rules, ruleForm(h.name, &path{rule: DefaultBackend, value: "/", to: n.fallback}))
		}
		if len(rules) == 0 {
			continue
		}
		route := c.routeForm(n, fmt.Sprint(i), h.name, rules)
		out = append(out, route)
		if n.redirect && n.secures(h.name) {
			port := gatewayv1.PortNumber(httpsPort)
			route.Spec.ParentRefs[0].Port = &port
			again := c.routeForm(n, fmt.Sprint(i)+"-"+redirected, h.name, redirects(rules))
			section := gatewayv1.SectionName(http)
			again.Spec.ParentRefs[0].SectionName = &section
			out = append(out, again)
		}
	}
	return out
}

// redirected marks the routes that send callers to HTTPS.
const redirected = "redirect"

// Redirects says whether a route is one of those.
func Redirects(route *gatewayv1.HTTPRoute) bool { return strings.HasSuffix(route.Name, "-"+redirected) }

func (c Config) routeForm(n *node, part, name string, rules []gatewayv1.HTTPRouteRule) *gatewayv1.HTTPRoute {
	at := c.gateway(n.class)
	namespace := gatewayv1.Namespace(at.Namespace)
	out := &gatewayv1.HTTPRoute{TypeMeta: metav1.TypeMeta{Kind: spec.KindIngress}}
	out.Namespace, out.Name = n.object.Namespace, spec.DerivedName(n.object.Name, part)
	out.CreationTimestamp = n.object.CreationTimestamp
	out.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(at.Name), Namespace: &namespace}}
	if name != "" {
		out.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(name)}
	}
	out.Spec.Rules = rules
	return out
}

// ruleForm is one path as a rule, named after where it stands.
func ruleForm(host string, p *path) gatewayv1.HTTPRouteRule {
	kind, value, name := gatewayv1.PathMatchPathPrefix, p.value, gatewayv1.SectionName(p.rule)
	if p.exact {
		kind = gatewayv1.PathMatchExact
	}
	match := gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: &kind, Value: &value}}
	if suffix, wild := strings.CutPrefix(host, "*"); wild {
		match.Headers = []gatewayv1.HTTPHeaderMatch{OneLabel(suffix)}
	}
	out := gatewayv1.HTTPRouteRule{Name: &name, Matches: []gatewayv1.HTTPRouteMatch{match}}
	if p.to.ref != nil {
		out.BackendRefs = []gatewayv1.HTTPBackendRef{*p.to.ref}
	}
	return out
}

// OneLabel takes hosts that have one label in front of a suffix such as
// ".example.com": so much stands a wildcard of an Ingress for, while one of the
// Gateway API stands for more (IngressRule.Host).
func OneLabel(suffix string) gatewayv1.HTTPHeaderMatch {
	kind := gatewayv1.HeaderMatchRegularExpression
	return gatewayv1.HTTPHeaderMatch{Type: &kind, Name: "host", Value: `(?i)[^.:]+` + regexp.QuoteMeta(suffix) + `(:[0-9]+)?`}
}

// redirects are the rules with a redirect in place of what they lead to.
func redirects(rules []gatewayv1.HTTPRouteRule) (out []gatewayv1.HTTPRouteRule) {
	scheme, status := https, 308
	for _, r := range rules {
		r.BackendRefs = nil
		r.Filters = []gatewayv1.HTTPRouteFilter{{
			Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
			RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Scheme: &scheme, StatusCode: &status},
		}}
		out = append(out, r)
	}
	return out
}
