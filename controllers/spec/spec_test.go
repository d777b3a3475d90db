package spec

import (
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// read reads a rule in YAML's flow form as the one rule of a route.
func read(t *testing.T, rule string) Rule {
	t.Helper()
	var route gatewayv1.HTTPRoute
	if err := yaml.UnmarshalStrict([]byte("spec: {rules: [{"+rule+"}]}"), &route); err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	return Rules(&route)[0]
}

func TestRules(t *testing.T) {
	// Each case breaks with these words, or is good without.
	f := func(rule, reason, words string) {
		t.Helper()
		switch got := read(t, rule).Broken; {
		case got == nil && words != "":
			t.Errorf("%s: is good, want %s", rule, words)
		case got != nil && (words == "" || got.Reason != reason || !strings.Contains(got.Text, words)):
			t.Errorf("%s: %s %s, want %s %s", rule, got.Reason, got.Text, reason, words)
		}
	}
	const unsupported, incompatible = "UnsupportedValue", "IncompatibleFilters"
	path := func(kind, value string) string {
		return "matches: [{path: {type: " + kind + ", value: '" + value + "'}}]"
	}
	f(path("Exact", "/a"), "", "")
	f(path("PathPrefix", "/a/"), "", "")
	f(path("RegularExpression", "/a/[0-9]+"), "", "")
	f(path("RegularExpression", "/a/["), unsupported, "spec.rules[0].matches[0].path.value: not a regular expression in RE2 syntax")
	f(path("RegularExpression", "/a)|(/b"), unsupported, "spec.rules[0].matches[0].path.value: not a regular expression in RE2 syntax")
	f(path("Glob", "/a"), unsupported, `spec.rules[0].matches[0].path.type: "Glob" is not supported`)
	f(path("Exact", "a"), unsupported, "is not a plain absolute path")
	f(path("PathPrefix", "/a/../b"), unsupported, "is not a plain absolute path")
	f(path("PathPrefix", "/a%2fb"), unsupported, "is not a plain absolute path")
	f("matches: [{method: GET}]", "", "")
	f("matches: [{method: FETCH}]", unsupported, "spec.rules[0].matches[0].method: \"FETCH\" is not one of")
	f("matches: [{headers: [{name: X-A, value: b}, {name: x-b, type: RegularExpression, value: 'a.*'}]}]", "", "")
	f("matches: [{headers: [{name: 'a b', value: b}]}]", unsupported, "headers[0].name: \"a b\" is not a header name")
	f("matches: [{headers: [{name: a, type: RegularExpression, value: '('}]}]", unsupported, "headers[0].value: not a regular expression")
	f("matches: [{queryParams: [{name: a, type: Glob, value: b}]}]", unsupported, "queryParams[0].type: \"Glob\" is not supported")

	filter := func(f string) string { return "filters: [" + f + "]" }
	header := func(f string) string {
		return filter("{type: RequestHeaderModifier, requestHeaderModifier: {" + f + "}}")
	}
	f(header("set: [{name: a, value: b}], add: [{name: c, value: d}], remove: [e]"), "", "")
	f(header("set: [{name: a, value: b}], remove: [A]"), unsupported, "remove[0]: A is named twice")
	f(header("set: [{name: Content-Length, value: '1'}]"), unsupported, "Content-Length is set by the gateway itself")
	f(header(`set: [{name: a, value: "b\r\nc: d"}]`), unsupported, "spec.rules[0].filters[0].requestHeaderModifier.set[0].value: holds a control character")
	f(filter("{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: a, value: b}]}}"), "", "")
	f(filter("{type: ResponseHeaderModifier}"), unsupported, "the settings of ResponseHeaderModifier are missing")
	f(filter("{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 308, port: 8443}}"), "", "")
	f(filter("{type: RequestRedirect, requestRedirect: {scheme: ftp}}"), unsupported, "requestRedirect.scheme: \"ftp\" is not supported")
	f(filter("{type: RequestRedirect, requestRedirect: {statusCode: 300}}"), unsupported, "statusCode: 300 is not supported")
	f(filter("{type: RequestRedirect, requestRedirect: {}}")+", backendRefs: [{name: api, port: 80}]", incompatible, "RequestRedirect and backendRefs exclude each other")
	f(filter("{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}"), incompatible, "RequestRedirect and URLRewrite exclude")
	f(filter("{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}"), incompatible, "spec.rules[0].filters[1]: a second URLRewrite")
	prefix := filter("{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}")
	f(prefix, "", "")
	f(prefix+", "+path("PathPrefix", "/a"), "", "")
	f(prefix+", matches: [{path: {value: /a}}, {path: {value: /b}}]", unsupported, "needs exactly one match")
	f(prefix+", "+path("Exact", "/a"), unsupported, "urlRewrite.path.replacePrefixMatch: needs exactly one match, of type PathPrefix")
	f(filter("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}"), "", "")
	f(filter("{type: URLRewrite, urlRewrite: {path: {type: Half}}}"), unsupported, "\"Half\" is not supported")
	mirror := func(f string) string {
		return "{type: RequestMirror, requestMirror: {backendRef: {name: api, port: 80}" + f + "}}"
	}
	f(filter(mirror("")+", "+mirror(", percent: 20")+", "+mirror(", fraction: {numerator: 1, denominator: 3}")), "", "")
	f(filter("{type: RequestMirror}"), unsupported, "the settings of RequestMirror are missing")
	f(filter(mirror(", percent: 101")), unsupported, "filters[0].requestMirror.percent: 101 is not between 0 and 100")
	f(filter(mirror(", percent: 1, fraction: {numerator: 1}")), unsupported, "percent and fraction exclude each other")
	f(filter(mirror(", fraction: {numerator: 4, denominator: 3}")), unsupported, "requestMirror.fraction: 4 of 3 is not between")
	f(filter(mirror(", fraction: {numerator: 0, denominator: 0}")), unsupported, "requestMirror.fraction: 0 of 0 is not between")
	cors := func(f string) string { return filter("{type: CORS, cors: {" + f + "}}") }
	f(cors(""), "", "")
	f(cors("allowOrigins: ['https://a.example', 'http://*.b.example:81', 'https://*'], allowMethods: ['*'], allowHeaders: [X-A], maxAge: 60"), "", "")
	f(filter("{type: CORS}"), unsupported, "the settings of CORS are missing")
	f(cors("allowOrigins: [a.example]"), unsupported, "filters[0].cors.allowOrigins[0]: \"a.example\" is no origin")
	f(cors("allowOrigins: ['*', 'https://a.example']"), unsupported, "allowOrigins[0]: * stands for all origins")
	f(cors("allowMethods: [GET, '*']"), unsupported, "allowMethods[1]: \"*\" stands for all")
	f(cors("allowHeaders: ['a b']"), unsupported, "allowHeaders[0]: \"a b\" is not a name")
	f(cors("exposeHeaders: ['a:']"), unsupported, "exposeHeaders[0]: \"a:\" is not a name")
	f(cors("maxAge: -1"), unsupported, "cors.maxAge: -1 is less than a second")
	f("backendRefs: [{name: api, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: a.b}}]}]", "", "")
	f("backendRefs: [{name: api, port: 80, filters: [{type: CORS, cors: {}}]}]", unsupported, "spec.rules[0].backendRefs[0].filters: CORS is not supported on a backendRef")
	f("backendRefs: [{name: api, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}]}, {name: two, port: 80}]", "", "")
	f("backendRefs: [{name: api, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}]", incompatible,
		"spec.rules[0].backendRefs[0].filters: RequestRedirect and URLRewrite exclude each other")
	f("filters: [{type: URLRewrite, urlRewrite: {}}], backendRefs: [{name: two, port: 80}, {name: api, port: 80, filters: [{type: URLRewrite, urlRewrite: {}}]}]", incompatible,
		"spec.rules[0].backendRefs[1].filters: URLRewrite excludes the URLRewrite of the rule")
	f("filters: [{type: URLRewrite, urlRewrite: {}}], backendRefs: [{name: api, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}]}]", incompatible,
		"spec.rules[0].backendRefs[0].filters: RequestRedirect excludes the URLRewrite of the rule")
	f("timeouts: {request: 1m30s, backendRequest: 500ms}", "", "")
	f("timeouts: {request: 0s, backendRequest: 5s}", "", "")
	f("timeouts: {request: 1.5s}", unsupported, `spec.rules[0].timeouts.request: "1.5s" is not a duration`)
	f("timeouts: {request: 1s, backendRequest: 2s}", unsupported, "spec.rules[0].timeouts.backendRequest: 2s is longer than request, 1s")
	f("retry: {attempts: 3}", "", "")
	f("retry: {codes: [500, 503], attempts: 0, backoff: 100ms}", "", "")
	f("retry: {attempts: 21}", unsupported, "spec.rules[0].retry.attempts: 21 is not between 0 and 20")
	f("retry: {codes: [500, 200]}", unsupported, "spec.rules[0].retry.codes[1]: 200 is not between 400 and 599")
	f("retry: {backoff: soon}", unsupported, `spec.rules[0].retry.backoff: "soon" is not a duration`)
	f("backendRefs: [{name: api, port: 80, weight: -1}]", unsupported, "spec.rules[0].backendRefs[0].weight: -1 is not between 0 and 1000000")
	session := func(f string) string { return "sessionPersistence: {" + f + "}" }
	f(session(""), "", "")
	f(session("type: Header, sessionName: X-Session, absoluteTimeout: 1h"), "", "")
	f(session("sessionName: id, absoluteTimeout: 500ms, cookieConfig: {lifetimeType: Permanent}"), "", "")
	f(session("cookieConfig: {lifetimeType: Permanent}"), unsupported, "spec.rules[0].sessionPersistence.absoluteTimeout: is missing")
	f(session("cookieConfig: {lifetimeType: Eternal}"), unsupported, "cookieConfig.lifetimeType: \"Eternal\" is not supported")
	f(session("type: Header, cookieConfig: {}"), unsupported, "cookieConfig: goes with type Cookie only")
	f(session("type: Address"), unsupported, "sessionPersistence.type: \"Address\" is not supported; use Cookie or Header")
	f(session("absoluteTimeout: 0s"), unsupported, "absoluteTimeout: 0s is no time at all")
	f(session("absoluteTimeout: soon"), unsupported, "sessionPersistence.absoluteTimeout: \"soon\" is not a duration")
	f(session("sessionName: a b"), unsupported, "sessionPersistence.sessionName: \"a b\" is not a name")
	f(session("sessionName: __Host-id"), unsupported, "browsers take __Host-id only with attributes")
	f(session("type: Header, sessionName: Content-Length"), unsupported, "Content-Length has a meaning of its own")
	f(session("sessionName: "+strings.Repeat("x", 129)), unsupported, "has 129 characters, 128 are allowed")
	f("filters: [{type: ExtensionRef, extensionRef: {group: x, kind: Y, name: z}}]", unsupported, "spec.rules[0].filters[0]: ExtensionRef is not supported")
}

func TestDefaults(t *testing.T) {
	m := read(t, "matches: [{headers: [{name: A, value: b}, {name: a, value: c}]}]").Matches[0]
	if *m.Path.Type != gatewayv1.PathMatchPathPrefix || *m.Path.Value != "/" {
		t.Errorf("path = %s %s, want PathPrefix /", *m.Path.Type, *m.Path.Value)
	}
	if len(m.Headers) != 1 || m.Headers[0].Value != "b" {
		t.Errorf("headers = %v, want the first of equivalent names only", m.Headers)
	}
	if rules := Rules(&gatewayv1.HTTPRoute{}); len(rules) != 1 || len(rules[0].Matches) != 1 || rules[0].Broken != nil {
		t.Errorf("a route without rules has %v, want one rule that takes everything", rules)
	}
	r := read(t, "timeouts: {request: 1m30s, backendRequest: 0s}")
	if r.Request.String() != "1m30s" || r.Backend != 0 {
		t.Errorf("timeouts %v and %v, want 1m30s and none", r.Request, r.Backend)
	}
}

func TestSentences(t *testing.T) {
	if Sentences(nil) != nil {
		t.Error("no problems are a problem")
	}
	problems := make([]*Problem, 11)
	for i := range problems {
		problems[i] = Problemf("R", "p%d", i)
	}
	if got := Sentences(problems).Text; got != "p0; p1; p2; p3; p4; p5; p6; p7; and 3 more" {
		t.Errorf("got %q", got)
	}
}

func TestIntersect(t *testing.T) {
	f := func(listener, route, want string) {
		t.Helper()
		var hosts []gatewayv1.Hostname
		for _, h := range strings.Fields(route) {
			hosts = append(hosts, gatewayv1.Hostname(h))
		}
		if got := strings.Join(Intersect(listener, hosts), " "); got != want {
			t.Errorf("Intersect(%q, %q) = %q, want %q", listener, route, got, want)
		}
	}
	f("", "", "*")
	f("a.b", "", "a.b")
	f("", "a.b *.c", "a.b *.c")
	f("a.b", "a.b", "a.b")
	f("a.b", "*.b", "a.b")
	f("a.b", "b.b", "")
	f("*.b", "b", "")
	f("*.b", "a.b", "a.b")
	f("*.b", "x.a.b", "x.a.b")
	f("*.b", "*.a.b", "*.a.b")
	f("*.a.b", "*.b", "*.a.b")
	f("*.b", "ab", "")
	f("*.b", ".b", "")
	f("*.b", "*.b *.b", "*.b")
	f("*.b", "*.c", "")
}
