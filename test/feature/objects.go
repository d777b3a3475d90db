package feature

import (
	"fmt"
	"strings"
)

// Service is a Service "shop/<name>" with an echoing backend behind it.
func Service(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec: {ports: [{port: 80}]}\n---\n", name)
}

// Gateway is a Gateway "shop/<name>" with the listeners given, each a YAML flow mapping.
func Gateway(name string, listeners ...string) string {
	return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: %s, namespace: shop}\nspec:\n"+
		"  gatewayClassName: gatehouse\n  listeners:\n  - %s\n---\n", name, strings.Join(listeners, "\n  - "))
}

// HostRoute is Route for some hosts: "a.example, b.example".
func HostRoute(name, hosts string, rules ...string) string {
	return strings.Replace(Route(name, rules...), "spec:\n", "spec:\n  hostnames: ["+hosts+"]\n", 1)
}

// OnListener is a route's YAML with its parentRef narrowed to a listener.
func OnListener(listener, route string) string {
	return strings.Replace(route, "{name: edge}", "{name: edge, sectionName: "+listener+"}", 1)
}

// Policy is a policy "shop/<name>" of a kind. target is "Gateway/edge",
// "HTTPRoute/all" or, with a section, "HTTPRoute/all/rule"; spec is the rest of
// the spec, lines of a YAML block mapping. Policies are as old as their names
// are early in the alphabet.
func Policy(kind, name, target, spec string) string {
	part := append(strings.SplitN(target, "/", 3), "")
	section := ""
	if part[2] != "" {
		section = ", sectionName: " + part[2]
	}
	age := fmt.Sprintf("2026-01-%02dT00:00:00Z", 1+(name[0]-'a')%26)
	return fmt.Sprintf("apiVersion: gatehouse.dev/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: shop, creationTimestamp: %q}\nspec:\n"+
		"  targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s%s}]\n  %s\n---\n",
		kind, name, age, part[0], part[1], section, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

// Auth is an AuthPolicy.
func Auth(name, target, spec string) string { return Policy("AuthPolicy", name, target, spec) }

// Validation is a ValidationPolicy.
func Validation(name, target, spec string) string {
	return Policy("ValidationPolicy", name, target, spec)
}
