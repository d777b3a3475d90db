package feature

import "testing"

// Every rule of GEP-726 for scheme, host, port and path. The listener is on port
// 80, or 8080, or with TLS on 443.
func TestRedirects(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+Gateway("edge",
		`{name: http, protocol: HTTP, port: 80}`,
		`{name: other, protocol: HTTP, port: 8080}`,
		`{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`,
		`{name: othertls, protocol: HTTPS, port: 8443, tls: {certificateRefs: [{name: cert}]}}`)+
		ca.Secret("cert", "a.example"))
	redirects := func(filter string) func(listener, line string, status int, location string) {
		w.Apply(Route("r", `{matches: [{path: {value: /old}}], filters: [{type: RequestRedirect, requestRedirect: `+filter+`}]}`))
		return func(listener, line string, status int, location string) {
			t.Helper()
			got := w.Over(w.Client("shop/edge/"+listener, TLS(ca.Trusted())), line, "")
			if got.Status != status || got.Header.Get("Location") != location {
				t.Errorf("%s with %s: %d %s, want %d %s", line, filter, got.Status, got.Header.Get("Location"), status, location)
			}
		}
	}
	// Scheme: the port is the scheme's own, which is not written.
	to := redirects(`{scheme: https}`)
	to("http", "GET http://a.example/old", 302, "https://a.example/old")
	to("http", "GET http://a.example:8000/old/x?a=1&b=%20", 302, "https://a.example/old/x?a=1&b=%20")
	to("other", "GET http://a.example:8080/old", 302, "https://a.example/old")
	to = redirects(`{scheme: http}`)
	to("tls", "GET https://a.example/old", 302, "http://a.example/old")
	// Nothing: the listener's port, not written where it is the scheme's own.
	to = redirects(`{hostname: new.example}`)
	to("http", "GET http://a.example/old", 302, "http://new.example/old")
	to("http", "GET http://a.example:9999/old", 302, "http://new.example/old")
	to("other", "GET http://a.example/old", 302, "http://new.example:8080/old")
	to("tls", "GET https://a.example/old", 302, "https://new.example/old")
	to("othertls", "GET https://a.example/old", 302, "https://new.example:8443/old")
	// Port: as it is, unless it is the scheme's own.
	to = redirects(`{port: 8443}`)
	to("http", "GET http://a.example/old", 302, "http://a.example:8443/old")
	to = redirects(`{port: 80}`)
	to("other", "GET http://a.example/old", 302, "http://a.example/old")
	to("tls", "GET https://a.example/old", 302, "https://a.example:80/old")
	to = redirects(`{scheme: https, port: 443}`)
	to("http", "GET http://a.example/old", 302, "https://a.example/old")
	to = redirects(`{scheme: https, port: 80}`)
	to("http", "GET http://a.example/old", 302, "https://a.example:80/old")
	to = redirects(`{scheme: http, port: 443}`)
	to("http", "GET http://a.example/old", 302, "http://a.example:443/old")
	// Path and status.
	to = redirects(`{path: {type: ReplaceFullPath, replaceFullPath: /new}, statusCode: 301}`)
	to("http", "GET http://a.example/old/deep?q=1", 301, "http://a.example/new?q=1")
	to = redirects(`{path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}`)
	to("http", "GET http://a.example/old", 301, "http://a.example/new")
	to("http", "GET http://a.example/old/", 301, "http://a.example/new/")
	to("http", "GET http://a.example/old/deep%20er", 301, "http://a.example/new/deep%20er")
	to = redirects(`{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}`)
	to("http", "GET http://a.example/old", 302, "http://a.example/")
	to("http", "GET http://a.example/old/deep", 302, "http://a.example/deep")
	for _, status := range []int{303, 307, 308} {
		to = redirects(`{hostname: n.example, statusCode: ` + itoa(status) + `}`)
		to("http", "POST http://a.example/old", status, "http://n.example/old")
	}
	// A path never chooses the host.
	to = redirects(`{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}`)
	to("http", "GET http://a.example/old//evil.example/", 302, "http://a.example//evil.example/")
}
