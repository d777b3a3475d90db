package graph

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// edge has a listener for everybody, one for two kinds of host, one for selected
// namespaces, and one only for its own namespace.
const edge = class + `
kind: Gateway
metadata: {name: gw, namespace: web}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: open, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: wild, port: 81, protocol: HTTP, hostname: "*.example.com", allowedRoutes: {namespaces: {from: All}}}
  - {name: one, port: 81, protocol: HTTP, hostname: "A.example.com", allowedRoutes: {namespaces: {from: All}}}
  - {name: some, port: 82, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {edge: "yes"}}}}}
  - {name: own, port: 83, protocol: HTTP}
  - {name: grpc, port: 84, protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}}
---
kind: Namespace
metadata: {name: shop, labels: {edge: "yes"}}
---
kind: Service
metadata: {name: api, namespace: shop}
spec:
  ports:
  - {name: http, port: 80}
  - {name: https, port: 443, appProtocol: https}
  - {name: h2c, port: 81, appProtocol: kubernetes.io/h2c}
  - {name: dns, port: 53, protocol: UDP}
---
kind: Service
metadata: {name: ext, namespace: shop}
spec: {type: ExternalName, externalName: example.org, ports: [{port: 80}]}
---
kind: Service
metadata: {name: pay, namespace: bank}
spec: {ports: [{port: 80}]}
---
`

func routeYAML(spec string) string {
	return "kind: HTTPRoute\nmetadata: {name: r, namespace: shop, generation: 5}\nspec: {" + spec + "}\n---\n"
}

func TestParents(t *testing.T) {
	f := func(name, spec string, want ...string) {
		t.Helper()
		expect(t, name, edge+routeYAML(spec), want...)
	}
	parent := func(more string) string { return "parentRefs: [{name: gw, namespace: web" + more + "}]" }
	f("all that take it", parent(""), "listener open :80 serves=true routes=1", "listener grpc :84 serves=true routes=0",
		"parent web/gw open[*] wild[*.example.com] one[a.example.com] some[*] Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs\n", "rule 0 matches=1\n")
	f("by name", parent(", sectionName: wild"), "parent web/gw wild[*.example.com] Accepted=True")
	f("by port", parent(", port: 81"), "parent web/gw wild[*.example.com] one[a.example.com] Accepted=True")
	f("by both", parent(", port: 81, sectionName: one"), "parent web/gw one[a.example.com] Accepted=True")
	f("by both, apart", parent(", port: 80, sectionName: one"), "Accepted=False/NoMatchingParent", "Gateway web/gw has no listener one with port 80")
	f("no such section", parent(", sectionName: x"), "parent web/gw Accepted=False/NoMatchingParent ResolvedRefs=True")
	f("not from here", parent(", sectionName: own"), "Accepted=False/NotAllowedByListeners", "no listener of Gateway web/gw takes HTTPRoutes of namespace shop")
	f("not this kind", parent(", sectionName: grpc"), "Accepted=False/NotAllowedByListeners")
	f("hosts", parent("")+", hostnames: [a.EXAMPLE.com, b.example.com, example.com]",
		"open[a.example.com b.example.com example.com] wild[a.example.com b.example.com] one[a.example.com] some[")
	f("no host", parent(", sectionName: wild")+", hostnames: [example.com]", "Accepted=False/NoMatchingListenerHostname", "listeners take *.example.com, a.example.com")
	f("two parents", "parentRefs: [{name: gw, namespace: web, sectionName: open}, {name: gw, namespace: web, sectionName: own}]",
		"listener open :80 serves=true routes=1", "listener own :83 serves=true routes=0", "parent web/gw open[*] Accepted=True", "parent web/gw Accepted=False/NotAllowedByListeners")
	f("counted once", "parentRefs: [{name: gw, namespace: web}, {name: gw, namespace: web, sectionName: open}]", "listener open :80 serves=true routes=1")

	none := func(name, spec string) {
		t.Helper()
		if got := text(NewBuilder(Config{Controller: controller}).Build(load(t, edge+routeYAML(spec)))); strings.Contains(got, "route shop/r") {
			t.Errorf("%s: the route is ours:\n%s", name, got)
		}
	}
	none("gone", "parentRefs: [{name: gone}]")
	none("a service", "parentRefs: [{kind: Service, group: '', name: gw, namespace: web}]")
	none("a listener set", "parentRefs: [{kind: ListenerSet, name: gw, namespace: web}]")
	none("no parent", "hostnames: [a]")
	expect(t, "the label went", strings.Replace(edge, `{edge: "yes"}}`+"\n---", `{}}`+"\n---", 1)+routeYAML(parent(", sectionName: some")), "NotAllowedByListeners")
	expect(t, "counted where nothing serves", class+gatewayYAML("listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: gone}]}}]")+
		"kind: HTTPRoute\nmetadata: {name: r, namespace: web}\nspec: {parentRefs: [{name: gw}]}", "listener a :443 serves=false routes=1", "Accepted=True")
}

func TestIntersect(t *testing.T) {
	f := func(listener, route, want string) {
		t.Helper()
		var hosts []gatewayv1.Hostname
		for _, h := range strings.Fields(route) {
			hosts = append(hosts, gatewayv1.Hostname(h))
		}
		if got := strings.Join(intersect(listener, hosts), " "); got != want {
			t.Errorf("intersect(%q, %q) = %q, want %q", listener, route, got, want)
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
	f("*.b", "*.b *.b", "*.b")
	f("*.b", "*.c", "")
}

func TestBackends(t *testing.T) {
	f := func(name, refs, extra string, want ...string) {
		t.Helper()
		expect(t, name, edge+extra+routeYAML("parentRefs: [{name: gw, namespace: web}], rules: [{backendRefs: ["+refs+"]}]"), want...)
	}
	f("good", "{name: api, port: 80}", "", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs", "1*shop/api:80\n")
	f("h2c", "{name: api, port: 81, weight: 0}", "", "ResolvedRefs=True", "0*shop/api:81\n")
	f("no service", "{name: gone, port: 80}", "", "routes=1", "Accepted=True/Accepted ResolvedRefs=False/BackendNotFound",
		"spec.rules[0].backendRefs[0]: Service shop/gone does not exist", "1*shop/gone:80!\n")
	f("no such port", "{name: api, port: 80}, {name: api, port: 8081}", "", "ResolvedRefs=False/BackendNotFound",
		"spec.rules[0].backendRefs[1]: Service shop/api has no port 8081; it has 80, 443, 81\n", "1*shop/api:80 1*shop/api:8081!\n")
	f("udp port", "{name: api, port: 53}", "", "BackendNotFound")
	f("no port", "{name: api}", "", "ResolvedRefs=False/BackendNotFound", "spec.rules[0].backendRefs[0].port: is missing; Service shop/api has 80, 443, 81")
	f("tls", "{name: api, port: 443}", "", "ResolvedRefs=False/UnsupportedProtocol", `has appProtocol "https", which is not supported; use http, kubernetes.io/h2c`)
	f("external name", "{name: ext, port: 80}", "", "ResolvedRefs=False/InvalidKind")
	f("kind", "{kind: Bucket, name: api, port: 80}", "", "ResolvedRefs=False/InvalidKind", "spec.rules[0].backendRefs[0]: Bucket is not supported; name a Service")
	f("group", "{group: x, kind: Service, name: api, port: 80}", "", "InvalidKind")
	f("elsewhere", "{name: pay, namespace: bank, port: 80}", "", "ResolvedRefs=False/RefNotPermitted",
		"no ReferenceGrant in namespace bank lets HTTPRoutes of namespace shop use Service pay", "1*bank/pay:80!")
	grant := func(namespace string) string {
		return "kind: ReferenceGrant\nmetadata: {name: g, namespace: bank}\nspec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: " +
			namespace + "}], to: [{group: '', kind: Service}]}\n---\n"
	}
	f("elsewhere, granted", "{name: pay, namespace: bank, port: 80}", grant("shop"), "ResolvedRefs=True", "1*bank/pay:80\n")
	f("elsewhere, granted to others", "{name: pay, namespace: bank, port: 80}", grant("web"), "RefNotPermitted")
	f("weight", "{name: api, port: 80, weight: -1}", "", "Accepted=False/UnsupportedValue", "spec.rules[0].backendRefs[0].weight: -1 is not between")
}

func TestRules(t *testing.T) {
	// Each case is the only rule of a route; it breaks with these words, or is good without.
	f := func(rule, reason, words string) {
		t.Helper()
		want := []string{"Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs\n  rule 0"}
		if words != "" {
			want = []string{"open[*]", "Accepted=False/" + reason, words, "broken"}
		}
		expect(t, rule, edge+routeYAML("parentRefs: [{name: gw, namespace: web}], rules: [{"+rule+"}]"), want...)
	}
	const unsupported, incompatible = "UnsupportedValue", "IncompatibleFilters"
	path := func(kind, value string) string {
		return "matches: [{path: {type: " + kind + ", value: '" + value + "'}}]"
	}
	f(path("Exact", "/a"), "", "")
	f(path("PathPrefix", "/a/"), "", "")
	f(path("RegularExpression", "/a/[0-9]+"), "", "")
	f(path("RegularExpression", "/a/["), unsupported, "spec.rules[0].matches[0].path.value: not a regular expression in RE2 syntax")
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
	f(prefix+", "+path("Exact", "/a"), unsupported, "urlRewrite.path.replacePrefixMatch: needs exactly one match, of type PathPrefix")
	f(filter("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}"), "", "")
	f(filter("{type: URLRewrite, urlRewrite: {path: {type: Half}}}"), unsupported, "\"Half\" is not supported")
	f(filter("{type: RequestMirror, requestMirror: {backendRef: {name: api, port: 80}}}"), unsupported, "filters[0].type: \"RequestMirror\" is not supported")
	f(filter("{type: CORS, cors: {}}"), unsupported, "\"CORS\" is not supported")
	f("backendRefs: [{name: api, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: a.b}}]}]", "", "")
	f("backendRefs: [{name: api, port: 80, filters: [{type: CORS}]}]", unsupported, "spec.rules[0].backendRefs[0].filters[0].type: \"CORS\"")
	f("backendRefs: [{name: api, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}]}]", unsupported, "RequestRedirect is not supported on a backendRef")
	f("timeouts: {request: 1m30s, backendRequest: 500ms}", "", "")
	f("timeouts: {request: 0s, backendRequest: 5s}", "", "")
	f("timeouts: {request: 1.5s}", unsupported, `spec.rules[0].timeouts.request: "1.5s" is not a duration`)
	f("timeouts: {request: 1s, backendRequest: 2s}", unsupported, "spec.rules[0].timeouts.backendRequest: 2s is longer than request, 1s")
	f("retry: {attempts: 3}", "", "")

	rules := func(name, rules string, want ...string) {
		t.Helper()
		expect(t, name, edge+routeYAML("parentRefs: [{name: gw, namespace: web, sectionName: open}], rules: ["+rules+"]"), want...)
	}
	rules("one of two", "{filters: [{type: CORS}]}, {}", "routes=1", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs PartiallyInvalid=True/UnsupportedValue",
		"PartiallyInvalid: Dropped Rule: spec.rules[0].filters[0].type", "rule 0 matches=1 broken", "rule 1 matches=1\n")
	rules("all, not counted", "{filters: [{type: CORS}]}", "listener open :80 serves=true routes=0", "parent web/gw open[*] Accepted=False/UnsupportedValue", "broken")
	rules("only its bad match is gone", "{matches: [{path: {type: Glob}}, {method: GET}]}", "rule 0 matches=1 broken")
	rules("same name", "{name: a}, {name: a}", "PartiallyInvalid=True", "spec.rules[1].name: spec.rules[0] is named a too")
	rules("extension", "{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: Y, name: z}}]}", "Accepted=False/UnsupportedValue ResolvedRefs=False/InvalidKind", "broken")
	rules("too many", strings.Repeat("{},", 17), "Accepted=False/UnsupportedValue", "spec.rules: has 17 entries, 16 are allowed")
	rules("too many matches", "{matches: ["+strings.Repeat("{},", 129)+"]}", "spec.rules: have 129 matches together, 128 are allowed")
}

func TestMatchDefaults(t *testing.T) {
	s := load(t, edge+routeYAML("parentRefs: [{name: gw, namespace: web}], rules: [{matches: [{headers: [{name: A, value: b}, {name: a, value: c}]}]}]"))
	m := NewBuilder(Config{Controller: controller}).Build(s).Routes[0].Rules[0].Matches[0]
	if *m.Path.Type != gatewayv1.PathMatchPathPrefix || *m.Path.Value != "/" {
		t.Errorf("path = %s %s, want PathPrefix /", *m.Path.Type, *m.Path.Value)
	}
	if len(m.Headers) != 1 || m.Headers[0].Value != "b" {
		t.Errorf("headers = %v, want the first of equivalent names only", m.Headers)
	}
}

func TestObservedGeneration(t *testing.T) {
	g := NewBuilder(Config{Controller: controller}).Build(load(t, class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]")+
		routeYAML("parentRefs: [{name: gw, namespace: web}]")))
	for _, c := range append(g.Gateways[0].Conditions, g.Gateways[0].Listeners[0].Conditions...) {
		if c.ObservedGeneration != 3 {
			t.Errorf("Gateway %s: generation %d, want 3", c.Type, c.ObservedGeneration)
		}
	}
	for _, c := range g.Routes[0].Parents[0].Conditions {
		if c.ObservedGeneration != 5 {
			t.Errorf("route %s: generation %d, want 5", c.Type, c.ObservedGeneration)
		}
	}
}

func TestStale(t *testing.T) {
	const status = "\nstatus: {parents: [{parentRef: {name: gw}, controllerName: gatehouse.dev/gateway, conditions: []}]}\n---\n"
	route := strings.TrimSuffix(routeYAML("parentRefs: [{name: gw, namespace: web}]"), "\n---\n")
	s := load(t, edge+route+status)
	b := NewBuilder(Config{Controller: controller})
	if g := b.Build(s); len(g.Stale) != 0 {
		t.Errorf("stale: %v, want none", g.Stale)
	}
	s.Delete(store.Gateway, types.NamespacedName{Namespace: "web", Name: "gw"})
	want := []TargetKey{{Kind: "HTTPRoute", NamespacedName: types.NamespacedName{Namespace: "shop", Name: "r"}}}
	if g := b.Build(s); !reflect.DeepEqual(g.Stale, want) {
		t.Errorf("stale: %v, want %v", g.Stale, want)
	}
}
