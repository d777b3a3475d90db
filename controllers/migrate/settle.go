package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
)

// spot is a path of a host, which ingress-nginx gives to one Ingress of all
// namespaces: the oldest that has it.
type spot struct {
	host, path string
	exact      bool
}

func spotOf(host string, p *networkingv1.HTTPIngressPath) spot {
	at := spot{host: strings.ToLower(host), path: cmp.Or(p.Path, "/"), exact: p.PathType != nil && *p.PathType == networkingv1.PathTypeExact}
	if !at.exact {
		at.path = cmp.Or(strings.TrimRight(at.path, "/"), "/") // a slash at the end makes no other prefix
	}
	return at
}

// settle says which Ingress has what, where several ask for it, and what one of
// them asks of a host for all of them.
func (m *migration) settle(mains []*source) {
	byAge := slices.SortedStableFunc(slices.Values(mains), func(a, b *source) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	for _, s := range byAge {
		m.names[s.named(routes, s.Name)], m.names[s.named(policies, s.Name)] = true, true // kept for its own first ones
		fallback := func(host string) {
			if s.Spec.DefaultBackend != nil && m.fallbacks[host] == nil {
				m.fallbacks[host] = s
			}
		}
		if len(s.Spec.Rules) == 0 {
			fallback("")
		}
		for _, r := range s.Spec.Rules {
			host := strings.ToLower(r.Host)
			fallback(host)
			m.expressions[host] = m.expressions[host] || s.get("use-regex") == "true" || s.get("rewrite-target") != ""
			for _, what := range s.hostwide() {
				if at := (hostwide{what, host}); m.hostwide[at] == nil {
					m.hostwide[at] = s
				}
			}
			if r.HTTP == nil {
				continue
			}
			for i := range r.HTTP.Paths {
				if at := spotOf(host, &r.HTTP.Paths[i]); m.held[at] == nil {
					m.held[at] = &r.HTTP.Paths[i]
				}
			}
		}
	}
}

// holds says whether a path of a host is this Ingress's; if not it says so.
func (s *source) holds(host string, p *networkingv1.HTTPIngressPath) bool {
	if s.m.held[spotOf(host, p)] == p {
		return true
	}
	s.say("path "+cmp.Or(p.Path, "/"), NotCarried, "an older Ingress, or an earlier rule, has it on host %q, and had it in ingress-nginx too", host)
	return false
}

// fallsBack says whether requests for a host that no path takes are this Ingress's.
func (s *source) fallsBack(host string) bool {
	return s.m.fallbacks[host] == s && s.m.held[spot{host: host, path: "/"}] == nil
}

// hostwide is an annotation that keeps callers from all paths of a host, those of
// other Ingresses too.
type hostwide struct{ annotation, host string }

// hostwide are such annotations of this Ingress.
func (s *source) hostwide() (out []string) {
	verify := s.get("auth-tls-verify-client")
	if s.get(clientSecret) != "" && !slices.Contains([]string{"off", "optional", "optional_no_ca"}, verify) {
		out = append(out, clientSecret)
	}
	if ingress.Refuses(s.get(serverSnippet)) != "" {
		out = append(out, serverSnippet)
	}
	return out
}

// elsewhere is another Ingress with such an annotation for a host of this one; nil
// for none.
func (s *source) elsewhere(annotation string) *source {
	for _, r := range s.Spec.Rules {
		if by := s.m.hostwide[hostwide{annotation, strings.ToLower(r.Host)}]; by != nil && by != s {
			return by
		}
	}
	return nil
}

// What namer gives names to. A policy of each kind may have the same.
const (
	routes   = "route"
	policies = "policy"
)

func (s *source) named(what, name string) string { return what + " " + s.Namespace + "/" + name }

// namer names objects after their Ingress, and none like another: an Ingress web
// has the routes web and web-2, unless another Ingress is called that.
func (s *source) namer(what string) func(part string) string {
	own := false
	return func(part string) string {
		base := s.Name
		if part != "" {
			base += "-" + part
		}
		name := base
		for n := 2; s.m.names[s.named(what, name)] && (own || name != s.Name); n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		own = own || name == s.Name
		s.m.names[s.named(what, name)] = true
		return name
	}
}
