package ingress

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// The reasons of Faults that are found here.
const (
	reasonInvalidHost     = "InvalidHost"
	reasonInvalidPath     = "InvalidPath"
	reasonInvalidBackend  = "InvalidBackend"
	reasonBackendNotFound = string(gatewayv1.RouteReasonBackendNotFound)
	reasonInvalidTLS      = "InvalidTLS"
	reasonConflict        = "Conflict"
	reasonNotGuarded      = "NotGuarded"
)

// SSLRedirect is the annotation that sends callers of hosts which the Ingress has
// TLS for from HTTP to HTTPS; "true" or "false", which is the default.
const SSLRedirect = v1alpha1.GroupName + "/ssl-redirect"

// guards are the annotations by which ingress-nginx keeps callers out. Nothing here goes by them,
// and who only changes the class of an Ingress would open it without noticing.
var guards = []string{"auth-type", "auth-url", "auth-tls-secret", "whitelist-source-range", "allowlist-source-range", "denylist-source-range"}

// Nginx is the prefix of the annotations of ingress-nginx.
const Nginx = "nginx.ingress.kubernetes.io/"

// Snippets are the annotations with configuration of nginx that may keep callers out.
func Snippets() []string { return []string{"configuration-snippet", "server-snippet", "auth-snippet"} }

// refusing are the directives of nginx by which a snippet can keep callers out.
var refusing = regexp.MustCompile(`(?:^|[;{}\n])\s*(deny|auth_\w+|\w+_by_lua\w*|limit_except|satisfy|internal|valid_referers|secure_link\w*|ssl_verify_client|modsecurity\w*|include|return\s+[45]\d\d)\b`)

// Refuses is the directive by which a snippet can keep callers out; "" for none.
func Refuses(snippet string) string {
	if found := refusing.FindStringSubmatch(snippet); found != nil {
		return found[1]
	}
	return ""
}

// node is one Ingress, read by itself. It depends on the Ingress, the classes and
// the Services whose ports it names.
type node struct {
	object   *networkingv1.Ingress
	class    string
	hosts    []*host
	fallback *backend // spec.defaultBackend; nil for none
	tls      []certificate
	redirect bool
	faults   []Fault
}

// host is what an Ingress says of one host, from all its rules.
type host struct {
	name  string // lower case; "" for any
	paths []*path
}

// path is one path of a host.
type path struct {
	rule  string // "rules[0].http.paths[1]"
	exact bool
	value string
	to    *backend
}

// backend is where requests go.
type backend struct {
	ref *gatewayv1.HTTPBackendRef // nil: it cannot be used, and a Fault says why
}

// certificate is one host of one entry of spec.tls.
type certificate struct {
	host   string // lower case; "" for any
	secret string
	field  string
}

// reader reads one Ingress.
type reader struct {
	*node
	reads *store.Reader
}

// node is nil for an Ingress of another class.
func (t *Translator) node(r *store.Reader, name types.NamespacedName) *node {
	obj := r.Ingress(name)
	class, ok := t.classOf(r, obj)
	if !ok {
		return nil
	}
	n := &reader{&node{object: obj, class: class}, r}
	switch value := obj.Annotations[SSLRedirect]; value {
	case "true":
		n.redirect = true
	case "", "false":
	default:
		n.fault(reasonInvalidTLS, 0, "metadata.annotations[%s]: %q is not true or false; HTTP is not redirected", SSLRedirect, value)
	}
	for _, name := range guards {
		if key := Nginx + name; obj.Annotations[key] != "" {
			n.fault(reasonNotGuarded, 0, "metadata.annotations[%s]: ingress-nginx keeps callers out by it, and Gatehouse does not: write an AuthPolicy for the Ingress, as gatehouse migrate does, and remove it", key)
		}
	}
	for _, name := range Snippets() {
		key := Nginx + name
		if by := Refuses(obj.Annotations[key]); by != "" {
			n.fault(reasonNotGuarded, 0, "metadata.annotations[%s]: ingress-nginx may keep callers out by %s in it, and Gatehouse does not: write an AuthPolicy for the Ingress, and remove it", key, by)
		}
	}
	if b := obj.Spec.DefaultBackend; b != nil {
		n.fallback = n.backend(b, "spec.defaultBackend")
	}
	for i := range obj.Spec.Rules {
		n.rule(&obj.Spec.Rules[i], i)
	}
	for i := range obj.Spec.TLS {
		n.certificates(&obj.Spec.TLS[i], i)
	}
	return n.node
}

func (n *reader) fault(reason string, status int, format string, args ...any) {
	n.faults = append(n.faults, Fault{Reason: reason, Text: fmt.Sprintf(format, args...), Status: status})
}

func (n *reader) rule(rule *networkingv1.IngressRule, i int) {
	name := strings.ToLower(rule.Host)
	if wrong := hostProblem(name); wrong != "" {
		n.fault(reasonInvalidHost, 0, "spec.rules[%d].host: %q %s", i, rule.Host, wrong)
		return
	}
	at := slices.IndexFunc(n.hosts, func(h *host) bool { return h.name == name })
	if at < 0 {
		at = len(n.hosts)
		n.hosts = append(n.hosts, &host{name: name})
	}
	if rule.HTTP == nil {
		return // its requests go to the default backend
	}
	for j := range rule.HTTP.Paths {
		if p := n.path(&rule.HTTP.Paths[j], fmt.Sprintf("rules[%d].http.paths[%d]", i, j)); p != nil {
			n.hosts[at].paths = append(n.hosts[at].paths, p)
		}
	}
}

// hostProblem says what is wrong with a host; "" for nothing.
func hostProblem(name string) string {
	if strings.HasPrefix(name, "*") {
		if len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			return "is not a wildcard host; write * in place of the first label only, as in *.example.com"
		}
		return ""
	}
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "is not a host name; write one such as www.example.com, or *.example.com"
	}
	return ""
}

// path is nil for one that cannot be matched.
func (n *reader) path(p *networkingv1.HTTPIngressPath, rule string) *path {
	out := &path{rule: rule, value: p.Path}
	switch {
	case p.PathType == nil:
		n.fault(reasonInvalidPath, 0, "spec.%s.pathType: is missing; use Exact, Prefix or ImplementationSpecific, which is Prefix here", rule)
		return nil
	case *p.PathType == networkingv1.PathTypeExact:
		out.exact = true
	case *p.PathType != networkingv1.PathTypePrefix && *p.PathType != networkingv1.PathTypeImplementationSpecific:
		n.fault(reasonInvalidPath, 0, "spec.%s.pathType: %q is not known; use Exact, Prefix or ImplementationSpecific, which is Prefix here", rule, *p.PathType)
		return nil
	}
	if out.value == "" && !out.exact {
		out.value = "/"
	}
	if !spec.CleanPath(out.value) {
		n.fault(reasonInvalidPath, 0, "spec.%s.path: %q is not a plain absolute path; it must start with / and hold no //, /./, /../, %%2f or #, and it is no regular expression",
			rule, p.Path)
		return nil
	}
	out.to = n.backend(&p.Backend, "spec."+rule+".backend")
	return out
}

// backend reads where requests go. The graph says whether the Service is there.
func (n *reader) backend(b *networkingv1.IngressBackend, field string) *backend {
	switch {
	case b.Resource != nil:
		n.fault(reasonInvalidBackend, 500, "%s.resource: %s %s is not supported; name a Service", field, b.Resource.Kind, b.Resource.Name)
		return &backend{}
	case b.Service == nil:
		n.fault(reasonInvalidBackend, 500, "%s.service: is missing; name a Service and its port", field)
		return &backend{}
	}
	ref := &gatewayv1.HTTPBackendRef{}
	ref.Name = gatewayv1.ObjectName(b.Service.Name)
	number := b.Service.Port.Number
	if name := b.Service.Port.Name; name != "" {
		service := n.reads.Service(types.NamespacedName{Namespace: n.object.Namespace, Name: b.Service.Name})
		if service == nil {
			return &backend{ref}
		}
		var has []string
		for _, p := range service.Spec.Ports {
			if p.Name == name {
				number = p.Port
			}
			if p.Name != "" {
				has = append(has, p.Name)
			}
		}
		if number == 0 {
			n.fault(reasonBackendNotFound, 500, "%s.service.port.name: Service %s/%s has no port named %s; it has %s",
				field, n.object.Namespace, b.Service.Name, name, spec.List(has))
			return &backend{}
		}
	}
	if number == 0 {
		n.fault(reasonInvalidBackend, 500, "%s.service.port: is missing; give its number or its name", field)
		return &backend{}
	}
	ref.Port = &number
	return &backend{ref}
}

// certificates reads one entry of spec.tls. One without hosts is for those of the
// rules, or for any where there is a rule without one, or no rule.
func (n *reader) certificates(tls *networkingv1.IngressTLS, i int) {
	if tls.SecretName == "" {
		n.fault(reasonInvalidTLS, 0, "spec.tls[%d].secretName: is missing; name a Secret of type kubernetes.io/tls", i)
		return
	}
	hosts := tls.Hosts
	if len(hosts) == 0 {
		for _, h := range n.hosts {
			hosts = append(hosts, h.name)
		}
		if len(hosts) == 0 {
			hosts = []string{""}
		}
	}
	for j, name := range hosts {
		name = strings.ToLower(name)
		if wrong := hostProblem(name); wrong != "" {
			n.fault(reasonInvalidHost, 0, "spec.tls[%d].hosts[%d]: %q %s", i, j, name, wrong)
			continue
		}
		n.tls = append(n.tls, certificate{name, tls.SecretName, fmt.Sprintf("spec.tls[%d].secretName", i)})
	}
}

// secures says whether the Ingress has TLS for one of its hosts.
func (n *node) secures(name string) bool {
	return slices.ContainsFunc(n.tls, func(c certificate) bool {
		suffix, wild := strings.CutPrefix(c.host, "*")
		_, rest, _ := strings.Cut(name, ".")
		return c.host == "" || c.host == name || wild && name != "" && suffix == "."+rest
	})
}
