package feature

import (
	"strconv"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

func TestAuthorization(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) { o.Clients.Trusted = []string{"127.0.0.1"} })
	is := decides(t, w)
	staff := `authentication: {staff: {jwt: {issuer: "` + issuer.URL() + `", audiences: [shop], jwks: {inline: ` + issuer.KeySet() + `}}}}`
	bearer := func(claims ...string) string { return "authorization: Bearer " + issuer.Token(claims...) }

	w.Apply(Auth("a", guarded, `rules: {when: ["!request.path.startsWith('/healthz')"], `+staff+`, authorization: {`+
		`writers: {when: ["request.method != 'GET'"], cel: "'write' in auth.claims.scope.split(' ')"}, `+
		`people: {cel: "auth.subject != 'eve'"}}, `+subject+`}`))
	is("", "GET http://a/healthz")
	is("", "POST http://a/healthz/x", "x-user: root")
	is("401 auth_missing", "GET http://a/")
	is("staff ann", "GET http://a/", bearer())
	is("staff ann", "POST http://a/", bearer(`"scope":"read write"`))
	is("403 forbidden_by_rule", "POST http://a/", bearer(`"scope":"read writer"`))
	is("403 rule_error", "POST http://a/", bearer()) // no scope claim
	is("403 forbidden_by_rule", "GET http://a/", bearer(`"sub":"eve"`))
	is("401 auth_missing", "GET http://a/x/../a/healthz2")
	is("", "GET http://a/x/../healthz") // judged by the path that is forwarded
	is("401 auth_missing", "GET http://a/healthz/../x")

	w.Apply(Auth("a", guarded, `rules: {authorization: {office: {cidrs: {allow: [192.0.2.0/24, "2001:db8::/32"], deny: [192.0.2.66/32]}}}}`))
	from := func(address string) string { return "x-forwarded-for: " + address }
	is("", "GET http://a/", from("192.0.2.1"))
	is("", "GET http://a/", from("2001:db8::7"))
	is("", "GET http://a/", from("198.51.100.1, 192.0.2.1"))
	is("403 forbidden_by_cidr", "GET http://a/", from("192.0.2.66"))
	is("403 forbidden_by_cidr", "GET http://a/", from("192.0.3.1"))
	is("403 forbidden_by_cidr", "GET http://a/", from("192.0.2.1, 198.51.100.1"))
	is("403 forbidden_by_cidr", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {authorization: {office: {cidrs: {deny: [127.0.0.0/8]}}}}`))
	is("403 forbidden_by_cidr", "GET http://a/")
	is("", "GET http://a/", from("192.0.2.1"))

	sees := func(cel string) {
		w.Apply(Auth("a", guarded, "rules:\n  authorization:\n    it:\n      cel: "+strconv.Quote(cel)))
	}
	for _, cel := range []string{
		"request.host == 'a.example'", "request.query.q == 'x y'", "request.headers['x-a'] == '1, 2'", "source.address == '127.0.0.1'",
		"route.name == 'HTTPRoute shop/r'", "route.rule == '0'", "route.listener == 'shop/edge/http'", "source.port > 1023", "request.method == 'GET'", "request.path == '/'",
	} {
		sees(cel)
		is("", "GET http://A.example:80/?q=x+y", "x-a: 1", "X-A: 2")
		sees("!(" + cel + ")")
		is("403 forbidden_by_rule", "GET http://A.example:80/?q=x+y", "x-a: 1", "X-A: 2")
	}
	sees(`context.now > timestamp('2020-01-01T00:00:00Z') && request.scheme == 'http'`)
	is("", "GET http://a/")
}

func TestDenials(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}, authorization: {no: {cel: "request.path != '/no'"}}, `+
		`response: {unauthenticated: {status: 404, body: "<h1>nothing here</h1>", contentType: text/html}, denied: {body: go away}}}`))
	is := func(status int, body, contentType, line string, fields ...string) {
		t.Helper()
		a := w.Do(line, fields...)
		if a.Status != status || a.Body != body || a.Header.Get("Content-Type") != contentType || len(a.Header.Get("Gatehouse-Decision")) != 16 || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %q %v", line, a.Status, a.Body, a.Header)
		}
	}
	is(404, "<h1>nothing here</h1>", "text/html", "GET http://a/")
	is(403, "go away", "text/plain; charset=utf-8", "GET http://a/no", "x-api-key: k-good")
	// The cause stays known to the operator.
	for _, cause := range []string{"auth_missing", "forbidden_by_rule"} {
		if n := w.Metric(`gatehouse_denials_total{cause="` + cause + `",policy="AuthPolicy shop/a"}`); n != "1" {
			t.Errorf("%s counted %s times", cause, n)
		}
	}
}

// A policy at fault closes what it covers and nothing else.
func TestFailClosed(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+key("good", "k-good", "")+Route("r", toAPI)+HostRoute("other", "other.example",
		`{name: covered, matches: [{path: {value: /covered}}], backendRefs: [{name: api, port: 80}]}`, `{name: free, backendRefs: [{name: api, port: 80}]}`))
	is := decides(t, w)
	free := func() {
		t.Helper()
		is("", "GET http://a/")
		is("", "GET http://other.example/")
	}
	const target = "HTTPRoute/other/covered"
	w.Apply(Auth("a", target, `rules: {authorization: {it: {cel: "request.nope == 1"}}}`))
	is("500 policy_invalid", "GET http://other.example/covered")
	free()
	w.Apply(Auth("a", target, `rules: {authentication: {keys: {`+apiKeys+`}}, require: keys && nobody}`))
	is("500 policy_invalid", "GET http://other.example/covered", "x-api-key: k-good")
	free()
	// Something is missing: 503 until it is there, and only for those who would need it.
	w.Apply(Auth("a", target, `rules: {authentication: {keys: {`+apiKeys+`}, people: {basic: {secretRef: {name: users}}}}, `+subject+`}`))
	is("keys good-owner", "GET http://other.example/covered", "x-api-key: k-good")
	is("503 auth_unavailable", "GET http://other.example/covered", "authorization: Basic YW5uOng=")
	is("503 auth_unavailable", "GET http://other.example/covered")
	free()
	w.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: users, namespace: shop}\nstringData: {.htpasswd: \"ann:" + bcryptOf(t, "x") + "\"}\n---\n")
	is("people ann", "GET http://other.example/covered", "authorization: Basic YW5uOng=")
	is("401 auth_missing", "GET http://other.example/covered")
	// No key set in the ConfigMap.
	w.Apply(Auth("a", target, `rules: {authentication: {staff: {jwt: {issuer: x, audiences: [z], jwks: {configMapRef: {name: gone, key: keys}}}}}}`))
	if a := w.Do("GET http://other.example/covered", "authorization: Bearer x"); a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	free()
	w.Delete(Auth("a", target, `rules: {authorization: {it: {cel: "true"}}}`))
	is("", "GET http://other.example/covered")
}
