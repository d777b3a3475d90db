package migrate

import (
	"cmp"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
)

// maxTargets is how many a policy has room for.
const maxTargets = 16

// policies are what the annotations ask for that concerns callers, on the routes
// that forward. What is left of the annotations after that is accounted for.
func (s *source) policies(auth *v1alpha1.AuthRules, guarded []gatewayv1.ObjectName) (out []Object) {
	check := s.check()
	name := s.namer(policies)
	for names := range slices.Chunk(guarded, maxTargets) {
		var targets v1alpha1.PolicyTargets
		for _, name := range names {
			ref := gatewayv1.LocalPolicyTargetReferenceWithSectionName{}
			ref.Group, ref.Kind, ref.Name = gatewayv1.GroupName, "HTTPRoute", name
			targets.TargetRefs = append(targets.TargetRefs, ref)
		}
		meta := metav1.ObjectMeta{Namespace: s.Namespace, Name: name("")}
		kind := metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String()}
		if auth != nil {
			p := &v1alpha1.AuthPolicy{TypeMeta: kind, ObjectMeta: meta}
			p.Kind, p.Spec.PolicyTargets, p.Spec.Rules = v1alpha1.KindAuthPolicy, targets, auth
			out = append(out, p)
		}
		if check != nil {
			p := &v1alpha1.ValidationPolicy{TypeMeta: kind, ObjectMeta: meta}
			p.Kind, p.Spec.PolicyTargets, p.Spec.Rules = v1alpha1.KindValidationPolicy, targets, check
			out = append(out, p)
		}
	}
	s.rest()
	return out
}

// closed is the method of a policy that closes the routes until somebody has seen
// to what could not be carried over: nothing is open that was not.
const closed = "closed"

// auth reads who may call; nil for everybody.
func (s *source) auth() *v1alpha1.AuthRules {
	methods := map[string]v1alpha1.AuthenticationMethod{}
	if s.get("auth-type") != "" {
		methods["basic"] = s.basic()
	}
	networks, shut := s.networks()
	asked, unclear := s.asked()
	certificates, snippets := s.certificates(), s.snippets()
	if shut || unclear || certificates || snippets {
		methods[closed] = basicOf(s.Name+"-not-migrated", "")
	}
	rules := &v1alpha1.AuthRules{Authentication: methods}
	if methods["basic"].Basic != nil {
		rules.ForwardCredentials = pointer(true)
	}
	if len(methods) > 1 {
		rules.Require = strings.Join(slices.Sorted(maps.Keys(methods)), " && ")
	}
	rules.Authorization = map[string]v1alpha1.AuthorizationRule{}
	if len(networks.Allow)+len(networks.Deny) > 0 {
		rules.Authorization["networks"] = v1alpha1.AuthorizationRule{CIDRs: networks}
	}
	if asked != nil {
		rules.Authorization["asked"] = v1alpha1.AuthorizationRule{ExternalAuth: asked}
	}
	switch {
	case len(methods)+len(rules.Authorization) == 0:
		return nil
	case len(methods) == 0:
		methods["anybody"] = v1alpha1.AuthenticationMethod{Anonymous: &v1alpha1.AnonymousAuthentication{}}
	}
	return rules
}

// The annotations that are for all paths of a host.
const (
	clientSecret  = "auth-tls-secret"
	serverSnippet = "server-snippet"
)

// certificates says whether callers had to show a certificate.
func (s *source) certificates() (kept bool) {
	if kept = s.take(clientSecret) != ""; kept {
		s.say(clientSecret, NotCarried, "set tls.frontend.default.validation of the Gateway; %s", s.until())
	}
	return s.others(clientSecret) || kept
}

// snippets says whether one of nginx's configuration may have kept callers out.
func (s *source) snippets() (kept bool) {
	for _, name := range ingress.Snippets() {
		if by := ingress.Refuses(s.get(name)); by != "" {
			s.take(name)
			s.say(name, NotCarried, "it may keep callers out by %s: say so with rules of a policy; %s", by, s.until())
			kept = true
		}
	}
	return s.others(serverSnippet) || kept
}

// others says whether an annotation of another Ingress kept callers out here.
func (s *source) others(annotation string) bool {
	by := s.elsewhere(annotation)
	if by != nil {
		s.say(annotation, NotCarried, "Ingress %s/%s has it, and in ingress-nginx it is for all paths of a host; %s", by.Namespace, by.Name, s.until())
	}
	return by != nil
}

// until says what holds until somebody has seen to it.
func (s *source) until() string {
	return "until then AuthPolicy " + s.Name + " closes the routes: mend its method " + closed
}

// alone are the paths at which services that log people in are asked by nginx, and
// below which they know none: those of oauth2-proxy, Authelia and authentik.
var alone = []string{"/oauth2/auth", "/api/verify", "/api/authz/auth-request", "/outpost.goauthentik.io/auth/nginx"}

// asked reads the service that is asked about each request; unclear says that it
// cannot be asked in the way of a policy.
func (s *source) asked() (out *v1alpha1.ExternalAuth, unclear bool) {
	target, headers := s.take("auth-url"), s.take("auth-response-headers")
	if target == "" {
		return nil, false
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || strings.Contains(target, "$") {
		s.say("auth-url", NotCarried, "a policy asks at a URL without variables and query: write a rule externalAuth; %s", s.until())
		return nil, true
	}
	for _, path := range alone {
		if strings.HasSuffix(u.Path, path) {
			s.say("auth-url", NotCarried, "a policy puts the caller's path behind that of the URL, and a service that answers at %s knows no path below it, so that nobody would pass: "+
				"log people in with the method oidc in its place; %s", path, s.until())
			return nil, true
		}
	}
	out = &v1alpha1.ExternalAuth{URL: &target, HTTP: &v1alpha1.ExternalHTTP{Headers: []gatewayv1.HTTPHeaderName{"Cookie"}, Forwarded: true}}
	for _, name := range list(headers) {
		out.HTTP.ToBackend = append(out.HTTP.ToBackend, gatewayv1.HTTPHeaderName(name))
	}
	s.say("auth-url", Different, "the service is asked with the caller's method and Host, and with the caller's path behind that of the URL: it must take what is below its own; "+
		"of the caller it is told Authorization, Cookie and X-Forwarded-*, and no longer X-Original-URL, X-Original-Method and X-Auth-Request-Redirect; of its answers 200 alone lets a request pass, and 201 to 299 no longer do")
	if headers != "" {
		s.carried("auth-response-headers")
	}
	return out, false
}

func basicOf(secret, realm string) v1alpha1.AuthenticationMethod {
	return v1alpha1.AuthenticationMethod{Basic: &v1alpha1.BasicAuthentication{
		SecretRef: v1alpha1.SecretReference{Name: gatewayv1.ObjectName(secret)}, Realm: strings.ReplaceAll(realm, `"`, ""),
	}}
}

// basic reads where names and passwords are. A policy reads them in its own
// namespace and under another key, and answers 503 until they are there.
func (s *source) basic() v1alpha1.AuthenticationMethod {
	kind, secret, form := s.take("auth-type"), s.take("auth-secret"), s.take("auth-secret-type")
	namespace, name, split := strings.Cut(secret, "/")
	if !split {
		namespace, name = s.Namespace, secret
	}
	name = cmp.Or(name, s.Name+"-htpasswd")
	if s.get("auth-realm") != "" {
		s.carried("auth-realm")
	}
	switch {
	case kind != "basic":
		s.say("auth-type", NotCarried, "%s is not served; until Secret %s has lines of name:hash for Basic under %s, the routes answer 503", kind, name, v1alpha1.HtpasswdKey)
	case namespace != s.Namespace || form == "auth-map":
		s.say("auth-secret", NotCarried, "a policy reads a Secret of its own namespace, with lines of name:hash under %s; until there is one named %s, the routes answer 503", v1alpha1.HtpasswdKey, name)
	default:
		s.carried("auth-type")
		s.say("auth-secret", Different, "the lines stand under %s now; until Secret %s has a copy of its key auth there, the routes answer 503; "+
			"hashes of htpasswd -m ($apr1$) and crypt count for nobody: make them anew with htpasswd -B", v1alpha1.HtpasswdKey, name)
	}
	return basicOf(name, s.take("auth-realm"))
}

// networks reads from where callers may come; shut says that of a list of those
// who may nothing is left.
func (s *source) networks() (out *v1alpha1.CIDRRule, shut bool) {
	out = &v1alpha1.CIDRRule{}
	for _, l := range []struct {
		name string
		to   *[]v1alpha1.CIDR
	}{{"whitelist-source-range", &out.Allow}, {"allowlist-source-range", &out.Allow}, {"denylist-source-range", &out.Deny}} {
		networks := list(s.take(l.name))
		for _, text := range networks {
			if a, err := netip.ParseAddr(text); err == nil {
				text = netip.PrefixFrom(a, a.BitLen()).String()
			}
			if _, err := netip.ParsePrefix(text); err != nil {
				s.say(l.name, NotCarried, "%q is not a network; write 192.0.2.0/24", text)
				continue
			}
			*l.to = append(*l.to, v1alpha1.CIDR(text))
		}
		if len(*l.to) > 0 && len(networks) > 0 {
			s.say(l.name, Different, "the Service of the Gateway may show a node's address instead of the caller's; with spec.service.externalTrafficPolicy Local in the Gateway's GatewayParameters it does not")
		}
		shut = shut || len(networks) > 0 && len(*l.to) == 0
	}
	return out, shut
}

// check reads what requests may be like; nil for anything.
func (s *source) check() *v1alpha1.ValidationRules {
	text := s.take("proxy-body-size")
	switch {
	case text == "":
		return nil
	case text == "0":
		s.say("proxy-body-size", Different, "the limit is that of --max-body-bytes, 1 GiB unless set")
		return nil
	}
	// 8m is 8Mi, 8k 8Ki, 8g 8Gi.
	form := text
	if last := strings.ToUpper(text[len(text)-1:]); slices.Contains([]string{"K", "M", "G"}, last) {
		form = text[:len(text)-1] + last + "i"
	}
	size, err := resource.ParseQuantity(form)
	if err != nil || size.Sign() <= 0 {
		s.say("proxy-body-size", NotCarried, "%q is no size; set maxBodyBytes of a ValidationPolicy", text)
		return nil
	}
	s.carried("proxy-body-size")
	return &v1alpha1.ValidationRules{Checks: map[string]v1alpha1.ValidationCheck{"size": {MaxBodyBytes: &size}}}
}

// rest accounts for the annotations that nothing was made of.
func (s *source) rest() {
	for _, name := range slices.Sorted(maps.Keys(s.left)) {
		value := s.left[name]
		switch text, known := notCarried()[name]; {
		case name == "rewrite-target" || name == "use-regex":
		case name == "backend-protocol" && (strings.EqualFold(value, "HTTP") || value == ""):
			s.carried(name)
		case name == "backend-protocol" && strings.EqualFold(value, "GRPC"):
			s.say(name, NotCarried, "set appProtocol: kubernetes.io/h2c on the port of the Service")
		case name == "backend-protocol" && (strings.EqualFold(value, "HTTPS") || strings.EqualFold(value, "GRPCS")):
			s.say(name, NotCarried, "write a BackendTLSPolicy for the Service that names the authority its certificate comes from")
		case known:
			s.say(name, NotCarried, "%s", text)
		case different()[name] != "":
			s.say(name, Different, "%s", different()[name])
		default:
			s.say(name, NotCarried, "it is not known here")
		}
	}
}

// different is what becomes of annotations whose purpose is served in another way.
func different() map[string]string {
	const streams = "content goes through as it comes, in both directions"
	return map[string]string{
		"proxy-buffering": streams, "proxy-request-buffering": streams, "proxy-buffer-size": streams, "proxy-buffers-number": streams,
		"proxy-max-temp-file-size": streams, "client-body-buffer-size": streams, "proxy-busy-buffers-size": streams,
		"proxy-http-version": "backends are spoken to in HTTP/1.1, or in HTTP/2 where their Service port says kubernetes.io/h2c",
		"load-balance":       "the less loaded of two endpoints chosen at random gets a request",
		"enable-access-log":  "--access-log-sample is for all routes",
	}
}

// notCarried is what to do about annotations that have no counterpart.
func notCarried() map[string]string {
	const (
		rate     = "there is no rate limit yet; keep one in front, or in the backend"
		snippet  = "it is configuration of nginx; say what it is for with filters and policies"
		signin   = "a refusal of the service goes to the caller as it is; to log people in use the method oidc"
		external = "see externalAuth of the AuthPolicy"
		clients  = "set tls.frontend.default.validation of the Gateway"
		firewall = "there is no web application firewall"
		tracing  = "there is no tracing yet; what callers send, such as traceparent, goes on to backends"
		flags    = "it is the same for all routes: see --backend-connect-timeout and --backend-write-timeout"
	)
	return map[string]string{
		"limit-rps": rate, "limit-rpm": rate, "limit-connections": rate, "limit-burst-multiplier": rate, "limit-rate": rate, "limit-rate-after": rate, "limit-whitelist": rate,
		"server-snippet": snippet, "configuration-snippet": snippet, "stream-snippet": snippet, "auth-snippet": snippet, "modsecurity-snippet": snippet,
		"auth-signin": signin, "auth-signin-redirect-param": signin, "auth-method": external, "auth-cache-key": external, "enable-global-auth": external,
		"auth-tls-verify-client": clients, "auth-tls-match-cn": clients, "auth-tls-verify-depth": clients, "auth-tls-pass-certificate-to-upstream": clients, "auth-tls-error-page": clients,
		"proxy-connect-timeout": flags, "proxy-send-timeout": flags,
		"proxy-next-upstream": "set retry of the rules", "proxy-next-upstream-tries": "set retry of the rules", "proxy-next-upstream-timeout": "set retry of the rules",
		"proxy-ssl-secret": "write a BackendTLSPolicy for the Service", "proxy-ssl-verify": "write a BackendTLSPolicy for the Service",
		"proxy-ssl-name": "write a BackendTLSPolicy for the Service", "proxy-ssl-server-name": "write a BackendTLSPolicy for the Service",
		"upstream-hash-by":    "endpoints are chosen by load; affinity by cookie is carried",
		"custom-http-errors":  "answers of backends are passed on as they are; those of the gateway are problem documents",
		"default-backend":     "answers of backends are passed on as they are; a route that takes / gets what no other takes",
		"ssl-passthrough":     "write a TLSRoute to a listener of protocol TLS and mode Passthrough",
		"satisfy":             "say who may call with require and when of the AuthPolicy",
		"proxy-redirect-from": "backends must name the hosts that callers know in Location",
		"proxy-redirect-to":   "backends must name the hosts that callers know in Location",
		"proxy-cookie-path":   "backends must set the paths and domains that callers know in cookies",
		"proxy-cookie-domain": "backends must set the paths and domains that callers know in cookies",
		"custom-headers":      "write a ResponseHeaderModifier filter with what the ConfigMap has",
		"ssl-ciphers":         "the listeners of a Gateway choose ciphers themselves",
		"service-upstream":    "requests go to the endpoints of a Service, never to its own address",
		"enable-modsecurity":  firewall, "enable-owasp-core-rules": firewall,
		"enable-opentracing":      tracing,
		"connection-proxy-header": "the gateway sets Connection itself",
		"enable-opentelemetry":    tracing,
	}
}
