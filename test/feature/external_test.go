package feature

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// external is an ExternalAuth filter that asks the Service authz over HTTP.
func external(more string) string {
	return `{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: authz, port: 80}` + more + `}}`
}

// The ExternalAuth filter lets pass what its service answers 200 to (GEP-1494).
func TestExternalAuthFilter(t *testing.T) {
	t.Parallel()
	const to = `, backendRefs: [{name: api, port: 80}]}`
	w := Start(t, Base+Service("authz")+Route("r",
		`{matches: [{path: {value: /a}}], filters: [`+external(`, http: {path: /check, allowedHeaders: [X-Team], allowedResponseHeaders: [X-User]}`)+`]`+to,
		`{matches: [{path: {value: /body}}], filters: [`+external(`, http: {}, forwardBody: {maxSize: 10}`)+`]`+to,
		`{matches: [{path: {value: /backend}}], backendRefs: [{name: api, port: 80, filters: [`+external(`, http: {}`)+`]}]}`,
		`{matches: [{path: {value: /cors}}], filters: [{type: CORS, cors: {allowOrigins: ["https://page.example"]}}, `+external(`, http: {}`)+`]`+to,
		`{matches: [{path: {value: /gone}}], filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: none, port: 80}}}]`+to,
		`{matches: [{path: {value: /open}}]`+to))
	var asked atomic.Pointer[string]
	var behave atomic.Pointer[http.HandlerFunc]
	judge := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := strings.Join([]string{r.Method, r.Host, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("X-Team"), r.Header.Get("Cookie"), string(body)}, " ")
		asked.Store(&line)
		if r.Header.Get("Authorization") == "" {
			rw.Header().Set("WWW-Authenticate", "Bearer")
			rw.WriteHeader(401)
			_, _ = io.WriteString(rw, "who are you?")
			return
		}
		rw.Header().Set("X-User", "alice")
	})
	behave.Store(&judge)
	authz := w.Backend("shop/authz")
	authz.Answer(func(rw http.ResponseWriter, r *http.Request) { (*behave.Load())(rw, r) })

	a := w.Do("GET http://a.example/a/b?q=1", "Authorization: Bearer t", "X-Team: x", "Cookie: c", "X-User: forged")
	if a.Status != 200 || strings.Join(a.Seen().Header["X-User"], ",") != "alice" {
		t.Errorf("allowed: %d %s", a.Status, a.Body)
	}
	if got := *asked.Load(); got != "GET a.example /check/a/b?q=1 Bearer t x  " {
		t.Errorf("asked %q", got)
	}
	if a := w.Do("GET http://a.example/a"); a.Status != 401 || a.Header.Get("WWW-Authenticate") != "Bearer" || a.Body != "who are you?" {
		t.Errorf("refused: %d %v %s", a.Status, a.Header, a.Body)
	}
	if a := w.Do("GET http://a.example/a", "Connection: Upgrade", "Upgrade: websocket"); a.Status != 401 {
		t.Errorf("a WebSocket: %d", a.Status)
	}
	if a := w.Over(w.Client("", PriorKnowledge), "POST http://a.example/a", "", "Content-Type: application/grpc"); a.Status != 200 || a.Header.Get("Grpc-Status") != "16" || a.Header.Get("Grpc-Message") != "forbidden_by_service" {
		t.Errorf("refused gRPC: %d %v", a.Status, a.Header)
	}
	if a := w.Send("POST http://a.example/body", "hello", "Authorization: x"); a.Status != 200 || *asked.Load() != "POST a.example /body x   hello" {
		t.Errorf("content: %d %s, asked %q", a.Status, a.Body, *asked.Load())
	}
	if a := w.Send("POST http://a.example/body", "hello hello", "Authorization: x"); a.Status != 413 || a.Code() != "external_auth_too_large" {
		t.Errorf("too much content: %d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/backend"); a.Status != 401 {
		t.Errorf("on a backendRef: %d", a.Status)
	}
	if a := w.Do("GET http://a.example/backend", "Authorization: x"); a.Status != 200 {
		t.Errorf("on a backendRef, allowed: %d", a.Status)
	}
	preflight := w.Do("OPTIONS http://a.example/cors", "Origin: https://page.example", "Access-Control-Request-Method: GET")
	if preflight.Status != 204 {
		t.Errorf("a preflight: %d", preflight.Status)
	}
	if a := w.Do("GET http://a.example/cors", "Origin: https://page.example"); a.Status != 401 || a.Header.Get("Access-Control-Allow-Origin") != "https://page.example" {
		t.Errorf("a refusal to a page of another origin: %d %v", a.Status, a.Header)
	}
	if a := w.Do("GET http://a.example/gone", "Authorization: x"); a.Status != 500 || a.Code() != "rule_invalid" {
		t.Errorf("without a service: %d %s", a.Status, a.Body)
	}
	if n := w.Metric(`gatehouse_external_auth_requests_total{outcome="refused",service="shop/authz:80"}`); n == "" || n == "0" {
		t.Errorf("metric %q", n)
	}

	// Whatever the service does, nobody passes; and others do not notice.
	for what, f := range map[string]http.HandlerFunc{
		"fails":  func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) },
		"resets": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		behave.Store(&f)
		start := time.Now()
		if a := w.Do("GET http://a.example/a", "Authorization: x"); a.Status != 503 || a.Code() != "external_auth_unavailable" || a.Header.Get("Retry-After") == "" || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %d %s after %v", what, a.Status, a.Body, time.Since(start))
		}
		if a := w.Do("GET http://a.example/open"); a.Status != 200 {
			t.Errorf("%s: another route: %d", what, a.Status)
		}
	}
	behave.Store(&judge)
	if a := w.Do("GET http://a.example/a", "Authorization: x"); a.Status != 200 {
		t.Errorf("once it is back: %d %s", a.Status, a.Body)
	}
}

// What a policy's key stands for is not what another's does, though they ask alike.
func TestExternalAuthKeyOfOnePolicy(t *testing.T) {
	rule := func(name string) string {
		return Auth(name, "HTTPRoute/r/"+name, `rules: {authorization: {ask: {externalAuth: {backendRef: {name: authz, port: 80}, http: {}, cache: {key: "'ann'", ttl: 1m}}}}}`)
	}
	w := Start(t, Base+Service("authz")+Route("r",
		`{name: kept, matches: [{path: {value: /kept}}], `+toAPI[1:],
		`{name: late, matches: [{path: {value: /late}}], `+toAPI[1:])+rule("kept")+rule("late"))
	w.Backend("shop/authz").Answer(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			rw.WriteHeader(403)
		}
	})
	for range 2 {
		if kept, late := w.Do("GET http://a/kept"), w.Do("GET http://a/late"); kept.Status != 200 || late.Status != 403 {
			t.Errorf("%d %s, %d %s", kept.Status, kept.Body, late.Status, late.Body)
		}
	}
}

// An externalAuth rule of a policy asks after the others, and its answers are kept.
func TestExternalAuthRule(t *testing.T) {
	rule := func(name, more string) string {
		return Auth(name, "HTTPRoute/r/"+name, `rules: {authorization: {first: {cel: "request.headers['x-never'] == ''"}, ask: {externalAuth: {backendRef: {name: authz, port: 80}, `+more+`}}}}`)
	}
	w := Start(t, Base+Service("authz")+Route("r",
		`{name: kept, matches: [{path: {value: /kept}}], `+toAPI[1:],
		`{name: late, matches: [{path: {value: /late}}], `+toAPI[1:],
		`{name: open, matches: [{path: {value: /open}}], `+toAPI[1:])+
		rule("kept", `http: {toBackend: [X-User]}, cache: {headers: [Authorization], ttl: 1m}`)+
		rule("late", `http: {}, timeout: 100ms, statusOnError: 403`))
	authz := w.Backend("shop/authz")
	authz.Answer(func(rw http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "":
			rw.Header().Set("Location", "https://login.example/")
			rw.WriteHeader(302)
		case "silent":
		default:
			rw.Header().Set("X-User", r.Header.Get("Authorization"))
		}
	})
	for range 5 {
		if a := w.Do("GET http://a.example/kept", "Authorization: alice", "X-User: forged", "X-Never: "); a.Status != 200 || strings.Join(a.Seen().Header["X-User"], ",") != "alice" {
			t.Errorf("allowed: %d %s", a.Status, a.Body)
		}
	}
	if n := authz.Asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := w.Do("GET http://a.example/kept", "Authorization: silent", "X-User: forged", "X-Never: "); a.Status != 200 || a.Seen().Header["X-User"] != nil {
		t.Errorf("a field the service left out: %d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/kept", "X-Never: "); a.Status != 302 || a.Header.Get("Location") != "https://login.example/" {
		t.Errorf("refused: %d %v", a.Status, a.Header)
	}
	before := authz.Asked()
	if a := w.Do("GET http://a.example/kept", "X-Never: set"); a.Status != 403 || authz.Asked() != before {
		t.Errorf("refused by another rule: %d, asked %d times", a.Status, authz.Asked()-before)
	}
	authz.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if a := w.Do("GET http://a.example/late", "X-Never: "); a.Status != 403 || a.Code() != "external_auth_unavailable" {
		t.Errorf("late: %d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/kept", "Authorization: alice", "X-Never: "); a.Status != 200 {
		t.Errorf("a kept answer while the service hangs: %d", a.Status)
	}
	if a := w.Do("GET http://a.example/open"); a.Status != 200 {
		t.Errorf("another rule: %d", a.Status)
	}
}
