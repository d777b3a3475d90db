package graph

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

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
  - {name: ws, port: 81, appProtocol: kubernetes.io/ws}
  - {name: h2c, port: 82, appProtocol: kubernetes.io/h2c}
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

func TestBackends(t *testing.T) {
	f := func(name, refs, extra string, want ...string) {
		t.Helper()
		expect(t, name, edge+extra+routeYAML("parentRefs: [{name: gw, namespace: web}], rules: [{backendRefs: ["+refs+"]}]"), want...)
	}
	f("good", "{name: api, port: 80}", "", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs", "1*shop/api:80\n")
	f("websocket", "{name: api, port: 81, weight: 0}", "", "ResolvedRefs=True", "0*shop/api:81\n")
	f("h2c", "{name: api, port: 82}", "", "ResolvedRefs=True")
	f("no service", "{name: gone, port: 80}", "", "routes=1", "Accepted=True/Accepted ResolvedRefs=False/BackendNotFound",
		"spec.rules[0].backendRefs[0]: Service shop/gone does not exist", "1*shop/gone:80!\n")
	f("no such port", "{name: api, port: 80}, {name: api, port: 8081}", "", "ResolvedRefs=False/BackendNotFound",
		"spec.rules[0].backendRefs[1]: Service shop/api has no port 8081; it has 80, 443, 81, 82\n", "1*shop/api:80 1*shop/api:8081!\n")
	f("udp port", "{name: api, port: 53}", "", "BackendNotFound")
	f("no port", "{name: api}", "", "ResolvedRefs=False/BackendNotFound", "spec.rules[0].backendRefs[0].port: is missing; Service shop/api has 80, 443, 81, 82")
	f("tls", "{name: api, port: 443}", "", "ResolvedRefs=False/UnsupportedProtocol", `has appProtocol "https"; give the Service a BackendTLSPolicy, which says whom to trust`)
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
	rules := func(name, rules string, want ...string) {
		t.Helper()
		expect(t, name, edge+routeYAML("parentRefs: [{name: gw, namespace: web, sectionName: open}], rules: ["+rules+"]"), want...)
	}
	rules("one of two", "{filters: [{type: Later}]}, {}", "routes=1", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs PartiallyInvalid=True/UnsupportedValue",
		"PartiallyInvalid: Dropped Rule: spec.rules[0].filters[0].type", "rule 0 matches=1 broken", "rule 1 matches=1\n")
	rules("all, not counted", "{filters: [{type: Later}]}", "listener open :80 serves=true routes=0", "parent web/gw open[*] Accepted=False/UnsupportedValue", "broken")
	rules("only its bad match is gone", "{matches: [{path: {type: Glob}}, {method: GET}]}", "rule 0 matches=1 broken")
	rules("same name", "{name: a}, {name: a}", "PartiallyInvalid=True", "spec.rules[1].name: spec.rules[0] is named a too")
	rules("extension", "{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: Y, name: z}}]}", "Accepted=False/UnsupportedValue ResolvedRefs=False/InvalidKind", "broken")
	rules("too many", strings.Repeat("{},", 17), "Accepted=False/UnsupportedValue", "spec.rules: has 17 entries, 16 are allowed")
	rules("too many matches", "{matches: ["+strings.Repeat("{},", 129)+"]}", "spec.rules: have 129 matches together, 128 are allowed")
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
	want := []ObjectKey{{Kind: "HTTPRoute", NamespacedName: types.NamespacedName{Namespace: "shop", Name: "r"}}}
	if g := b.Build(s); !reflect.DeepEqual(g.Stale, want) {
		t.Errorf("stale: %v, want %v", g.Stale, want)
	}
}
