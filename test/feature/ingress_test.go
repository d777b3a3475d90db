package feature

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// IngressBase is what Ingresses start from: their class, and Services "api",
// "other" and "site" in namespace shop.
const IngressBase = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: gatehouse}
spec: {controller: gatehouse.dev/ingress-controller}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {ports: [{name: web, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: site, namespace: shop}
spec: {ports: [{name: web, port: 80}]}
---
`

// The listeners of Ingresses.
const (
	ingressHTTP  = "gatehouse-system/ingress:gatehouse/http"
	ingressHTTPS = "gatehouse-system/ingress:gatehouse/https-"
)

// ingress is an Ingress of namespace shop.
func ingress(name, annotations, spec string) string {
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %s, namespace: shop, annotations: {%s}}\nspec:\n  ingressClassName: gatehouse\n%s\n---\n",
		name, annotations, spec)
}

// The table of the Ingress documentation, "Examples" of path types and of hosts.
func TestIngressPaths(t *testing.T) {
	t.Parallel()
	w := Start(t, IngressBase)
	asks := func(url, want string) {
		t.Helper()
		a := w.Over(w.Client(ingressHTTP), "GET "+url, "")
		if got := strings.TrimPrefix(a.Seen().Service, "shop/"); got != want {
			t.Errorf("%s went to %q with %d, want %q", url, got, a.Status, want)
		}
	}
	for _, c := range []struct {
		kind, path, request string
		want                bool
	}{
		{"Prefix", "/", "/any/thing", true},
		{"Exact", "/foo", "/foo", true},
		{"Exact", "/foo", "/bar", false},
		{"Exact", "/foo", "/foo/", false},
		{"Exact", "/foo/", "/foo", false},
		{"Prefix", "/foo", "/foo", true},
		{"Prefix", "/foo", "/foo/", true},
		{"Prefix", "/foo/", "/foo", true},
		{"Prefix", "/foo/", "/foo/", true},
		{"Prefix", "/aaa/bb", "/aaa/bbb", false},
		{"Prefix", "/aaa/bbb", "/aaa/bbb", true},
		{"Prefix", "/aaa/bbb/", "/aaa/bbb", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbb/", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbb/ccc", true},
		{"Prefix", "/aaa/bbb", "/aaa/bbbxyz", false},
		{"ImplementationSpecific", "", "/aaa", true},
		{"ImplementationSpecific", "/aaa", "/aaa/b", true},
	} {
		w.Apply(ingress("a", "", fmt.Sprintf("  rules: [{http: {paths: [{path: %q, pathType: %s, backend: {service: {name: api, port: {name: web}}}}]}}]", c.path, c.kind)))
		want := ""
		if c.want {
			want = "api"
		}
		asks("http://x"+c.request, want)
	}
	// Precedence: exact hosts before wildcards, exact paths before prefixes, long ones first; the default backend last.
	w.Apply(ingress("a", "", `
  defaultBackend: {service: {name: site, port: {number: 80}}}
  rules:
  - host: a.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}
      - {path: /v1, pathType: Exact, backend: {service: {name: other, port: {number: 8080}}}}
      - {path: /v1/long, pathType: Prefix, backend: {service: {name: other, port: {name: web}}}}
  - host: "*.example.com"
    http:
      paths: [{path: /v1, pathType: Prefix, backend: {service: {name: other, port: {number: 8080}}}}]
`))
	asks("http://a.example.com/", "api")
	asks("http://A.EXAMPLE.com:80/v1", "other")
	asks("http://a.example.com/v1/", "api")
	asks("http://a.example.com/v1/long/er", "other")
	asks("http://b.example.com/v1/x", "other")
	asks("http://b.example.com:8443/v1/x", "other")
	asks("http://b.example.com/v2", "site")
	asks("http://c.b.example.com/v1", "site") // a wildcard is one label
	asks("http://example.com/v1", "site")
	asks("http://else/", "site")
	w.Delete(ingress("a", "", "  defaultBackend: {}"))
	if w.Server.Addr(ingressHTTP) != nil {
		t.Error("the port is open without an Ingress")
	}
}

// Each host has its certificate; HTTP is redirected where the annotation says so.
func TestIngressTLS(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	const rules = `
  - host: %s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %s, port: {number: %d}}}}]}
`
	w := Start(t, IngressBase+ca.Secret("a", "a.example.com")+ca.Secret("wild", "*.example.org")+
		ingress("a", "", "  tls: [{hosts: [a.example.com], secretName: a}]\n  rules:"+fmt.Sprintf(rules, "a.example.com", "api", 80))+
		ingress("b", `gatehouse.dev/ssl-redirect: "true"`, "  tls: [{hosts: ['*.example.org'], secretName: wild}]\n  rules:"+
			fmt.Sprintf(rules, "b.example.org", "other", 8080)+fmt.Sprintf(rules, "plain.example.net", "site", 80)))
	over := func(listener, url string) Answer {
		t.Helper()
		config := ca.Trusted()
		return w.Over(w.Client(listener, TLS(config), func(t *http.Transport) { t.ForceAttemptHTTP2 = true }), "GET "+url, "")
	}
	if a := over(ingressHTTPS+"a.example.com", "https://a.example.com/x"); a.Seen().Service != "shop/api" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := over(ingressHTTPS+"a.example.com", "https://b.example.org/x"); a.Seen().Service != "shop/other" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.Over(w.Client(ingressHTTP), "GET http://a.example.com/x", ""); a.Seen().Service != "shop/api" {
		t.Errorf("HTTP is redirected without the annotation: %d", a.Status)
	}
	if a := w.Over(w.Client(ingressHTTP), "GET http://b.example.org/x?y=z", ""); a.Status != 308 || a.Header.Get("Location") != "https://b.example.org/x?y=z" {
		t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
	}
	if a := w.Over(w.Client(ingressHTTP), "GET http://plain.example.net/", ""); a.Seen().Service != "shop/site" {
		t.Errorf("a host without TLS is redirected: %d", a.Status)
	}
	// A Secret that is no certificate any more closes its host's TLS, and nothing else.
	g := w.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: shop}\ntype: kubernetes.io/tls\ndata: {tls.crt: eA==, tls.key: eA==}\n---\n")
	var faults []string
	for _, in := range g.Ingresses {
		for _, f := range in.Faults {
			faults = append(faults, in.Object.Name+" "+f.Reason+" "+f.Text)
		}
	}
	if len(faults) != 1 || !strings.HasPrefix(faults[0], "a InvalidCertificateRef spec.tls[0].secretName: Secret shop/a holds no usable certificate") {
		t.Errorf("%q", faults)
	}
	if a := over(ingressHTTPS+"*.example.org", "https://b.example.org/x"); a.Seen().Service != "shop/other" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if _, err := Fetch(w.Client(ingressHTTPS+"*.example.org", TLS(ca.Trusted())), "GET https://a.example.com/", ""); err == nil {
		t.Error("a host without a certificate is served over TLS")
	}
}

// A policy reaches an Ingress that it targets, but not where it only redirects.
func TestIngressPolicy(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	const rules = "  tls: [{hosts: [a.example.com], secretName: a}]\n  rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]"
	w := Start(t, IngressBase+ca.Secret("a", "a.example.com")+ingress("a", `gatehouse.dev/ssl-redirect: "true"`, rules)+
		ingress("b", "", "  rules: [{host: b.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]")+`
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: closed, namespace: shop}
spec:
  targetRefs: [{group: networking.k8s.io, kind: Ingress, name: a}]
  rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {x: z}}}}}}
---
`)
	if a := w.Over(w.Client(ingressHTTPS+"a.example.com", TLS(ca.Trusted())), "GET https://a.example.com/", ""); a.Status != 401 {
		t.Errorf("%d", a.Status)
	}
	if a := w.Over(w.Client(ingressHTTP), "GET http://a.example.com/", ""); a.Status != 308 {
		t.Errorf("%d", a.Status)
	}
	if a := w.Over(w.Client(ingressHTTP), "GET http://b.example.com/", ""); a.Status != 200 {
		t.Errorf("%d", a.Status)
	}
}
