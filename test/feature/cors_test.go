package feature

import (
	"net/http"
	"strings"
	"testing"
)

// shares are the fields of an answer that browsers go by, in short.
func shares(a Answer) string {
	var out []string
	for _, name := range []string{"Origin", "Credentials", "Methods", "Headers", "Max-Age"} {
		full := "Access-Control-Allow-" + name
		if name == "Max-Age" {
			full = "Access-Control-Max-Age"
		}
		if v := a.Header.Values(full); len(v) > 0 {
			out = append(out, name+"="+strings.Join(v, "|"))
		}
	}
	return strings.Join(out, " ")
}

// Preflights are answered before authentication, and a page may read why it was
// refused.
func TestCORS(t *testing.T) {
	t.Parallel()
	const shared = `filters: [{type: CORS, cors: {allowOrigins: ["https://*.example"], allowMethods: [PUT], allowHeaders: [X-A], allowCredentials: true, maxAge: 60}}]`
	w := Start(t, Base+Route("r",
		`{name: open, matches: [{path: {value: /open}}], `+shared+`, backendRefs: [{name: api, port: 80}]}`,
		`{name: shut, matches: [{path: {value: /shut}}], `+shared+`, backendRefs: [{name: api, port: 80}]}`,
		`{name: gone, matches: [{path: {value: /gone}}], `+shared+`, backendRefs: [{name: none, port: 80}]}`,
		`{name: plain, matches: [{path: {value: /plain}}], backendRefs: [{name: api, port: 80}]}`,
		`{name: stripped, matches: [{path: {value: /stripped}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [Origin]}}, `+strings.TrimPrefix(shared, "filters: [")+`, backendRefs: [{name: api, port: 80}]}`)+
		Auth("a", "HTTPRoute/r/shut", `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {key: none}}}}}}`))
	is := func(a Answer, status int, want string) {
		t.Helper()
		if got := shares(a); a.Status != status || got != want {
			t.Errorf("%d %s, want %d %s", a.Status, got, status, want)
		}
	}
	const origin, other, method = "Origin: https://a.example", "Origin: https://a.other", "Access-Control-Request-Method: PUT"
	const preflight = "Origin=https://a.example Credentials=true Methods=PUT Headers=X-A Max-Age=60"
	const actual = "Origin=https://a.example Credentials=true"
	for _, path := range []string{"/open", "/shut", "/gone"} {
		is(w.Do("OPTIONS http://a"+path, origin, method), 204, preflight)
		is(w.Do("OPTIONS http://a"+path, other, method), 204, "")
	}
	if n := w.Backend("shop/api").Asked(); n != 0 {
		t.Errorf("%d preflights reached the backend", n)
	}
	is(w.Do("GET http://a/open", origin), 200, actual)
	is(w.Do("GET http://a/open", other), 200, "")
	is(w.Do("GET http://a/shut", origin), 401, actual)
	is(w.Do("GET http://a/gone", origin), 500, actual)
	is(w.Do("OPTIONS http://a/open", origin), 200, actual)
	is(w.Do("OPTIONS http://a/shut", origin), 401, actual)
	is(w.Do("GET http://a/stripped", origin), 200, actual)
	is(w.Do("GET http://a/plain", origin), 200, "")

	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "*")
	})
	is(w.Do("GET http://a/open", other), 200, "")
	is(w.Do("GET http://a/plain", other), 200, "Origin=*")
	two := w.Client("", PriorKnowledge)
	is(w.Over(two, "OPTIONS http://a/shut", "", origin, method), 204, preflight)
	is(w.Over(two, "GET http://a/shut", "", origin), 401, actual)
}
