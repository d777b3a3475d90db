package migrate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
)

// maxRules is how many a route has room for.
const maxRules = 16

// hosted is the rules of one host.
type hosted struct {
	name  string
	rules []gatewayv1.HTTPRouteRule
	sends bool // some rule has the path /, so the default backend gets nothing
}

// routes are the objects that one Ingress becomes: routes by host, then policies.
func (m *migration) routes(s *source) (out []Object) {
	t, auth := s.traits(), s.auth()
	s.guarded = auth != nil
	var guarded []gatewayv1.ObjectName
	name := s.namer(routes)
	for _, h := range s.hosts(t) {
		if len(h.rules) == 0 {
			continue
		}
		hostnames := s.hostnames(h.name, t)
		tls := m.covering(h.name)
		redirect := tls != "" && t.toTLS
		shown := m.showing(hostnames)
		for rules := range slices.Chunk(h.rules, maxRules) {
			route := newRoute(s, name(""), hostnames, rules)
			if !redirect {
				route.Spec.ParentRefs = m.parents(plain)
			}
			route.Spec.ParentRefs = append(route.Spec.ParentRefs, m.parents(shown...)...)
			guarded = append(guarded, gatewayv1.ObjectName(route.Name))
			out = append(out, route)
			if redirect {
				again := newRoute(s, name("to-https"), hostnames, instead(rules, &gatewayv1.HTTPRequestRedirectFilter{Scheme: pointer("https"), StatusCode: pointer(308)}))
				again.Spec.ParentRefs = m.parents(plain)
				out = append(out, again)
			}
		}
		if other := t.otherHost(h.name); other != "" {
			to := &gatewayv1.HTTPRequestRedirectFilter{Hostname: pointer(gatewayv1.PreciseHostname(h.name)), StatusCode: pointer(308)}
			www := newRoute(s, name("from-"+strings.SplitN(other, ".", 2)[0]), []gatewayv1.Hostname{gatewayv1.Hostname(other)}, instead([]gatewayv1.HTTPRouteRule{{}}, to))
			www.Spec.ParentRefs = m.parents(plain, m.covering(other))
			out = append(out, www)
		}
	}
	return append(out, s.policies(auth, guarded)...)
}

func newRoute(s *source, name string, hostnames []gatewayv1.Hostname, rules []gatewayv1.HTTPRouteRule) *gatewayv1.HTTPRoute {
	out := &gatewayv1.HTTPRoute{TypeMeta: typeMeta("HTTPRoute")}
	out.Namespace, out.Name = s.Namespace, name
	out.Spec.Hostnames, out.Spec.Rules = hostnames, rules
	return out
}

// instead are the rules with a redirect in place of all they do.
func instead(rules []gatewayv1.HTTPRouteRule, to *gatewayv1.HTTPRequestRedirectFilter) (out []gatewayv1.HTTPRouteRule) {
	for _, r := range rules {
		out = append(out, gatewayv1.HTTPRouteRule{
			Matches: r.Matches,
			Filters: []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: to}},
		})
	}
	return out
}

// hostnames are those of a host's routes.
func (s *source) hostnames(name string, t *traits) (out []gatewayv1.Hostname) {
	if name == "" {
		return nil
	}
	out = append(out, gatewayv1.Hostname(name))
	for _, alias := range t.aliases {
		out = append(out, gatewayv1.Hostname(alias))
	}
	return out
}

// hosts gathers the rules by host, in the spec's order.
func (s *source) hosts(t *traits) (out []*hosted) {
	of := func(name string) *hosted {
		if i := slices.IndexFunc(out, func(h *hosted) bool { return h.name == name }); i >= 0 {
			return out[i]
		}
		h := &hosted{name: name}
		out = append(out, h)
		return h
	}
	for _, r := range s.Spec.Rules {
		h := of(strings.ToLower(r.Host))
		if r.HTTP == nil {
			continue
		}
		for i := range r.HTTP.Paths {
			if p := &r.HTTP.Paths[i]; s.holds(h.name, p) {
				s.path(h, p, t)
			}
		}
	}
	if s.Spec.DefaultBackend != nil {
		if len(out) == 0 {
			of("")
		}
		verdict := Carried
		for _, h := range out {
			switch {
			case h.sends: // nothing is left for it
			case s.fallsBack(h.name):
				s.path(h, &networkingv1.HTTPIngressPath{Path: "/", PathType: pointer(networkingv1.PathTypePrefix), Backend: *s.Spec.DefaultBackend}, t)
			default:
				verdict = NotCarried
				s.say("spec.defaultBackend", NotCarried, "another Ingress has the path / of host %q, or an older one its default backend, and had it in ingress-nginx too", h.name)
			}
		}
		if verdict == Carried {
			s.say("spec.defaultBackend", Carried, "")
		}
	}
	for _, h := range out {
		if t.appRoot != "" && len(h.rules) > 0 {
			root := h.match(matched{kind: gatewayv1.PathMatchExact, value: "/"})
			to := &gatewayv1.HTTPRequestRedirectFilter{StatusCode: pointer(302), Path: &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &t.appRoot}}
			h.rules = append(instead([]gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{root}}}, to), h.rules...)
		}
		// ingress-nginx tries expressions from the longest to the shortest; those of a route are tried in its order.
		slices.SortStableFunc(h.rules, func(a, b gatewayv1.HTTPRouteRule) int { return cmp.Compare(expression(b), expression(a)) })
	}
	return out
}

// expression is how long the regular expression of a rule is; 0 for none.
func expression(r gatewayv1.HTTPRouteRule) int {
	if p := r.Matches[0].Path; *p.Type == gatewayv1.PathMatchRegularExpression {
		return len(*p.Value)
	}
	return 0
}

// match is a match of the host. A wildcard of an Ingress takes one label.
func (h *hosted) match(m matched) gatewayv1.HTTPRouteMatch {
	out := gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: &m.kind, Value: &m.value}}
	if suffix, wild := strings.CutPrefix(h.name, "*"); wild {
		out.Headers = []gatewayv1.HTTPHeaderMatch{ingress.OneLabel(suffix)}
	}
	return out
}

// path adds the rules of one path. One that is known and cannot be served is shut:
// what it took must not go to a shorter path, whose backend and guards are others.
func (s *source) path(h *hosted, p *networkingv1.HTTPIngressPath, t *traits) {
	at, ok := s.match(h.name, p)
	if at.kind == "" {
		return
	}
	h.sends = h.sends || at.kind == gatewayv1.PathMatchPathPrefix && at.value == "/"
	rule := gatewayv1.HTTPRouteRule{Matches: []gatewayv1.HTTPRouteMatch{h.match(at)}, Timeouts: t.timeouts, SessionPersistence: t.session}
	if t.redirect != nil {
		h.rules = append(h.rules, instead([]gatewayv1.HTTPRouteRule{rule}, t.redirect)...)
		return
	}
	to, known := s.backend(&p.Backend, at.value)
	if !ok || !known || t.shut {
		h.rules = append(h.rules, gatewayv1.HTTPRouteRule{Matches: rule.Matches})
		return
	}
	rule.BackendRefs = []gatewayv1.HTTPBackendRef{to}
	rule.Filters = t.filtersOf(at)
	h.rules = append(h.rules, s.m.split(rule, place{s.Namespace, h.name, cmp.Or(p.Path, "/")})...)
	if at.loose && s.guarded {
		h.rules = append(h.rules, s.beyond(h, p, at, rule)...)
	}
}

// beyond takes what callers were kept from and the prefix does not take, as
// /admin.php of /admin: a shorter path might let them in.
func (s *source) beyond(h *hosted, p *networkingv1.HTTPIngressPath, at matched, rule gatewayv1.HTTPRouteRule) []gatewayv1.HTTPRouteRule {
	stem, own, among := strings.TrimRight(at.value, "/"), spotOf(h.name, p).path, ""
	for other := range s.m.held {
		rest, longer := strings.CutPrefix(other.path, stem)
		if longer && other.host == h.name && other.path != own && rest != "" && rest[0] != '/' && (among == "" || other.path < among) {
			among = other.path
		}
	}
	if among != "" { // an expression would go before it
		s.say("path "+own, NotCarried, "it kept callers from %sx too, and %s is among these: see which path takes the others now", stem, among)
		return nil
	}
	s.say("path "+own, Different, "what else begins with %s is still kept from callers, by an expression, which goes before all prefixes", stem)
	value := regexp.QuoteMeta(stem) + "[^/].*"
	if s.m.expressions[h.name] {
		value = "(?i)" + value
	}
	out := *rule.DeepCopy()
	out.Matches = []gatewayv1.HTTPRouteMatch{h.match(matched{kind: gatewayv1.PathMatchRegularExpression, value: value})}
	if at.rewrite != nil && at.rewrite.ReplacePrefixMatch != nil { // no expression can be rewritten so
		out.BackendRefs, out.Filters = nil, nil
	}
	return []gatewayv1.HTTPRouteRule{out}
}

// backend resolves where a path leads. Ports that are named are looked up.
func (s *source) backend(b *networkingv1.IngressBackend, path string) (out gatewayv1.HTTPBackendRef, ok bool) {
	if b.Service == nil {
		s.say("path "+path, NotCarried, "its backend is no Service, and requests get 500; put one in front of it")
		return out, false
	}
	out.Name = gatewayv1.ObjectName(b.Service.Name)
	number := b.Service.Port.Number
	if name := b.Service.Port.Name; name != "" {
		service := s.m.services[types.NamespacedName{Namespace: s.Namespace, Name: b.Service.Name}]
		if service != nil {
			for _, p := range service.Spec.Ports {
				if p.Name == name {
					number = p.Port
				}
			}
		}
		if number == 0 {
			s.say("path "+path, NotCarried, "port %q of Service %s is not known, and requests get 500: routes name ports by number; give the Service's manifest too, or the number", name, b.Service.Name)
			return out, false
		}
	}
	out.Port = &number
	return out, true
}

// canary is one path of an Ingress that takes a part of another's requests.
type canary struct {
	of         *source
	host, path string
	to         gatewayv1.HTTPBackendRef
	weight     int32
	total      int32
	header     string
	value      string // of the header; "" for always and never
	pattern    bool
	cookie     string
	used       bool
}

// canary notes an Ingress that is marked as one.
func (m *migration) canary(s *source) {
	c := canary{of: s, header: s.take("canary-by-header"), value: s.take("canary-by-header-value"), cookie: s.take("canary-by-cookie"), total: 100}
	if expr := s.take("canary-by-header-pattern"); expr != "" && c.value == "" {
		c.value, c.pattern = ".*(?:"+expr+").*", true // it need not be for the whole value
		if _, err := regexp.Compile(expr); err != nil {
			s.say("canary-by-header-pattern", NotCarried, "it is no regular expression in RE2 syntax (%v)", err)
			c.header = ""
		}
	}
	_, _ = fmt.Sscan(s.take("canary-weight"), &c.weight)
	if total := s.take("canary-weight-total"); total != "" {
		_, _ = fmt.Sscan(total, &c.total)
	}
	s.take("canary")
	for _, r := range s.Spec.Rules {
		if r.HTTP == nil {
			continue
		}
		for i := range r.HTTP.Paths {
			p := &r.HTTP.Paths[i]
			if to, ok := s.backend(&p.Backend, p.Path); ok {
				one := c
				one.host, one.path, one.to = strings.ToLower(r.Host), cmp.Or(p.Path, "/"), to
				at := place{s.Namespace, one.host, one.path}
				m.canaries[at] = append(m.canaries[at], &one)
			}
		}
	}
	for name := range s.left {
		if name != "load-balance" && name != "upstream-hash-by" {
			s.say(name, Carried, "what the Ingress says that it is a canary of counts")
			s.take(name)
		}
	}
	s.rest()
}

// split sends what canaries are to have of a rule there: ahead of it what a header
// or a cookie says, and by weight in it (ingress-nginx, "Canary": header before
// cookie before weight).
func (m *migration) split(rule gatewayv1.HTTPRouteRule, at place) []gatewayv1.HTTPRouteRule {
	var ahead []gatewayv1.HTTPRouteRule
	add := func(name, value string, pattern bool, to gatewayv1.HTTPBackendRef) {
		kind := gatewayv1.HeaderMatchExact
		if pattern {
			kind = gatewayv1.HeaderMatchRegularExpression
		}
		next := *rule.DeepCopy()
		next.Matches[0].Headers = append(next.Matches[0].Headers, gatewayv1.HTTPHeaderMatch{Type: &kind, Name: gatewayv1.HTTPHeaderName(name), Value: value})
		next.BackendRefs = []gatewayv1.HTTPBackendRef{to}
		ahead = append(ahead, next)
	}
	main := rule.BackendRefs[0]
	for _, c := range m.canaries[at] {
		c.used = true
		switch {
		case c.header != "" && c.value != "":
			add(c.header, c.value, c.pattern, c.to)
		case c.header != "":
			add(c.header, "always", false, c.to)
			add(c.header, "never", false, main)
		}
		if c.cookie != "" {
			name := `(.*;\s*)?` + regexp.QuoteMeta(c.cookie)
			add("Cookie", name+`=always(\s*;.*)?`, true, c.to)
			add("Cookie", name+`=never(\s*;.*)?`, true, main)
		}
		if c.weight > 0 && len(rule.BackendRefs) == 1 {
			main.Weight, c.to.Weight = pointer(max(c.total-c.weight, 0)), pointer(min(c.weight, c.total))
			rule.BackendRefs = []gatewayv1.HTTPBackendRef{main, c.to}
			main.Weight = nil // in the rules ahead it is alone
		}
	}
	return append(ahead, rule)
}
