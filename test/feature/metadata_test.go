package feature

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// registry knows callers: /accounts/ann is gold, and to /userinfo a token of Ann's
// is hers.
type registry struct {
	*httptest.Server
	asked atomic.Int32
	fault atomic.Pointer[http.HandlerFunc] // nil: it works

	mu   sync.Mutex
	seen string // the last question
}

func newRegistry(t *testing.T) *registry {
	s := &registry{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *registry) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if f := s.fault.Load(); f != nil {
		(*f)(rw, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.seen = fmt.Sprintf("%s %s [%s] %s %s", r.Method, r.RequestURI, r.Header.Get("X-User"), r.Header.Get("Authorization"), body)
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/.well-known/openid-configuration":
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"userinfo_endpoint":%q}`, s.URL, s.URL+"/userinfo")
	case r.URL.Path == "/userinfo" && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer good"):
		_, _ = io.WriteString(rw, `{"sub":"ann","email":"ann@shop.example"}`)
	case r.URL.Path == "/userinfo":
		rw.WriteHeader(401)
	case strings.HasSuffix(r.URL.Path, "/nobody"):
		rw.WriteHeader(404)
	default:
		_, _ = fmt.Fprintf(rw, `{"tier":"gold","limits":{"orders":3},"name":"A\r\nX-Forged: 1","roles":["buyer"],"path":%q}`, r.URL.EscapedPath())
	}
}

func (s *registry) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// informed is a gateway whose route /a fetches facts about whoever X-User names, and
// /open none.
func informed(t *testing.T, metadata, more string) *World {
	return Start(t, Base+Service("registry")+Route("r",
		`{name: a, matches: [{path: {value: /a}}], `+toAPI[1:],
		`{name: open, matches: [{path: {value: /open}}], `+toAPI[1:])+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: own, namespace: shop}\nstringData: {token: planted}\n---\n"+
		Auth("p", "HTTPRoute/r/a", `rules: {metadata: {account: {`+metadata+`}}, `+more+`}`))
}

// gold lets gold accounts pass, and tells the backend.
const gold = `authorization: {gold: {cel: "metadata.account.tier == 'gold' && metadata.account.limits.orders > 2"}},
  response: {headers: {x-tier: {cel: metadata.account.tier}, x-name: {cel: metadata.account.name}}}`

// asksFor is a step that asks for the account of X-User.
const asksFor = `path: "['accounts', request.headers['x-user']]", headers: {X-User: {cel: "request.headers['x-user']"}}, secretHeader: {secretRef: {name: own, key: token}}`

// Facts are fetched once it is known who calls, and rules decide by them.
func TestMetadata(t *testing.T) {
	t.Parallel()
	s := newRegistry(t)
	for what, where := range map[string]string{"url": "url: '" + s.URL + "'", "service": "backendRef: {name: registry, port: 80}"} {
		t.Run(what, func(t *testing.T) {
			w := informed(t, "http: {"+where+", "+asksFor+"}, timeout: 10s", gold)
			w.Backend("shop/registry").Answer(s.ServeHTTP)
			a := w.Do("GET http://a.example/a", "X-User: ann", "X-Tier: forged")
			if h := a.Seen().Header; a.Status != 200 || strings.Join(h["X-Tier"], ",") != "gold" || strings.Join(h["X-Name"], ",") != "A%0D%0AX-Forged: 1" || h["X-Forged"] != nil {
				t.Errorf("%d %s %v", a.Status, a.Body, a.Seen().Header)
			}
			if got, want := s.last(), "GET /accounts/ann [ann] Bearer planted "; got != want {
				t.Errorf("it was asked %q, want %q", got, want)
			}
			// What a caller says stays in its place.
			if a := w.Do("GET http://a.example/a", "X-User: ann?x=1#é/b"); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if got, want := s.last(), "GET /accounts/ann%3Fx%3D1%23%C3%A9%2Fb [ann?x=1#%C3%A9/b] Bearer planted "; got != want {
				t.Errorf("it was asked %q, want %q", got, want)
			}
			before := s.asked.Load()
			for _, user := range []string{"..", "../admin", "a/../../admin", `..\admin`} {
				if a := w.Do("GET http://a.example/a", "X-User: "+user); a.Status != 403 || a.Code() != "metadata_request_unusable" {
					t.Errorf("%s: %d %s", user, a.Status, a.Body)
				}
			}
			if a := w.Do("GET http://a.example/a"); a.Status != 403 || a.Code() != "metadata_request_unusable" {
				t.Errorf("no user: %d %s", a.Status, a.Body)
			}
			if n := s.asked.Load() - before; n != 0 {
				t.Errorf("asked %d times what cannot be asked", n)
			}
			if a := w.Do("GET http://a.example/a", "X-User: nobody"); a.Status != 503 || a.Code() != "metadata_refused" || a.Header.Get("Retry-After") == "" {
				t.Errorf("nobody: %d %s", a.Status, a.Body)
			}
			// Requests that ask the same wait for one question.
			before = s.asked.Load()
			var running sync.WaitGroup
			for range 20 {
				running.Go(func() { w.Do("GET http://a.example/a", "X-User: bob") })
			}
			running.Wait()
			if n := s.asked.Load() - before; n != 1 {
				t.Errorf("asked %d times about one caller", n)
			}
		})
	}
}

// An answer is kept by the policy's key, whatever else is asked.
func TestMetadataKey(t *testing.T) {
	t.Parallel()
	s := newRegistry(t)
	w := informed(t, "http: {url: '"+s.URL+"/v1?k=1', method: POST, query: {q: request.path}, body: \"{'user': request.headers['x-user'], 'path': request.path}\"}, cache: {key: \"request.headers['x-user']\"}, timeout: 10s", gold)
	for _, path := range []string{"/a", "/a/b", "/a/c"} {
		if a := w.Do("GET http://a.example"+path, "X-User: ann"); a.Status != 200 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if got, want := s.last(), `POST /v1?k=1&q=%2Fa []  {"path":"/a","user":"ann"}`; got != want {
		t.Errorf("it was asked %q, want %q", got, want)
	}
}

// Whatever becomes of the service, the fault is not the caller's, and other routes
// do not notice.
func TestMetadataFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]http.HandlerFunc{
		"down":    func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) },
		"hangs":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"rubbish": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "<html>") },
		"huge":    func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, strings.Repeat(" ", 1<<20)) },
		"resets":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for what, fault := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newRegistry(t)
			w := informed(t, "http: {url: '"+s.URL+"', "+asksFor+"}, timeout: 200ms, cache: {ttl: 1ms, onError: 1m}", gold)
			w.Until("it answers", func() bool { return w.Do("GET http://a.example/a", "X-User: ann").Status == 200 })
			s.fault.Store(&fault)
			s.asked.Store(0)
			for i := range 60 {
				if a := w.Do("GET http://a.example/a", "X-User: ann"); a.Status != 200 {
					t.Errorf("facts known from before: %d %s", a.Status, a.Body)
				}
				a := w.Do("GET http://a.example/a", fmt.Sprintf("X-User: new%d", i))
				if a.Status != 503 || a.Header.Get("Retry-After") == "" || a.Code() != "metadata_unavailable" && a.Code() != "metadata_invalid" {
					t.Errorf("a new caller: %d %v %s", a.Status, a.Header, a.Body)
				}
				if a := w.Do("GET http://a.example/open"); a.Status != 200 {
					t.Errorf("another route: %d", a.Status)
				}
			}
			most := 60
			if what == "huge" { // which says nothing of other callers
				most = 70
			}
			if n := int(s.asked.Load()); n > most {
				t.Errorf("asked %d times by 120 requests", n)
			}
			s.fault.Store(nil)
			i := 0
			w.Until("it is back", func() bool {
				i++
				return w.Do("GET http://a.example/a", fmt.Sprintf("X-User: again%d", i)).Status == 200
			})
			if m := w.Metric(fmt.Sprintf(`gatehouse_metadata_requests_total{outcome="failed",service=%q}`, strings.TrimPrefix(s.URL, "http://"))); m == "" || m == "0" {
				t.Errorf("metric %q", m)
			}
		})
	}
}

// The gateway's own admin address answers whoever can reach it: who may write a URL
// into a policy does not get at it by that.
func TestMetadataOfTheGateway(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", `{name: a, matches: [{path: {value: /a}}], `+toAPI[1:]))
	w.Apply(Auth("p", "HTTPRoute/r/a", `rules: {metadata: {account: {http: {url: 'http://`+w.Server.AdminAddr().String()+
		`', path: "['debug', 'decisions']"}}}, authorization: {all: {cel: "true"}}}`))
	if a := w.Do("GET http://a.example/a"); a.Status != 503 || a.Code() != "metadata_unavailable" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// An optional step that fails leaves its fact out: a rule that does not mind lets
// the request pass, and one that reads it refuses.
func TestOptionalMetadata(t *testing.T) {
	t.Parallel()
	s := newRegistry(t)
	down := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) })
	s.fault.Store(&down)
	w := informed(t, "optional: true, http: {url: '"+s.URL+"', "+asksFor+"}",
		`authorization: {easy: {when: ["request.path == '/a'"], cel: "!has(metadata.account) || metadata.account.tier == 'gold'"}, strict: {when: ["request.path == '/a/strict'"], cel: "metadata.account.tier == 'gold'"}}, response: {headers: {x-tier: {cel: metadata.account.tier}}}`)
	if a := w.Do("GET http://a.example/a", "X-User: ann", "X-Tier: forged"); a.Status != 200 || a.Seen().Header["X-Tier"] != nil {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Seen().Header)
	}
	a := w.Do("GET http://a.example/a/strict", "X-User: ann")
	if a.Status != 403 || a.Code() != "rule_error" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.Until("the decision tells of the step", func() bool {
		steps := w.Admin("/debug/decisions")
		return strings.Contains(steps, `"part":"metadata","name":"account"`) && strings.Contains(steps, `"outcome":"missing","code":"metadata_unavailable"`)
	})
}

// A provider is asked about the user with the user's own token, and believed only
// about them.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	s, idp := newRegistry(t), newTokenServer(t)
	for what, where := range map[string]string{"discovered": "issuer: '" + s.URL + "'", "url": "url: '" + s.URL + "/userinfo'"} {
		t.Run(what, func(t *testing.T) {
			w := Start(t, Base+tokenClient+Route("r", `{name: a, matches: [{path: {value: /a}}], `+toAPI[1:])+
				Auth("p", "HTTPRoute/r/a", `rules: {authentication: {apps: {introspection: {url: '`+idp.URL+`/introspect', clientSecretRef: {name: client}, audiences: [shop], timeout: 10s}}, others: {anonymous: {}}},
  metadata: {user: {userInfo: {`+where+`}, timeout: 10s}}, authorization: {shop: {cel: "metadata.user.email.endsWith('@shop.example')"}}, response: {headers: {x-email: {cel: metadata.user.email}}}}`))
			for range 3 {
				a := w.Do("GET http://a.example/a", "Authorization: Bearer good1")
				if a.Status != 200 || strings.Join(a.Seen().Header["X-Email"], ",") != "ann@shop.example" {
					t.Errorf("%d %s %v", a.Status, a.Body, a.Seen().Header)
				}
			}
			before := s.asked.Load()
			if a := w.Do("GET http://a.example/a", "Authorization: Bearer good1"); a.Status != 200 || s.asked.Load() != before {
				t.Errorf("asked again: %d", a.Status)
			}
			if a := w.Do("GET http://a.example/a"); a.Status != 403 || a.Code() != "user_info_no_token" {
				t.Errorf("without a token: %d %s", a.Status, a.Body)
			}
			other := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, `{"sub":"eve","email":"eve@shop.example"}`)
			})
			s.fault.Store(&other)
			defer s.fault.Store(nil)
			if a := w.Do("GET http://a.example/a", "Authorization: Bearer good2"); a.Status != 403 || a.Code() != "user_info_refused" {
				t.Errorf("about somebody else: %d %s", a.Status, a.Body)
			}
		})
	}
}

// What a policy cannot mean is said in its status, and closes its rule alone.
func TestMetadataOfNoStep(t *testing.T) {
	t.Parallel()
	w := informed(t, "http: {url: 'http://127.0.0.1:9'}", `authorization: {gold: {cel: "metadata.acount.tier == 'gold'"}}`)
	if a := w.Do("GET http://a.example/a"); a.Status != 500 || a.Code() != "policy_invalid" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/open"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if got := w.conditions(w.wait()); !strings.Contains(got, "there is no metadata.acount; there is metadata.account") {
		t.Error(got)
	}
}
