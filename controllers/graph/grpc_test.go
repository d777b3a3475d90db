package graph

import (
	"strings"
	"testing"
)

func grpcYAML(name, age, spec string) string {
	return "kind: GRPCRoute\nmetadata: {name: " + name + ", namespace: shop, generation: 5, creationTimestamp: '" + age + "'}\nspec: {parentRefs: [{name: gw, namespace: web, sectionName: open}], " + spec + "}\n---\n"
}

const (
	early = "2026-01-01T00:00:00Z"
	late  = "2026-02-01T00:00:00Z"
)

func TestGRPCRoute(t *testing.T) {
	f := func(name, spec string, want ...string) {
		t.Helper()
		expect(t, name, edge+grpcYAML("g", early, spec), want...)
	}
	f("good", "hostnames: [g.example], rules: [{matches: [{method: {service: a.B, method: C}}], backendRefs: [{name: api, port: 80}]}]",
		"listener open :80 serves=true routes=1", "parent web/gw open[g.example] Accepted=True/Accepted ResolvedRefs=True", "rule 0 matches=1 1*shop/api:80\n")
	f("service", "rules: [{matches: [{method: {service: a/b, method: C}}], backendRefs: [{name: api, port: 80}]}]",
		"Accepted=False/UnsupportedValue", `spec.rules[0].matches[0].method: "a/b/C" is not a service and method`)
	f("regex", "rules: [{matches: [{method: {type: RegularExpression, service: '('}}], backendRefs: [{name: api, port: 80}]}]",
		"Accepted=False/UnsupportedValue", "spec.rules[0].matches[0].method.value: not a regular expression")
	f("type", "rules: [{matches: [{method: {type: Prefix, service: a}}], backendRefs: [{name: api, port: 80}]}]",
		"Accepted=False/UnsupportedValue", "spec.rules[0].matches[0].method.type: \"Prefix\" is not supported; use Exact or RegularExpression")
	f("filter", "rules: [{filters: [{type: URLRewrite}], backendRefs: [{name: api, port: 80}]}]",
		"Accepted=False/UnsupportedValue", "spec.rules[0].filters[0].type: \"URLRewrite\" is not supported; use RequestHeaderModifier, ResponseHeaderModifier, RequestMirror")
	f("grant", "rules: [{backendRefs: [{name: pay, namespace: bank, port: 80}]}]",
		"ResolvedRefs=False/RefNotPermitted", "lets GRPCRoutes of namespace shop use Service pay")
}

// TestKindsOfRoute has an HTTPRoute and a GRPCRoute want one host.
func TestKindsOfRoute(t *testing.T) {
	httpRoute := func(name, age, hosts string) string {
		return strings.Replace(grpcYAML(name, age, "hostnames: ["+hosts+"], rules: [{backendRefs: [{name: api, port: 80}]}]"), "GRPCRoute", "HTTPRoute", 1)
	}
	grpcRoute := func(name, age, hosts string) string {
		return grpcYAML(name, age, "hostnames: ["+hosts+"], rules: [{backendRefs: [{name: api, port: 80}]}]")
	}
	f := func(name, routes string, want ...string) {
		t.Helper()
		expect(t, name, edge+routes, want...)
	}
	f("apart", httpRoute("h", late, "h.example")+grpcRoute("g", early, "g.example"),
		"listener open :80 serves=true routes=2", "route shop/h", "open[h.example] Accepted=True", "route shop/g", "open[g.example] Accepted=True")
	f("the older gRPC", httpRoute("h", late, "a.example")+grpcRoute("g", early, "a.example"),
		"listener open :80 serves=true routes=1", "route shop/h", "parent web/gw Accepted=False/NotAllowedByListeners",
		"spec.hostnames: GRPCRoute shop/g has one of them on Gateway web/gw, and is older", "route shop/g", "open[a.example] Accepted=True")
	f("the older HTTP", httpRoute("h", early, "'*.example'")+grpcRoute("g", late, "a.example"),
		"route shop/h", "open[*.example] Accepted=True", "route shop/g", "Accepted=False/NotAllowedByListeners")
	f("by name", httpRoute("b", early, "a.example")+grpcRoute("a", early, "a.example"),
		"route shop/b", "Accepted=False/NotAllowedByListeners", "route shop/a", "Accepted=True")
	f("three", httpRoute("h", "2026-03-01T00:00:00Z", "a.example")+grpcRoute("g", early, "a.example")+grpcRoute("g2", late, "a.example"),
		"route shop/h", "Accepted=False", "route shop/g", "Accepted=True", "route shop/g2", "Accepted=True")
}

// TestKindsOfRouteAgain checks that what has lost keeps its node while nothing changes.
func TestKindsOfRouteAgain(t *testing.T) {
	s := load(t, edge, strings.Replace(grpcYAML("h", late, "rules: [{backendRefs: [{name: api, port: 80}]}]"), "GRPCRoute", "HTTPRoute", 1), grpcYAML("g", early, "rules: []"))
	b := NewBuilder(Config{Controller: controller})
	first := b.Build(s)
	s.Apply(parse(t, "kind: Namespace\nmetadata: {name: other}\n")[0])
	second := b.Build(s)
	for i := range first.Routes {
		if first.Routes[i] != second.Routes[i] {
			t.Errorf("%s is another node", first.Routes[i].Key())
		}
	}
}
