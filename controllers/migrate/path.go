package migrate

import (
	"regexp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// matched is how a path is matched, and what becomes of it.
type matched struct {
	kind    gatewayv1.PathMatchType
	value   string
	rewrite *gatewayv1.HTTPPathModifier // nil: it is forwarded as it is
	loose   bool                        // a prefix that stood for any path with these characters first
}

// groups takes a pattern such as /app(/|$)(.*), /app/(.*) or /app/?(.*) apart:
// ingress-nginx documents the first, and the others are older.
var groups = regexp.MustCompile(`^(/?[^()$*+?\[\]\\|^]*?)(/?)(\(/\|\$\)\(\.\*\)|(?:/\?)?\(\.\*\))\$?$`)

// plainPath is one without what a regular expression has.
var plainPath = regexp.MustCompile(`^[^()$*+?\[\]\\|^]*$`)

// match reads one path. It has no kind when nothing that takes the same requests
// can be written, and is false when what becomes of them cannot.
func (s *source) match(host string, p *networkingv1.HTTPIngressPath) (m matched, ok bool) {
	path, target := p.Path, s.get("rewrite-target")
	if path == "" {
		path = "/"
	}
	if target == "" && s.get("use-regex") != "true" {
		return s.literal(host, path, p.PathType)
	}
	if !plainPath.MatchString(path) || strings.Contains(target, "$") {
		return s.pattern(path, target)
	}
	m, ok = s.literal(host, path, p.PathType)
	if ok && target != "" { // without groups all that is below the path becomes the target
		m.rewrite = &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &target}
	}
	return m, ok
}

// literal is a path that is no regular expression. ingress-nginx takes it for one
// where any path of the host is one, or is rewritten ("Ingress Path Matching").
func (s *source) literal(host, path string, kind *networkingv1.PathType) (m matched, ok bool) {
	if !spec.CleanPath(path) {
		s.say("path "+path, NotCarried, "it is no plain absolute path; write a rule with a RegularExpression for what it is to take")
		return m, false
	}
	m = matched{kind: gatewayv1.PathMatchPathPrefix, value: path}
	below := strings.TrimRight(path, "/")
	switch {
	case below == "":
		if kind != nil && *kind == networkingv1.PathTypeExact && !s.m.expressions[host] {
			m.kind = gatewayv1.PathMatchExact
		}
	case s.m.expressions[host]:
		m.loose = true
		s.say("path "+path, Different, "it took %sx too, and whatever the case, as all paths of a host with use-regex or rewrite-target; now it takes only itself and what is below it", below)
	case kind != nil && *kind == networkingv1.PathTypeExact:
		m.kind = gatewayv1.PathMatchExact
	case kind != nil && *kind == networkingv1.PathTypeImplementationSpecific:
		m.loose = true
		s.say("path "+path, Different, "it took %sx too; now it takes only itself and what is below it", below)
	}
	return m, true
}

// pattern is a path that is a regular expression. Those that stand for a prefix
// become one, which the rest of the path can be put behind; of others the request
// must go on as it came.
func (s *source) pattern(path, target string) (m matched, ok bool) {
	if parts := groups.FindStringSubmatch(path); parts != nil {
		rest, group := parts[1], "$1"
		if strings.HasPrefix(parts[3], "(/|$)") {
			group = "$2"
		}
		if rest == "" {
			rest = "/"
		}
		head, ends := strings.CutSuffix(target, group)
		if target == "" {
			head, ends = rest, true
		}
		if ends && !strings.Contains(head, "$") && spec.CleanPath(rest) && (head == "" || strings.HasPrefix(head, "/")) {
			m = matched{kind: gatewayv1.PathMatchPathPrefix, value: rest}
			if head = strings.TrimRight(head, "/"); head != strings.TrimRight(rest, "/") {
				if head == "" {
					head = "/"
				}
				m.rewrite = &gatewayv1.HTTPPathModifier{Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: &head}
			}
			m.loose = group == "$1" && parts[2] == "" && rest != "/"
			switch {
			case m.loose:
				s.say("path "+path, Different, "as the prefix %s, which does not take %sx; case counts in it", rest, rest)
			case group == "$1" && rest != "/":
				s.say("path "+path, Different, "as the prefix %s, which takes %s itself too; case counts in it", rest, rest)
			default:
				s.say("path "+path, Carried, "as the prefix %s; case counts in it", rest)
			}
			return m, true
		}
	}
	value := "(?i)" + strings.TrimPrefix(path, "^")
	if !strings.HasSuffix(value, "$") && !strings.HasSuffix(value, ".*") && !strings.HasSuffix(value, "(.*)") {
		value += ".*"
	}
	if _, err := regexp.Compile(value); err != nil {
		s.say("path "+path, NotCarried, "it is no regular expression in RE2 syntax (%v); write one", err)
		return m, false
	}
	m = matched{kind: gatewayv1.PathMatchRegularExpression, value: value}
	switch {
	case target == "" || target == "/$1" && strings.HasPrefix(path, "/(") && strings.Count(path, "(") == 1 && strings.HasSuffix(path, ")"):
	case !strings.Contains(target, "$"):
		m.rewrite = &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &target}
	default:
		s.say("path "+path, NotCarried, "no filter of a route puts groups of an expression together as rewrite-target %s does, and requests get 500; let the backend do so, or use a prefix", target)
		return m, false
	}
	s.say("path "+path, Different, "as the regular expression %s, which goes before all prefixes, however long they are", value)
	return m, true
}
