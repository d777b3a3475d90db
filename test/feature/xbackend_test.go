package feature

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// An XBackend (GEP-4894) is reached where DNS says. What DNS said last stands
// while it says nothing.
func TestXBackend(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	at := netip.MustParseAddrPort(strings.TrimPrefix(w.Backend("outside/ai").server.URL, "http://"))
	backend := func(protocol string) string {
		return fmt.Sprintf(`
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: ai, namespace: shop}
spec:
  type: ExternalHostname
  port: {port: %d}
  externalHostname: {hostname: ai.example.com}
  protocol: %s
---
`, at.Port(), protocol)
	}
	route := strings.Replace(Route("r", "{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: ai}]}"), "name: api", "name: ai", 1)
	f := func(when string, status int, service string) {
		t.Helper()
		answer := w.Do("GET http://a.example/x")
		if answer.Status != status || service != "" && answer.Seen().Service != service {
			t.Errorf("%s: got %d %s, want %d from %q", when, answer.Status, answer.Body, status, service)
		}
	}
	w.Apply(route)
	f("there is no such XBackend", 500, "")
	w.Apply(backend("HTTP"))
	f("DNS does not know it", 503, "")
	w.Host("ai.example.com", at.Addr().String())
	w.Until("the name is found", func() bool { return w.Do("GET http://a.example/x").Status == 200 })
	f("found", 200, "outside/ai")
	w.Host("ai.example.com", "")
	f("DNS is away", 200, "outside/ai")
	w.Apply(Route("other", "{matches: [{path: {value: /other}}], backendRefs: [{name: api, port: 80}]}"))
	f("another table, DNS still away", 200, "outside/ai")
	w.Host("ai.example.com", "127.0.0.2")
	w.Until("the name moves", func() bool { return w.Do("GET http://a.example/x").Status != 200 })
	w.Host("ai.example.com", at.Addr().String())
	w.Until("the name moves back", func() bool { return w.Do("GET http://a.example/x").Status == 200 })
	w.Apply(backend("H2C"))
	w.Until("another protocol", func() bool { return w.Do("GET http://a.example/x").Status == 200 })
	w.Apply(backend("MCP"))
	f("a protocol nobody speaks", 500, "")
	w.Delete(backend("HTTP"))
	f("deleted", 500, "")
	w.Apply(backend("HTTP"))
	w.Until("there again", func() bool { return w.Do("GET http://a.example/x").Status == 200 })
	w.Apply(strings.Replace(backend("HTTP"), "ai.example.com", "other.example.com", 1))
	w.Until("another name, which DNS does not know", func() bool { return w.Do("GET http://a.example/x").Status == 503 })
	w.Apply(backend("HTTP"))
	w.Until("the name as before", func() bool { return w.Do("GET http://a.example/x").Status == 200 })
}

// An XBackend says itself whom to trust and what to show, per backend.
func TestXBackendTLS(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	config := ca.Server("ai.example.com")
	config.ClientAuth = tls.RequestClientCert
	config.NextProtos = []string{"h2", "http/1.1"}
	port := secureServer(t, config)
	backend := func(name, protocol, settings string) string {
		return fmt.Sprintf("apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {name: %s, namespace: shop}\n"+
			"spec: {type: ExternalHostname, port: {port: %d}, protocol: %s, externalHostname: {hostname: ai.example.com}, tls: %s}\n---\n", name, port, protocol, settings)
	}
	w := Start(t, Base+Bundle("ca", ca)+Bundle("other", other)+ca.Secret("me", "gatehouse"))
	w.Host("ai.example.com", "127.0.0.1")
	trust := func(bundle string) string {
		return "validation: " + strings.Replace(trusting("ai.example.com", ""), "name: ca", "name: "+bundle, 1)
	}
	var rules []string
	for _, name := range []string{"server", "both", "h2", "foreign", "nosecret"} {
		rules = append(rules, fmt.Sprintf("{matches: [{path: {value: /%[1]s}}], backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: %[1]s}]}", name))
	}
	w.Apply(backend("server", "HTTP", "{mode: ServerOnly, "+trust("ca")+"}") +
		backend("both", "HTTP11", "{mode: ClientAndServer, clientCertificateRef: {name: me}, "+trust("ca")+"}") +
		backend("h2", "HTTP2", "{mode: ServerOnly, "+trust("ca")+"}") +
		backend("foreign", "HTTP", "{mode: ServerOnly, "+trust("other")+"}") +
		backend("nosecret", "HTTP", "{mode: ClientAndServer, clientCertificateRef: {name: gone}, "+trust("ca")+"}") + Route("r", rules...))
	for _, name := range []string{"server", "both", "h2", "foreign"} {
		w.Until("the name of "+name+" is found", func() bool { return w.Do("GET http://shop.example/"+name).Status != 503 })
	}
	w.seen("/server", "ai.example.com HTTP/1.1 -", 200)
	w.seen("/both", "ai.example.com HTTP/1.1 gatehouse", 200)
	w.seen("/h2", "ai.example.com HTTP/2.0 -", 200)
	w.seen("/foreign", "", 502)
	w.seen("/nosecret", "", 500)
}
