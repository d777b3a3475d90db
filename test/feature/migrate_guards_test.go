package feature

import (
	"fmt"
	"strings"
	"testing"
)

// nginx is the prefix of the annotations that are migrated.
const nginx = "nginx.ingress.kubernetes.io/"

// on is an Ingress for one host, with its paths as kind, path and Service.
func on(name, annotations, host string, paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		f := strings.Fields(p)
		fmt.Fprintf(&b, "{path: %q, pathType: %s, backend: {service: {name: %s, port: {name: web}}}}, ", f[1], f[0], f[2])
	}
	return ingress(name, annotations, fmt.Sprintf("  rules: [{host: %s, http: {paths: [%s]}}]", host, b.String()))
}

// aged is a manifest of that age.
func aged(year int, manifest string) string {
	return strings.Replace(manifest, "namespace: shop", fmt.Sprintf("namespace: shop, creationTimestamp: '%d-01-01T00:00:00Z'", year), 1)
}

// What kept callers out of a path in ingress-nginx does so when it is migrated,
// whatever other Ingresses say of the same host.
func TestMigratedGuardsStay(t *testing.T) {
	t.Parallel()
	const far = nginx + `whitelist-source-range: "192.0.2.0/24"`
	ingresses := on("groups", nginx+`use-regex: "true", `+nginx+`rewrite-target: "/$2/$1", `+far, "groups.example", "ImplementationSpecific /a/([^/]+)/(.*) api") +
		on("groups-open", "", "groups.example", "Prefix / site") +
		on("stem", far, "stem.example", "ImplementationSpecific /admin api") +
		on("stem-open", "", "stem.example", "Prefix / site") +
		on("stems", far, "stems.example", "ImplementationSpecific /adm api") +
		on("stems-open", "", "stems.example", "Prefix / site", "Prefix /administrator other") +
		on("exact", far, "exact.example", "Exact /a api") +
		on("exact-regex", nginx+`use-regex: "true"`, "exact.example", "Prefix / site") +
		on("certificate", nginx+"auth-tls-secret: shop/ca", "tls.example", "Prefix / api") +
		on("certificate-other", "", "tls.example", "Prefix /other other") +
		on("certificate-off", nginx+`auth-tls-secret: shop/ca, `+nginx+`auth-tls-verify-client: optional`, "lax.example", "Prefix / api") +
		on("certificate-lax", "", "lax.example", "Prefix /other other") +
		on("snippet", nginx+`server-snippet: "location /metrics { deny all; }"`, "snippet.example", "Prefix / api") +
		on("snippet-other", "", "snippet.example", "Prefix /other other") +
		on("headers", nginx+`configuration-snippet: "more_set_headers \"x-y: deny\";"`, "headers.example", "Prefix / api") +
		aged(2024, on("z-older", far, "shared.example", "Prefix / api")) +
		aged(2025, on("a-younger", "", "shared.example", "Prefix / site", "Prefix /own other")) +
		ingress("a-fallback", "", "  defaultBackend: {service: {name: site, port: {number: 80}}}\n  rules: [{host: fallback.example, http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]") +
		on("b-root", far, "fallback.example", "Prefix / api") +
		on("redirect", nginx+`temporal-redirect: "https://new.example/?from=old"`, "redirect.example", "Prefix / api") +
		on("port", far, "port.example", "Prefix /gone api") + on("port-open", "", "port.example", "Prefix / site")
	ingresses = strings.Replace(ingresses, `path: "/gone", pathType: Prefix, backend: {service: {name: api, port: {name: web}}}`,
		`path: "/gone", pathType: Prefix, backend: {service: {name: api, port: {name: gone}}}`, 1)
	w := Start(t, IngressBase+gatewayClass+migrated(t, IngressBase+ingresses))
	for url, want := range map[string]string{
		"groups.example/a/b/c":          "500",
		"groups.example/x":              "200 shop/site /x",
		"stem.example/admin":            "403",
		"stem.example/admin.php":        "403",
		"stem.example/adminx/y":         "403",
		"stem.example/adm":              "200 shop/site /adm",
		"stems.example/adm":             "403",
		"stems.example/administrator/x": "200 shop/other /administrator/x",
		"exact.example/a":               "403",
		"exact.example/a/b":             "403",
		"exact.example/ab":              "403",
		"exact.example/b":               "200 shop/site /b",
		"tls.example/":                  "503",
		"tls.example/other":             "503",
		"lax.example/":                  "503",
		"lax.example/other":             "200 shop/other /other",
		"snippet.example/metrics":       "503",
		"snippet.example/other":         "503",
		"headers.example/":              "200 shop/api /",
		"shared.example/":               "403",
		"shared.example/own":            "200 shop/other /own",
		"fallback.example/":             "403",
		"fallback.example/x":            "200 shop/api /x",
		"redirect.example/":             "500",
		"port.example/gone":             "500",
		"port.example/":                 "200 shop/site /",
	} {
		a := w.Over(w.Client("shop/edge/http"), "GET http://"+url, "")
		if got := strings.TrimSpace(fmt.Sprintf("%d %s %s", a.Status, a.Seen().Service, a.Seen().Path)); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

// Ingresses whose names meet those of each other's routes all have their own.
func TestMigratedNamesDoNotMeet(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	beside := IngressBase + ca.Secret("tls", "three.example") + gatewayClass
	rule := "{host: %s, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %s, port: {name: web}}}}]}}"
	ingresses := ingress("web", "", fmt.Sprintf("  tls: [{hosts: [three.example], secretName: tls}]\n  rules: ["+rule+", "+rule+", "+rule+"]", "one.example", "api", "two.example", "api", "three.example", "api")) +
		on("web-2", "", "four.example", "Prefix / other") + on("web-to-https", "", "five.example", "Prefix / site")
	w := Start(t, beside+migrated(t, beside+ingresses))
	for host, want := range map[string]string{"one": "200shop/api", "two": "200shop/api", "three": "308", "four": "200shop/other", "five": "200shop/site"} {
		a := w.Over(w.Client("shop/edge/http"), "GET http://"+host+".example/", "")
		if got := fmt.Sprint(a.Status, a.Seen().Service); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

// An alias with a certificate is served over TLS too.
func TestMigratedAliasOverTLS(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	beside := IngressBase + ca.Secret("tls", "a.example", "b.example") + gatewayClass
	w := Start(t, beside+migrated(t, beside+ingress("web", nginx+"server-alias: b.example", `
  tls: [{hosts: [a.example, b.example], secretName: tls}]
  rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {name: web}}}}]}}]`)))
	for _, host := range []string{"a.example", "b.example"} {
		a := w.Over(w.Client("shop/edge/https-"+host, TLS(ca.Trusted())), "GET https://"+host+"/", "")
		if a.Seen().Service != "shop/api" {
			t.Errorf("%s: %d", host, a.Status)
		}
	}
}

// ingress-nginx answers with an asterisk where every origin may read, by which
// browsers give no page an answer to a request with credentials.
func TestMigratedCORSOfAnyOriginTakesNoCredentials(t *testing.T) {
	t.Parallel()
	w := Start(t, IngressBase+gatewayClass+migrated(t, IngressBase+on("any", nginx+`enable-cors: "true"`, "any.example", "Prefix / api")+
		on("one", nginx+`enable-cors: "true", `+nginx+`cors-allow-origin: "https://a.example"`, "one.example", "Prefix / api")))
	for host, want := range map[string]string{"any.example": "* ", "one.example": "https://a.example true"} {
		a := w.Over(w.Client("shop/edge/http"), "GET http://"+host+"/", "", "origin: https://a.example")
		if got := a.Header.Get("Access-Control-Allow-Origin") + " " + a.Header.Get("Access-Control-Allow-Credentials"); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}

// A header value goes before a pattern, and a pattern may be found anywhere
// (ingress-nginx, "Canary").
func TestMigratedCanaryHeaders(t *testing.T) {
	t.Parallel()
	w := Start(t, IngressBase+gatewayClass+migrated(t, IngressBase+
		on("a", "", "value.example", "Prefix / api")+
		on("a-next", nginx+`canary: "true", `+nginx+`canary-by-header: x-next, `+nginx+`canary-by-header-value: blue, `+nginx+`canary-by-header-pattern: green`, "value.example", "Prefix / other")+
		on("b", "", "pattern.example", "Prefix / api")+
		on("b-next", nginx+`canary: "true", `+nginx+`canary-by-header: x-next, `+nginx+`canary-by-header-pattern: "gr[ae]y|^b"`, "pattern.example", "Prefix / other")))
	for _, c := range []struct{ host, value, want string }{
		{"value", "blue", "other"},
		{"value", "green", "api"},
		{"pattern", "dark grey", "other"},
		{"pattern", "blue", "other"},
		{"pattern", "light blue", "api"},
	} {
		a := w.Over(w.Client("shop/edge/http"), "GET http://"+c.host+".example/", "", "x-next: "+c.value)
		if got := a.Seen().Service; got != "shop/"+c.want {
			t.Errorf("%s, %s: got %s, want %s", c.host, c.value, got, c.want)
		}
	}
}
