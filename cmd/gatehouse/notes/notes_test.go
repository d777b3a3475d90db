package notes_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/demo"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/notes"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// served is a folder in which everything is as it was meant.
const served = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ours}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: ours
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: localhost, tls: {certificateRefs: [{name: cert}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: site, port: 80}, {name: site, port: 81}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: t, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: site, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: site, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: site-1, namespace: shop, labels: {kubernetes.io/service-name: site}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
ports: [{port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: site, sectionName: https}]
  validation: {hostname: site.example, wellKnownCACertificates: System}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: shape, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: site}]
`

func TestNotes(t *testing.T) {
	r, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	d, err := demo.Pretend([]*corev1.Service{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	of := func(text string, now time.Time) string {
		ms, problems := r.Parse("m.yaml", []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		objects := []controllers.Object{d.Secret("shop", "cert")}
		for _, m := range ms {
			objects = append(objects, m.Object)
		}
		var out []string
		for _, p := range notes.Of(objects, now) {
			out = append(out, p.String())
		}
		return strings.Join(out, "\n")
	}
	if got := of(served, time.Now()); got != "" {
		t.Errorf("of what is meant: %s", got)
	}
	for _, c := range [][3]string{
		{"[{name: edge}]\n  rules: [{backendRefs: [{name: site, port: 80}, ", "[{name: egde}]\n  rules: [{backendRefs: [{name: site, port: 80}, ", "HTTPRoute shop/r: spec.parentRefs[0]: there is no Gateway shop/egde here; it is not served there"},
		{"[{name: edge}]\n  rules: [{backendRefs: [{name: site, port: 80}]}]", "[{name: edge, kind: Gatway}]\n  rules: [{backendRefs: [{name: site, port: 80}]}]", "TCPRoute shop/t: spec.parentRefs[0].kind: Gatway is no kind that takes routes; use Gateway or ListenerSet"},
		{"  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{name: site, port: 80}]}]", "  rules: [{backendRefs: [{name: site, port: 80}]}]", "TCPRoute shop/t: spec.parentRefs: it names no Gateway; it is not served"},
		{"  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{name: site, port: 80}]}]", "  useDefaultGateways: All\n  rules: [{backendRefs: [{name: site, port: 80}]}]", "TCPRoute shop/t: spec.useDefaultGateways: no Gateway here has spec.defaultScope All; it is not served"},
		{"gatewayClassName: ours", "gatewayClassName: theirs", "Gateway shop/edge: spec.gatewayClassName: there is no GatewayClass theirs here; it is not served"},
		{"service-name: site", "service-name: sight", "Service shop/site: no EndpointSlice of its namespace has the label kubernetes.io/service-name: site; requests for it are answered 503"},
		{", labels: {kubernetes.io/service-name: site}", "", "EndpointSlice shop/site-1: metadata.labels: without the label kubernetes.io/service-name it is of no Service\nService shop/site: no EndpointSlice of its namespace has the label kubernetes.io/service-name: site; requests for it are answered 503"},
		{"name: site, sectionName: https", "name: sight", "BackendTLSPolicy shop/tls: spec.targetRefs[0]: there is no Service shop/sight here; it changes nothing there"},
		{"[{group: '', kind: Service, name: site}]", "[{group: '', kind: Service, name: sight}]", "XBackendTrafficPolicy shop/shape: spec.targetRefs[0]: there is no Service shop/sight here; it changes nothing there"},
		{"addresses: [192.0.2.1]", "addresses: ['2001:db8::1', localhost]", `EndpointSlice shop/site-1: endpoints[0].addresses[1]: "localhost" is no IP address; nothing is sent there`},
		{"addressType: IPv4\nendpoints: [{addresses: [192.0.2.1]}]", "addressType: FQDN\nendpoints: [{addresses: [a.example]}]", "EndpointSlice shop/site-1: addressType: names are not looked up, so that nothing is sent there; write IP addresses, or an XBackend"},
		{"kind: EndpointSlice\nmetadata: {name: site-1, namespace: shop, labels: {kubernetes.io/service-name: site}}\naddressType: IPv4\nendpoints: [{addresses: [192.0.2.1]}]\nports: [{port: 80}]\n", "kind: Elsewhere\n", ""},
	} {
		if !strings.Contains(served, c[0]) {
			t.Fatalf("no %q", c[0])
		}
		if got := of(strings.Replace(served, c[0], c[1], 1), time.Now()); got != c[2] {
			t.Errorf("%s\n got %s\nwant %s", c[1], got, c[2])
		}
	}
	defaulted := strings.NewReplacer("  gatewayClassName: ours\n", "  gatewayClassName: ours\n  defaultScope: All\n", "  parentRefs: [{name: edge}]\n", "  useDefaultGateways: All\n").Replace(served)
	if got := of(defaulted, time.Now()); got != "" {
		t.Errorf("of routes of a default Gateway: %s", got)
	}
	const at = "Gateway shop/edge: spec.listeners[0].tls.certificateRefs[0]: the certificate of Secret shop/cert "
	if got := of(served, time.Now().AddDate(100, 0, 0)); !strings.HasPrefix(got, at+"ended on ") {
		t.Errorf("of an old certificate: %s", got)
	}
	if got := of(strings.Replace(served, "hostname: localhost", "hostname: '*.shop.example'", 1), time.Now()); !strings.HasPrefix(got, at+"is not for *.shop.example; it is for ") {
		t.Errorf("of another's certificate: %s", got)
	}
}
