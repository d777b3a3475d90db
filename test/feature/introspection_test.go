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
	"time"
)

// tokenServer is an authorization server: tokens that begin with "good" are active.
type tokenServer struct {
	*httptest.Server
	asked atomic.Int32
	fault atomic.Pointer[http.HandlerFunc] // nil: it works
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if f := s.fault.Load(); f != nil {
		(*f)(rw, r)
		return
	}
	if r.URL.Path == "/.well-known/openid-configuration" {
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"introspection_endpoint":%q}`, s.URL, s.URL+"/introspect")
		return
	}
	if id, secret, _ := r.BasicAuth(); r.URL.Path != "/introspect" || id != "gateway" || secret != "planted" {
		rw.WriteHeader(401)
		return
	}
	if !strings.HasPrefix(r.FormValue("token"), "good") {
		_, _ = io.WriteString(rw, `{"active":false}`)
		return
	}
	_, _ = fmt.Fprintf(rw, `{"active":true,"sub":"ann","aud":"shop","scope":"read write","iss":%q,"exp":%d,"groups":["ops"]}`, s.URL, time.Now().Add(time.Hour).Unix())
}

const tokenClient = "apiVersion: v1\nkind: Secret\nmetadata: {name: client, namespace: shop}\nstringData: {client-id: gateway, client-secret: planted}\n---\n"

// introspected is a gateway whose route /a asks about tokens, and /open nothing.
func introspected(t *testing.T, server string, more string) *World {
	return Start(t, Base+tokenClient+Service("idp")+Route("r",
		`{name: a, matches: [{path: {value: /a}}], `+toAPI[1:],
		`{name: open, matches: [{path: {value: /open}}], `+toAPI[1:])+
		Auth("p", "HTTPRoute/r/a", `rules: {authentication: {apps: {introspection: {`+server+`, clientSecretRef: {name: client}, audiences: [shop]`+more+`}}},
  authorization: {readers: {cel: "'read' in auth.claims.scope.split(' ')"}, ops: {claims: [{claim: groups, values: [ops]}]}}, response: {headers: {x-user: {cel: auth.subject}}}}`))
}

// A token counts if the authorization server that issued it says so (RFC 7662).
func TestIntrospection(t *testing.T) {
	t.Parallel()
	idp := newTokenServer(t)
	for what, w := range map[string]*World{
		"discovered": introspected(t, "issuer: '"+idp.URL+"'", ""),
		"url":        introspected(t, "url: '"+idp.URL+"/introspect'", ""),
		"service":    introspected(t, "backendRef: {name: idp, port: 80}", ""),
	} {
		t.Run(what, func(t *testing.T) {
			w.t = t
			w.Backend("shop/idp").Answer(idp.ServeHTTP)
			a := w.Do("GET http://a.example/a", "Authorization: Bearer good1", "X-User: forged")
			if a.Status != 200 || strings.Join(a.Seen().Header["X-User"], ",") != "ann" || a.Seen().Header["Authorization"] != nil {
				t.Errorf("a good token: %d %s", a.Status, a.Body)
			}
			a = w.Do("GET http://a.example/a", "Authorization: Bearer bad")
			if a.Status != 401 || a.Code() != "token_inactive" || a.Header.Get("WWW-Authenticate") != `Bearer realm="gatehouse", error="invalid_token"` {
				t.Errorf("a bad token: %d %v %s", a.Status, a.Header, a.Body)
			}
			if a := w.Do("GET http://a.example/a"); a.Status != 401 || a.Code() != "auth_missing" || a.Header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` {
				t.Errorf("no token: %d %v %s", a.Status, a.Header, a.Body)
			}
			before := idp.asked.Load()
			var running sync.WaitGroup
			for range 20 {
				running.Go(func() { w.Do("GET http://a.example/a", "Authorization: Bearer good2") })
			}
			running.Wait()
			if n := idp.asked.Load() - before; n != 1 {
				t.Errorf("asked %d times about one token", n)
			}
		})
	}
}

// Whatever becomes of the authorization server, the fault is not the caller's, and
// other routes do not notice.
func TestIntrospectionFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]http.HandlerFunc{
		"down":    func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) },
		"hangs":   func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() },
		"rubbish": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "<html>") },
		"huge":    func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, strings.Repeat(" ", 1<<20)) },
		"resets":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"refuses": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(401) },
	}
	for what, fault := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			idp := newTokenServer(t)
			w := introspected(t, "url: '"+idp.URL+"/introspect'", ", timeout: 200ms, cache: {ttl: 1s, onError: 1m}")
			if a := w.Do("GET http://a.example/a", "Authorization: Bearer good"); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			idp.fault.Store(&fault)
			idp.asked.Store(0)
			time.Sleep(1100 * time.Millisecond)
			for i := range 60 {
				if a := w.Do("GET http://a.example/a", "Authorization: Bearer good"); a.Status != 200 {
					t.Errorf("a token known from before: %d %s", a.Status, a.Body)
				}
				a := w.Do("GET http://a.example/a", fmt.Sprintf("Authorization: Bearer good%d", i))
				if a.Status != 503 || a.Header.Get("Retry-After") == "" || !strings.HasPrefix(a.Code(), "introspection_") || a.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("a new token: %d %v %s", a.Status, a.Header, a.Body)
				}
				if a := w.Do("GET http://a.example/open"); a.Status != 200 {
					t.Errorf("another route: %d", a.Status)
				}
			}
			most := 15
			if what == "huge" { // which says nothing of other tokens
				most = 70
			}
			if n := int(idp.asked.Load()); n > most {
				t.Errorf("asked %d times by 120 requests", n)
			}
			idp.fault.Store(nil)
			late := time.Now().Add(20 * time.Second)
			for i := 0; w.Do("GET http://a.example/a", fmt.Sprintf("Authorization: Bearer good-again%d", i)).Status != 200; i++ {
				if time.Now().After(late) {
					t.Fatal("it does not come back")
				}
				time.Sleep(100 * time.Millisecond)
			}
			if m := w.Metric(fmt.Sprintf(`gatehouse_introspections_total{outcome="failed",server=%q}`, strings.TrimPrefix(idp.URL, "http://"))); m == "" || m == "0" {
				t.Errorf("metric %q", m)
			}
		})
	}
}

// A server that is down at the start is found once it is up.
func TestIntrospectionDownAtStart(t *testing.T) {
	t.Parallel()
	idp := newTokenServer(t)
	down := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) })
	idp.fault.Store(&down)
	w := introspected(t, "issuer: '"+idp.URL+"'", "")
	for range 20 {
		if a := w.Do("GET http://a.example/a", "Authorization: Bearer good"); a.Status != 503 || a.Code() != "introspection_unavailable" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if n := idp.asked.Load(); n > 4 {
		t.Errorf("asked %d times", n)
	}
	idp.fault.Store(nil)
	late := time.Now().Add(10 * time.Second)
	for w.Do("GET http://a.example/a", "Authorization: Bearer good").Status != 200 {
		if time.Now().After(late) {
			t.Fatal("it does not come back")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
