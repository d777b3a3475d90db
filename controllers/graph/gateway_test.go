package graph

import (
	"strings"
	"testing"
)

const class = `
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway}
---
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
---
`

// gatewayYAML is Gateway web/gw with a spec in flow form.
func gatewayYAML(spec string) string {
	return "kind: Gateway\nmetadata: {name: gw, namespace: web, generation: 3}\nspec: {gatewayClassName: gatehouse, " + spec + "}\n---\n"
}

// expect builds a cluster and looks for lines, or parts of lines, in order.
func expect(t *testing.T, name, cluster string, want ...string) {
	t.Helper()
	got := text(NewBuilder(Config{Controller: controller, Addresses: []string{"192.0.2.1"}}).Build(load(t, cluster)))
	rest := got
	for _, w := range want {
		at := strings.Index(rest, w)
		if at < 0 {
			t.Errorf("%s: no %q in order in\n%s", name, w, got)
			return
		}
		rest = rest[at+len(w):]
	}
}

func TestClass(t *testing.T) {
	expect(t, "ours", class, "class gatehouse Accepted=True/Accepted\n")
	expect(t, "parameters", `
kind: GatewayClass
metadata: {name: c}
spec: {controllerName: gatehouse.dev/gateway, parametersRef: {group: "", kind: ConfigMap, name: p}}
---
kind: Gateway
metadata: {name: gw, namespace: web}
spec: {gatewayClassName: c, listeners: [{name: a, port: 80, protocol: HTTP}]}
`, "class c Accepted=False/InvalidParameters", "spec.parametersRef: ConfigMap of group \"\" is not supported; name a GatewayParameters of group gatehouse.dev",
		"gateway web/gw Accepted=Unknown/Pending Programmed=Unknown/Pending", "serves=false", "Programmed=False/Invalid")
	f := func(bundle, want string) {
		t.Helper()
		if got := text(NewBuilder(Config{Controller: controller, Bundle: bundle}).Build(load(t, class))); !strings.Contains(got, want) {
			t.Errorf("bundle %q: got %s, want %s", bundle, got, want)
		}
	}
	f("v1.6.3", "SupportedVersion=True/SupportedVersion")
	f("v1.2.0", "Accepted=True/Accepted SupportedVersion=False/UnsupportedVersion")
}

func TestGateway(t *testing.T) {
	http := "{name: a, port: 80, protocol: HTTP}"
	f := func(name, spec string, want ...string) {
		t.Helper()
		expect(t, name, class+gatewayYAML(spec), want...)
	}
	f("plain", "listeners: ["+http+"]",
		"gateway web/gw Accepted=True/Accepted Programmed=True/Programmed",
		"listener a :80 serves=true routes=0 certs=0 kinds=2 Accepted=True/Accepted Conflicted=False/NoConflicts ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed")
	f("an address", "addresses: [{value: 192.0.2.9}], listeners: ["+http+"]", "Programmed=True", "listener a 192.0.2.9:80 serves=true")
	f("a hostname address", "addresses: [{type: Hostname, value: a.example}], listeners: ["+http+"]",
		"Accepted=False/UnsupportedAddress Programmed=False/Invalid", "spec.addresses[0].type: Hostname is not supported", "serves=false")
	f("no address value", "addresses: [{type: IPAddress}], listeners: ["+http+"]", "Accepted=True/Accepted Programmed=False/AddressNotAssigned", "serves=false")
	f("bad address", "addresses: [{value: 192.0.2.300}], listeners: ["+http+"]", "Accepted=True/Accepted Programmed=False/AddressNotUsable", "serves=false")
	f("two addresses", "addresses: [{value: 192.0.2.3}, {value: 192.0.2.4}], listeners: ["+http+"]", "Programmed=False/AddressNotUsable", "serves=false")
	f("parameters", "infrastructure: {parametersRef: {group: x, kind: P, name: p}}, listeners: ["+http+"]", "Accepted=False/InvalidParameters", "serves=false")
	f("backend tls", "tls: {backend: {clientCertificateRef: {name: c}}}, listeners: ["+http+"]", "Accepted=True/Accepted", "ResolvedRefs=False/InvalidClientCertificateRef", "serves=true")
	f("all bad", "listeners: [{name: a, port: 80, protocol: example.org/SCTP}]",
		"Accepted=False/ListenersNotValid Programmed=False/Invalid", "kinds=0 Accepted=False/UnsupportedProtocol", "Programmed=False/Invalid",
		"spec.listeners[0].protocol: example.org/SCTP is not supported; use HTTP, HTTPS, TLS, TCP or UDP")
	f("some bad", "listeners: ["+http+", {name: b, port: 81, protocol: example.org/SCTP}]", "Accepted=True/ListenersNotValid Programmed=True/Programmed",
		"listener a :80 serves=true", "listener b :81 serves=false")
	expect(t, "not ours", class+"kind: Gateway\nmetadata: {name: gw, namespace: web}\nspec: {gatewayClassName: other, listeners: []}", "class gatehouse Accepted=True/Accepted\n")
}

func TestListenerConflicts(t *testing.T) {
	f := func(name, listeners string, want ...string) {
		t.Helper()
		expect(t, name, class+gatewayYAML("listeners: ["+listeners+"]"), want...)
	}
	f("hostname", "{name: a, port: 80, protocol: HTTP, hostname: A.example}, {name: b, port: 80, protocol: HTTP, hostname: a.example}, {name: c, port: 80, protocol: HTTP}",
		"gateway web/gw Accepted=True/ListenersNotValid",
		"listener a :80 serves=false routes=0 certs=0 kinds=2 Accepted=False/HostnameConflict Conflicted=True/HostnameConflict",
		"listener b :80 serves=false routes=0 certs=0 kinds=2 Accepted=False/HostnameConflict Conflicted=True/HostnameConflict",
		"listener c :80 serves=true")
	f("protocol", "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTPS, hostname: b, tls: {certificateRefs: [{name: x}]}}",
		"Accepted=False/ListenersNotValid", "listener a :80 serves=false", "Conflicted=True/ProtocolConflict", "listener b", "Conflicted=True/ProtocolConflict")
	f("TCP and UDP of one number", "{name: a, port: 53, protocol: TCP}, {name: b, port: 53, protocol: UDP}", "listener a :53 serves=true", "listener b :53 serves=true")
	f("TCP beside HTTP", "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: TCP}",
		"listener a :80 serves=false", "Conflicted=True/ProtocolConflict", "listener b", "Conflicted=True/ProtocolConflict")
	f("TCP twice", "{name: a, port: 80, protocol: TCP}, {name: b, port: 80, protocol: TCP}", "listener a :80 serves=false", "listener b :80 serves=false")
	f("TLS of two names", "{name: a, port: 443, protocol: TLS, hostname: a.example, tls: {mode: Passthrough}}, {name: b, port: 443, protocol: TLS, hostname: b.example, tls: {mode: Passthrough}}",
		"listener a :443 serves=true", "listener b :443 serves=true")
	f("TLS and HTTPS of one name", "{name: a, port: 443, protocol: TLS, hostname: a.example, tls: {mode: Passthrough}}, {name: b, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: x}]}}",
		"listener a :443 serves=false", "Conflicted=True/ProtocolConflict", "listener b", "Conflicted=True/ProtocolConflict")
	f("with a protocol nobody serves", "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: example.org/SCTP}",
		"listener a :80 serves=true", "listener b :80 serves=false routes=0 certs=0 kinds=0 Accepted=False/UnsupportedProtocol Conflicted=False")
}

func TestGatewaysShareTheMachine(t *testing.T) {
	f := func(name, young string, want ...string) {
		t.Helper()
		expect(t, name, class+`
kind: Gateway
metadata: {name: z-old, namespace: web, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {gatewayClassName: gatehouse, listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.example}]}
---
kind: Gateway
metadata: {name: a-new, namespace: web, creationTimestamp: "2026-01-02T00:00:00Z"}
spec: {gatewayClassName: gatehouse, `+young+`}
`, want...)
	}
	f("another host", "listeners: [{name: a, port: 80, protocol: HTTP, hostname: b.example}]", "a-new Accepted=True", "serves=true", "z-old Accepted=True", "serves=true")
	f("the same host", "listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.example}]",
		"a-new Accepted=False/ListenersNotValid", "serves=false routes=0 certs=0 kinds=2 Accepted=False/PortUnavailable",
		"spec.listeners[0].port: the older Gateway listener web/z-old/a has port 80", "z-old Accepted=True", "serves=true")
	f("another protocol", "listeners: [{name: a, port: 80, protocol: HTTPS, hostname: b.example, tls: {certificateRefs: [{name: x}]}}]", "PortUnavailable", "z-old", "serves=true")
	f("its own address, but all are taken", "addresses: [{value: 192.0.2.7}], listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.example}]", "PortUnavailable")
	f("refused anyway", "addresses: [{type: Hostname}], listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.example}]", "UnsupportedAddress", "z-old", "serves=true")
}

func TestListenerTLS(t *testing.T) {
	secrets := tlsSecret(t, "web", "good") + "---" + tlsSecret(t, "certs", "far") + `---
kind: Secret
metadata: {name: opaque, namespace: web}
type: Opaque
---
kind: Secret
metadata: {name: empty, namespace: web}
type: kubernetes.io/tls
---
kind: Secret
metadata: {name: junk, namespace: web}
type: kubernetes.io/tls
data: {tls.crt: YQ==, tls.key: YQ==}
---
`
	grant := func(from, to string) string {
		return "kind: ReferenceGrant\nmetadata: {name: g, namespace: certs}\nspec: {from: [{group: gateway.networking.k8s.io, kind: " + from +
			", namespace: web}], to: [{group: '', kind: Secret" + to + "}]}\n---\n"
	}
	f := func(name, tls, extra string, want ...string) {
		t.Helper()
		expect(t, name, class+secrets+extra+gatewayYAML("listeners: [{name: a, port: 443, protocol: HTTPS"+tls+"}]"), want...)
	}
	refs := func(refs string) string { return ", tls: {certificateRefs: [" + refs + "]}" }
	f("good", refs("{name: good}"), "", "Accepted=True/Accepted Programmed=True", "serves=true routes=0 certs=1", "ResolvedRefs=True")
	f("one of two", refs("{name: good}, {name: gone}"), "", "Accepted=True/Accepted", "serves=true routes=0 certs=1", "ResolvedRefs=False/InvalidCertificateRef", "Programmed=True",
		"spec.listeners[0].tls.certificateRefs[1]: Secret web/gone does not exist")
	f("no tls", "", "", "Accepted=False/ListenersNotValid", "Accepted=False/UnsupportedValue")
	f("no refs", ", tls: {mode: Terminate}", "", "Accepted=True/Accepted Conflicted=False/NoConflicts ResolvedRefs=False/InvalidCertificateRef Programmed=False/Invalid")
	f("passthrough", ", tls: {mode: Passthrough}", "", "Accepted=False/UnsupportedValue", "spec.listeners[0].tls.mode: Passthrough does not go with HTTPS; use Terminate")
	f("missing", refs("{name: gone}"), "", "serves=false", "ResolvedRefs=False/InvalidCertificateRef", "does not exist")
	f("wrong type", refs("{name: opaque}"), "", "InvalidCertificateRef", "is of type \"Opaque\"; it must be of type kubernetes.io/tls")
	f("no data", refs("{name: empty}"), "", "InvalidCertificateRef", "must have data under tls.crt and tls.key")
	f("junk", refs("{name: junk}"), "", "InvalidCertificateRef", "holds no usable certificate and key")
	f("wrong kind", refs("{kind: ConfigMap, name: good}"), "", "InvalidCertificateRef", "only a Secret of the core group")
	f("wrong group", refs("{group: x, name: good}"), "", "InvalidCertificateRef")
	far := refs("{name: far, namespace: certs}")
	f("far", far, "", "serves=false", "ResolvedRefs=False/RefNotPermitted", "no ReferenceGrant in namespace certs lets Gateways of namespace web use Secret far")
	f("far and granted", far, grant("Gateway", ""), "serves=true routes=0 certs=1")
	f("far and granted by name", far, grant("Gateway", ", name: far"), "serves=true")
	f("another is granted", far, grant("Gateway", ", name: near"), "RefNotPermitted")
	f("granted to routes", far, grant("HTTPRoute", ""), "RefNotPermitted")
	expect(t, "client certificates", class+secrets+gatewayYAML("tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}, "+
		"listeners: [{name: a, port: 443, protocol: HTTPS"+refs("{name: good}")+"}, {name: b, port: 80, protocol: HTTP}]"),
		"listener a :443 serves=false", "Accepted=False/NoValidCACertificate", "ResolvedRefs=False/InvalidCACertificateRef", "listener b :80 serves=true")
	expect(t, "overlap", class+secrets+gatewayYAML("listeners: [{name: a, port: 443, protocol: HTTPS, hostname: '*.example'"+refs("{name: good}")+
		"}, {name: b, port: 443, protocol: HTTPS, hostname: b.example"+refs("{name: good}")+"}, {name: c, port: 443, protocol: HTTPS, hostname: c.test"+refs("{name: good}")+"}]"),
		"listener a", "OverlappingTLSConfig=True/OverlappingCertificates", "listener b", "OverlappingTLSConfig=True", "listener c", "OverlappingTLSConfig=True")
}

func TestListenerKinds(t *testing.T) {
	f := func(name, kinds string, want ...string) {
		t.Helper()
		expect(t, name, class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: ["+kinds+"]}}]"), want...)
	}
	f("ours", "{kind: HTTPRoute}", "kinds=1", "ResolvedRefs=True")
	f("gRPC", "{kind: GRPCRoute}", "kinds=1", "ResolvedRefs=True")
	f("both, twice", "{kind: GRPCRoute}, {kind: HTTPRoute}, {kind: GRPCRoute}", "kinds=2", "ResolvedRefs=True")
	f("another", "{kind: TCPRoute}", "kinds=0", "ResolvedRefs=False/InvalidRouteKinds", "spec.listeners[0].allowedRoutes.kinds[0]: TCPRoute is not supported")
	f("another too", "{kind: TCPRoute}, {kind: HTTPRoute}", "serves=true", "kinds=1", "ResolvedRefs=False/InvalidRouteKinds")
	f("another group", "{group: x, kind: HTTPRoute}", "kinds=0", "InvalidRouteKinds")
	expect(t, "bad selector", class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {'a b': c}}}}}]"),
		"serves=false", "Accepted=False/UnsupportedValue", "spec.listeners[0].allowedRoutes.namespaces.selector")
}
