package feature

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/migrate"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// migrated is what `gatehouse migrate` makes of the Ingresses among the objects.
func migrated(t *testing.T, yaml string) string {
	t.Helper()
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	all, problems := reader.Parse("ingress.yaml", []byte(yaml))
	for _, p := range problems {
		t.Fatal(p)
	}
	in := migrate.Input{Gateway: types.NamespacedName{Namespace: "shop", Name: "edge"}, Class: "gatehouse"}
	for _, m := range all {
		switch o := m.Object.(type) {
		case *networkingv1.Ingress:
			in.Ingresses = append(in.Ingresses, o)
		case *corev1.Service:
			in.Services = append(in.Services, o)
		}
	}
	out := migrate.Migrate(in)
	text, err := migrate.YAML(out.Objects)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gatewayClass is that of what is migrated.
const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
`

// What is migrated answers as the Ingresses did.
func TestMigratedAnswersTheSame(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	beside := IngressBase + ca.Secret("a", "a.example.com")
	ingresses := ingress("a", `gatehouse.dev/ssl-redirect: "true", nginx.ingress.kubernetes.io/ssl-redirect: "true"`, `
  tls: [{hosts: [a.example.com], secretName: a}]
  rules:
  - host: a.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: api, port: {name: web}}}}
      - {path: /v1, pathType: Exact, backend: {service: {name: other, port: {number: 8080}}}}
      - {path: /v1/long/, pathType: Prefix, backend: {service: {name: other, port: {name: web}}}}
`) + ingress("b", "", `
  rules:
  - host: "*.example.com"
    http: {paths: [{path: /v1, pathType: Prefix, backend: {service: {name: other, port: {number: 8080}}}}]}
  - host: b.example.com
    http: {paths: [{path: /only, pathType: Exact, backend: {service: {name: api, port: {number: 80}}}}]}
`) + ingress("c", "", "  defaultBackend: {service: {name: site, port: {number: 80}}}")
	before := Start(t, beside+ingresses)
	after := Start(t, beside+gatewayClass+migrated(t, beside+ingresses))
	answer := func(w *World, http, https, url string) string {
		c := w.Client(http)
		if url[:5] == "https" {
			c = w.Client(https, TLS(ca.Trusted()))
		}
		a := w.Over(c, "GET "+url, "")
		return fmt.Sprint(a.Status, a.Header.Get("Location"), a.Seen().Service, a.Seen().Path)
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/x", "/v1/long", "/v1/longer", "/v1/long/x?y=z", "/only", "/only/"} {
		for _, base := range []string{"https://a.example.com", "http://a.example.com", "http://b.example.com", "http://c.example.com:8080", "http://d.c.example.com", "http://else"} {
			was := answer(before, ingressHTTP, ingressHTTPS+"a.example.com", base+path)
			if is := answer(after, "shop/edge/http", "shop/edge/https-a.example.com", base+path); is != was {
				t.Errorf("%s: was %s, is %s", base+path, was, is)
			}
		}
	}
}

// The annotations do what ingress-nginx documents of them.
func TestMigratedAnnotations(t *testing.T) {
	t.Parallel()
	const toAPI = `{path: %q, pathType: %s, backend: {service: {name: api, port: {number: 80}}}}`
	one := func(name, annotations, path, kind string) string {
		return ingress(name, annotations, fmt.Sprintf("  rules: [{host: %s.example, http: {paths: [%s]}}]", name, fmt.Sprintf(toAPI, path, kind)))
	}
	ingresses := one("groups", nginx+`rewrite-target: "/$2"`, "/app(/|$)(.*)", "ImplementationSpecific") +
		one("constant", nginx+`rewrite-target: /status`, "/health", "Prefix") +
		one("moved", nginx+`permanent-redirect: "https://new.example$request_uri"`, "/", "Prefix") +
		one("root", nginx+`app-root: /app, `+nginx+`upstream-vhost: internal.example`, "/", "Prefix") +
		one("small", nginx+`proxy-body-size: 1k`, "/", "Prefix") +
		one("near", nginx+`whitelist-source-range: "192.0.2.0/24"`, "/", "Prefix") +
		one("asked", nginx+`auth-url: "http://127.0.0.1:1/"`, "/", "Prefix") +
		one("split", "", "/", "Prefix") +
		ingress("next", nginx+`canary: "true", `+nginx+`canary-by-header: x-next, `+nginx+`canary-by-cookie: next`,
			"  rules: [{host: split.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: other, port: {number: 8080}}}}]}}]")
	w := Start(t, IngressBase+gatewayClass+migrated(t, IngressBase+ingresses))
	ask := func(want, line string, fields ...string) {
		t.Helper()
		body := ""
		if line[:4] == "POST" {
			body = string(make([]byte, 1025))
		}
		a := w.Over(w.Client("shop/edge/http"), line, body, fields...)
		if got := fmt.Sprint(a.Status, a.Header.Get("Location"), a.Seen().Service, a.Seen().Path); got != want {
			t.Errorf("%s %v: got %s, want %s", line, fields, got, want)
		}
	}
	ask("200shop/api/x/y?z=1", "GET http://groups.example/app/x/y?z=1")
	ask("200shop/api/", "GET http://groups.example/app")
	ask("404", "GET http://groups.example/application")
	ask("200shop/api/status", "GET http://constant.example/health/deep")
	ask("301https://new.example/x?y=z", "GET http://moved.example/x?y=z")
	ask("302http://root.example/app", "GET http://root.example/")
	ask("200shop/api/app", "GET http://root.example/app")
	ask("413", "POST http://small.example/")
	ask("403", "GET http://near.example/")
	ask("503", "GET http://asked.example/")
	ask("200shop/api/", "GET http://split.example/")
	ask("200shop/other/", "GET http://split.example/", "x-next: always")
	ask("200shop/other/", "GET http://split.example/", "cookie: a=b; next=always; c=d")
	ask("200shop/api/", "GET http://split.example/", "cookie: next=always", "x-next: never")
}
