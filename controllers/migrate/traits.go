package migrate

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// traits are what the annotations of an Ingress say of all its rules.
type traits struct {
	toTLS    bool // HTTP is sent to HTTPS, where a host has it
	aliases  []string
	www      []string // the hosts that others are sent to
	appRoot  string
	redirect *gatewayv1.HTTPRequestRedirectFilter // nil: requests are forwarded
	shut     bool                                 // or are not: the redirect could not be written
	timeouts *gatewayv1.HTTPRouteTimeouts
	session  *gatewayv1.SessionPersistence
	filters  []gatewayv1.HTTPRouteFilter
	vhost    string
}

// traits reads the annotations, but for those that become policies.
func (s *source) traits() *traits {
	t := &traits{}
	s.tls(t)
	s.redirects(t)
	s.timeouts(t)
	s.session(t)
	s.cors(t)
	s.mirror(t)
	s.names(t)
	if value := s.take("x-forwarded-prefix"); strings.Contains(value, "$") {
		s.say("x-forwarded-prefix", NotCarried, "%q has a group of an expression; give a path", value)
	} else if value != "" {
		set := &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "X-Forwarded-Prefix", Value: value}}}
		t.filters = append(t.filters, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: set})
		s.carried("x-forwarded-prefix")
	}
	for _, name := range []string{"rewrite-target", "use-regex"} { // the account is of each path
		if value := s.get(name); value != "" {
			s.say(name, Carried, "see the paths")
		}
	}
	return t
}

// tls reads who is sent to HTTPS: everybody whose host has TLS, unless told
// otherwise (ingress-nginx, "Server-side HTTPS enforcement through redirect").
func (s *source) tls(t *traits) {
	t.toTLS = s.get("ssl-redirect") != "false" || s.get("force-ssl-redirect") == "true"
	if s.take("ssl-redirect") != "" {
		s.carried("ssl-redirect")
	}
	switch value := s.take("force-ssl-redirect"); {
	case value == "true" && len(s.Spec.TLS) == 0:
		s.say("force-ssl-redirect", NotCarried, "the hosts have no TLS here, so something in front ends it; redirect there")
	case value != "":
		s.carried("force-ssl-redirect")
	}
	if s.Annotations[ingress.SSLRedirect] == "true" {
		t.toTLS = true
	}
}

// redirects reads the redirects that take the place of all rules.
func (s *source) redirects(t *traits) {
	if t.appRoot = s.take("app-root"); t.appRoot != "" {
		if spec.CleanPath(t.appRoot) {
			s.carried("app-root")
		} else {
			s.say("app-root", NotCarried, "%q is no plain path; write a redirect of the exact path /", t.appRoot)
			t.appRoot = ""
		}
	}
	for _, r := range []struct {
		name   string
		status int
	}{{"permanent-redirect", 301}, {"temporal-redirect", 302}} {
		target, code := s.take(r.name), s.take(r.name+"-code")
		if target == "" {
			continue
		}
		if code != "" {
			r.status, _ = strconv.Atoi(code)
		}
		if t.redirect != nil || t.shut {
			s.say(r.name, NotCarried, "another redirect of the Ingress goes before it; remove one")
			continue
		}
		t.redirect = s.target(r.name, target, r.status)
		t.shut = t.redirect == nil // the backend has never seen these requests
	}
}

// target is a redirect to a URL; nil for one that cannot be written.
func (s *source) target(name, target string, status int) *gatewayv1.HTTPRequestRedirectFilter {
	keeps := false
	for _, variable := range []string{"$request_uri", "$uri$is_args$args"} {
		if head, found := strings.CutSuffix(target, variable); found {
			target, keeps = head, true
		}
	}
	u, err := url.Parse(target)
	if err != nil || strings.Contains(target, "$") || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]int{301, 302, 303, 307, 308}, status) || keeps && u.Path != "" {
		s.say(name, NotCarried, "a redirect filter has no variables, queries or fragments, and the statuses 301, 302, 303, 307 and 308; requests get 500 until the rules have one, or backends")
		return nil
	}
	out := &gatewayv1.HTTPRequestRedirectFilter{StatusCode: &status}
	if u.Scheme != "" {
		out.Scheme = &u.Scheme
	}
	if u.Hostname() != "" {
		out.Hostname = pointer(gatewayv1.PreciseHostname(u.Hostname()))
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		out.Port = pointer(gatewayv1.PortNumber(port))
	}
	if !keeps {
		out.Path = &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: pointer(cmp.Or(u.Path, "/"))}
		s.say(name, Different, "a query goes along")
		return out
	}
	s.carried(name)
	return out
}

// timeouts reads the time between two pieces of an answer as that for all of it.
func (s *source) timeouts(t *traits) {
	value := s.take("proxy-read-timeout")
	if value == "" {
		return
	}
	seconds, err := strconv.Atoi(strings.TrimSuffix(value, "s"))
	if err != nil || seconds < 1 || seconds > 99999 {
		s.say("proxy-read-timeout", NotCarried, "%q is not a number of seconds; set timeouts.backendRequest of the rules", value)
		return
	}
	t.timeouts = &gatewayv1.HTTPRouteTimeouts{BackendRequest: pointer(gatewayv1.Duration(fmt.Sprintf("%ds", seconds)))}
	s.say("proxy-read-timeout", Different, "timeouts.backendRequest is for the whole answer, not for the time between two pieces of it; remove it for streams and WebSockets, which --backend-idle-timeout and --tunnel-idle-timeout look after")
}

// session reads what keeps callers at an endpoint.
func (s *source) session(t *traits) {
	if kind := s.take("affinity"); kind != "cookie" {
		if kind != "" {
			s.say("affinity", NotCarried, "%q is not known; use cookie", kind)
		}
		return
	}
	out := &gatewayv1.SessionPersistence{
		SessionName: pointer(cmp.Or(s.take("session-cookie-name"), "INGRESSCOOKIE")),
		Type:        pointer(gatewayv1.CookieBasedSessionPersistence),
	}
	age := cmp.Or(s.take("session-cookie-max-age"), s.take("session-cookie-expires"))
	if seconds, err := strconv.Atoi(age); err == nil && seconds > 0 {
		out.AbsoluteTimeout = duration(seconds)
		out.CookieConfig = &gatewayv1.CookieConfig{LifetimeType: pointer(gatewayv1.PermanentCookieLifetimeType)}
	}
	t.session = out
	s.take("session-cookie-expires")
	s.say("affinity", Different, "the cookie has another value, so that callers may move once")
	if mode := s.take("affinity-mode"); mode != "" {
		s.say("affinity-mode", Different, "sessions stay where they are while their endpoint is there")
	}
	for _, name := range []string{"session-cookie-path", "session-cookie-samesite", "session-cookie-secure", "session-cookie-domain", "session-cookie-change-on-failure", "session-cookie-conditional-samesite-none", "affinity-canary-behavior"} {
		if s.take(name) != "" {
			s.say(name, Different, "the gateway chooses it")
		}
	}
}

// duration is a number of seconds in a form that has at most five digits.
func duration(seconds int) *gatewayv1.Duration {
	if seconds > 99999 {
		return pointer(gatewayv1.Duration(fmt.Sprintf("%dh%dm%ds", min(seconds/3600, 99999), seconds/60%60, seconds%60)))
	}
	return pointer(gatewayv1.Duration(fmt.Sprintf("%ds", seconds)))
}

// cors reads the annotations of that name, with the defaults they have.
func (s *source) cors(t *traits) {
	on := s.take("enable-cors") == "true"
	origins := cmp.Or(s.take("cors-allow-origin"), "*")
	methods := cmp.Or(s.take("cors-allow-methods"), "GET, PUT, POST, DELETE, PATCH, OPTIONS")
	headers := cmp.Or(s.take("cors-allow-headers"), "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization")
	expose, credentials, age := s.take("cors-expose-headers"), s.take("cors-allow-credentials"), cmp.Or(s.take("cors-max-age"), "1728000")
	if !on {
		return
	}
	seconds, _ := strconv.Atoi(age)
	f := &gatewayv1.HTTPCORSFilter{AllowCredentials: pointer(credentials != "false"), MaxAge: int32(min(max(seconds, 1), 1<<31-1))}
	for _, v := range list(origins) {
		f.AllowOrigins = append(f.AllowOrigins, gatewayv1.CORSOrigin(v))
	}
	for _, v := range list(methods) {
		f.AllowMethods = append(f.AllowMethods, gatewayv1.HTTPMethodWithWildcard(v))
	}
	for _, v := range list(headers) {
		f.AllowHeaders = append(f.AllowHeaders, gatewayv1.HTTPHeaderName(v))
	}
	for _, v := range list(expose) {
		f.ExposeHeaders = append(f.ExposeHeaders, gatewayv1.HTTPHeaderName(v))
	}
	t.filters = append(t.filters, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterCORS, CORS: f})
	if *f.AllowCredentials && slices.Contains(f.AllowOrigins, "*") {
		// ingress-nginx writes the asterisk into the answer, which browsers take for no
		// request with credentials; a filter would name any page's origin.
		f.AllowCredentials = pointer(false)
		s.say("enable-cors", Different, "allowCredentials is false: with the origin * browsers took no answer to a request with credentials; name the origins to allow that")
		return
	}
	if strings.Contains(origins, "://*.") {
		s.say("enable-cors", Different, "an asterisk in an origin stands for any number of labels, and stood for one")
		return
	}
	s.carried("enable-cors")
}

// mirror reads a target that is a Service of the namespace.
func (s *source) mirror(t *traits) {
	target := s.take("mirror-target")
	if target == "" {
		return
	}
	s.take("mirror-request-body")
	s.take("mirror-host")
	u, err := url.Parse(strings.TrimSuffix(target, "$request_uri"))
	parts := []string{}
	if err == nil {
		parts = strings.Split(u.Hostname(), ".")
	}
	if len(parts) == 0 || u.Scheme != "http" || len(parts) > 1 && parts[1] != s.Namespace || len(parts) > 2 && parts[2] != "svc" || u.Path != "" && u.Path != "/" {
		s.say("mirror-target", NotCarried, "a RequestMirror filter names a Service: put one of this namespace in front of %s", target)
		return
	}
	port, _ := strconv.Atoi(cmp.Or(u.Port(), "80"))
	ref := gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(parts[0]), Port: pointer(gatewayv1.PortNumber(port))}
	t.filters = append(t.filters, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{BackendRef: ref}})
	s.carried("mirror-target")
}

// names reads what other hosts lead here, and which host the backend is told.
func (s *source) names(t *traits) {
	for _, alias := range list(s.take("server-alias")) {
		if strings.HasPrefix(alias, "~") {
			s.say("server-alias", NotCarried, "%q is a regular expression; hosts are names, or *. and a name", alias)
			continue
		}
		t.aliases = append(t.aliases, strings.ToLower(alias))
		s.carried("server-alias")
		if tls := s.m.covering(strings.ToLower(alias)); len(s.Spec.TLS) > 0 && tls == "" {
			s.say("server-alias", Different, "%q has no certificate here; name it in spec.tls", alias)
		}
	}
	if t.vhost = s.take("upstream-vhost"); t.vhost != "" {
		if strings.Contains(t.vhost, "$") {
			s.say("upstream-vhost", NotCarried, "%q has a variable; give a host name", t.vhost)
			t.vhost = ""
		} else {
			s.carried("upstream-vhost")
		}
	}
	if s.take("from-to-www-redirect") == "true" {
		for _, r := range s.Spec.Rules {
			if other := otherHost(r.Host); other != "" && !slices.ContainsFunc(s.Spec.Rules, func(o networkingv1.IngressRule) bool { return o.Host == other }) {
				t.www = append(t.www, strings.ToLower(r.Host))
			}
		}
		s.carried("from-to-www-redirect")
	}
}

// otherHost is the host with www. in front of it, or without.
func otherHost(host string) string {
	if host == "" || strings.HasPrefix(host, "*") {
		return ""
	}
	if bare, has := strings.CutPrefix(host, "www."); has {
		return bare
	}
	return "www." + host
}

// otherHost is the one whose callers are sent to a host; "" for none.
func (t *traits) otherHost(host string) string {
	if !slices.Contains(t.www, host) {
		return ""
	}
	return otherHost(host)
}

// filtersOf are the filters of one path's rule.
func (t *traits) filtersOf(at matched) []gatewayv1.HTTPRouteFilter {
	out := slices.Clone(t.filters)
	if at.rewrite != nil || t.vhost != "" {
		rewrite := &gatewayv1.HTTPURLRewriteFilter{Path: at.rewrite}
		if t.vhost != "" {
			rewrite.Hostname = pointer(gatewayv1.PreciseHostname(t.vhost))
		}
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: rewrite})
	}
	return out
}

// list takes a list with commas apart.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}
