package feature

import (
	"net/http"
	"testing"
)

// The same routes serve every protocol a client may speak.
func TestProtocols(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("cert", "a.example", "b.example")+Gateway("edge",
		`{name: http, protocol: HTTP, port: 80}`,
		`{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+
		Service("b")+
		HostRoute("a", "a.example", `{matches: [{path: {value: /v1}, method: POST, headers: [{name: x, value: "1"}]}], backendRefs: [{name: api, port: 80}]}`)+
		HostRoute("b", "b.example", `{matches: [{queryParams: [{name: q, value: "1"}]}], backendRefs: [{name: b, port: 80}]}`))
	one := func(t *http.Transport) {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.TLSClientConfig = ca.Trusted()
	}
	over := func(proto, scheme, listener string, change func(*http.Transport)) {
		t.Helper()
		c := w.Client(listener, change)
		is := func(service, line, body string, fields ...string) {
			t.Helper()
			a := w.Over(c, line, body, fields...)
			s := a.Seen()
			if a.Proto != proto || s.Service != service || s.Body != body || service != "" && s.Header["X-Forwarded-Proto"][0] != scheme {
				t.Errorf("%s %s: %s %d %+v, want %q over %s", scheme, line, a.Proto, a.Status, s, service, proto)
			}
		}
		is("shop/api", "POST "+scheme+"://a.example/v1/x", "hello", "x: 1")
		is("shop/b", "GET "+scheme+"://b.example/?q=1", "")
		is("", "POST "+scheme+"://a.example/v1/x", "", "x: 2")
		is("", "GET "+scheme+"://b.example/?q=2", "")
	}
	over("HTTP/1.1", "http", "shop/edge/http", one)
	over("HTTP/2.0", "http", "shop/edge/http", PriorKnowledge)
	over("HTTP/1.1", "https", "shop/edge/tls", one)
	over("HTTP/2.0", "https", "shop/edge/tls", TLS(ca.Trusted()))

	// gRPC reads no status but its own.
	c := w.Client("shop/edge/tls", TLS(ca.Trusted()))
	grpc := func(line, status, message string) {
		t.Helper()
		a := w.Over(c, line, "", "content-type: application/grpc", "te: trailers")
		if a.Status != 200 || a.Header.Get("Grpc-Status") != status || a.Header.Get("Grpc-Message") != message || a.Header.Get("Content-Type") != "application/grpc" || a.Body != "" {
			t.Errorf("%s: %d %v %q, want grpc-status %s", line, a.Status, a.Header, a.Body, status)
		}
	}
	grpc("POST https://a.example/gone", "12", "no_route")
	w.Apply(HostRoute("a", "a.example", `{backendRefs: [{name: gone, port: 80}]}`))
	grpc("POST https://a.example/x", "14", "backend_not_found")
	w.Apply(HostRoute("a", "a.example", toAPI) + Auth("auth", "HTTPRoute/a", "rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {k: v}}}}}}"))
	grpc("POST https://a.example/x", "16", "auth_missing")
	w.Apply(Auth("auth", "HTTPRoute/a", "rules: {authorization: {no: {cel: 'false'}}}"))
	grpc("POST https://a.example/x", "7", "forbidden_by_rule")
}

// A person's browser gets a page, everybody else a problem document.
func TestPages(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	is := func(accept, contentType string) {
		t.Helper()
		a := w.Do("GET http://a/", "accept: "+accept)
		if a.Status != 404 || a.Header.Get("Content-Type") != contentType {
			t.Errorf("%q: %d %s", accept, a.Status, a.Header.Get("Content-Type"))
		}
	}
	is("*/*", "application/problem+json")
	is("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8")
	is("application/json, text/html", "application/problem+json")
	if a := w.Do("GET http://a/"); a.Problem().Status != 404 || len(a.Problem().ID) != 16 {
		t.Errorf("%+v", a.Problem())
	}
}
