package feature

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
)

// The cluster's API server says whose a token is and what its holder may do. While
// it is away that cannot be told, and other routes do not notice. test/envtest
// asks a real one.
func TestKubernetesReviews(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	var asked atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var q struct {
			Kind string
			Spec struct {
				Token, User string
				NonResource struct{ Path, Verb string } `json:"nonResourceAttributes"`
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || down.Load() {
			rw.WriteHeader(503)
			return
		}
		rw.WriteHeader(201)
		_, _ = fmt.Fprintf(rw, `{"kind":%q,"status":{"authenticated":%v,"user":{"username":%q,"groups":["ops"]},"allowed":%v}}`,
			q.Kind, q.Spec.Token != "bad", q.Spec.Token, q.Spec.User == "ann" && q.Spec.NonResource.Path == "/a/b" && q.Spec.NonResource.Verb == "get")
	}))
	t.Cleanup(api.Close)
	w := Start(t, Base+Route("r", `{name: a, matches: [{path: {value: /a}}], `+toAPI[1:], `{name: open, matches: [{path: {value: /open}}], `+toAPI[1:])+
		Auth("p", "HTTPRoute/r/a", `rules: {authentication: {pods: {kubernetes: {}}}, authorization: {rbac: {kubernetes: {}}, ops: {cel: "'ops' in auth.claims.groups"}}, response: {headers: {x-user: {cel: auth.subject}}}}`),
		func(o *proxy.Options) { o.Cluster = guard.Cluster{URL: api.URL} })
	check := func(token, path string, status int, code string) {
		t.Helper()
		a := w.Do("GET http://a.example"+path, "Authorization: Bearer "+token, "X-User: forged")
		if a.Status != status || a.Code() != code || (status == 503) != (a.Header.Get("Retry-After") != "") {
			t.Errorf("%s at %s: %d %v %s", token, path, a.Status, a.Header, a.Body)
		}
		if status == 200 && (a.Seen().Header["X-User"][0] != token || a.Seen().Header["Authorization"] != nil) {
			t.Errorf("the backend saw %v", a.Seen().Header)
		}
	}
	for range 3 {
		check("ann", "/a/b", 200, "")
		check("ann", "/a/c", 403, "forbidden_by_cluster")
		check("bob", "/a/b", 403, "forbidden_by_cluster")
		check("bad", "/a/b", 401, "cluster_token_invalid")
	}
	if n := asked.Load(); n != 6 {
		t.Errorf("asked %d times", n)
	}
	down.Store(true)
	asked.Store(0)
	for i := range 50 {
		check("ann", "/a/b", 200, "")
		check(fmt.Sprint("new", i), "/a/b", 503, "cluster_unavailable")
		if a := w.Do("GET http://a.example/open"); a.Status != 200 {
			t.Errorf("another route: %d", a.Status)
		}
	}
	if n := asked.Load(); n > 6 {
		t.Errorf("asked %d times while it is down", n)
	}
	down.Store(false)
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if a := w.Do("GET http://a.example/a/b", "Authorization: Bearer "+fmt.Sprint("late", time.Now().UnixNano())); a.Status == 403 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
	}
	if n := w.Metric(`gatehouse_kubernetes_reviews_total{outcome="failed",review="token"}`); n == "" || n == "0" {
		t.Errorf("metric %q", n)
	}
}
