package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers reviews with a status. What a real API server answers is proven
// in test/envtest; this one can be broken.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(rw http.ResponseWriter, kind string)
	spec   string // of the last question
	at     string
	asked  atomic.Int32
}

func newServer(t testing.TB) *server {
	s := &server{}
	s.says(`{"authenticated":true,"user":{"username":"system:serviceaccount:shop:ann","uid":"7","groups":["system:serviceaccounts","ops"],"extra":{"b":["2"],"a":["1","0"]}},"audiences":["shop"],"allowed":true}`)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	var question struct {
		Kind string          `json:"kind"`
		Spec json.RawMessage `json:"spec"`
	}
	_ = json.NewDecoder(r.Body).Decode(&question)
	s.mu.Lock()
	s.spec, s.at = string(question.Spec), r.Method+" "+r.URL.Path
	answer := s.answer
	s.mu.Unlock()
	answer(rw, question.Kind)
}

func (s *server) does(f func(rw http.ResponseWriter, kind string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *server) says(status string) {
	s.does(func(rw http.ResponseWriter, kind string) {
		rw.WriteHeader(201)
		_, _ = fmt.Fprintf(rw, `{"kind":%q,"status":%s}`, kind, status)
	})
}

func (s *server) question() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at + " " + s.spec
}

// bearer is where the tests' tokens stand.
type bearer struct{}

func (bearer) Find(x *exchange.Exchange) (string, auth.Outcome) {
	v, ok := x.Request.Header.Get("authorization")
	if token, bears := strings.CutPrefix(v, "Bearer "); ok && bears {
		return token, auth.Accepted
	}
	return "", auth.Absent
}

func (bearer) Strip(*exchange.Exchange) {}

// stage is an Owner, with a clock that tests move.
type stage struct {
	*Owner
	*server
	ahead atomic.Int64
}

func newStage(t testing.TB) *stage {
	t.Helper()
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{server: newServer(t)}
	s.Owner = NewOwner(Config{URL: s.URL + "/", Env: env, Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }})
	t.Cleanup(s.Owner.Close)
	return s
}

func (s *stage) Close() {} // which of both is asked for is said

func request(token string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{}}
	x.Request = exchange.Request{Method: "GET", Scheme: "https", Authority: "a.example", Host: "a.example", Path: "/orders/5"}
	if token != "" {
		x.Request.Header.Add("Authorization", "Bearer "+token)
	}
	return x
}

// is asks about a token and compares what comes of it: "ok", or the cause.
func is(t *testing.T, r auth.Result, want string) {
	t.Helper()
	got := r.Code
	if r.Outcome == auth.Accepted {
		got = "ok"
	}
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	ours := strings.HasPrefix(want, "cluster_") && want != auth.CodeClusterToken
	if ours != (r.Outcome == auth.Unavailable) || ours != (r.RetryAfter > 0) {
		t.Errorf("%+v", r)
	}
}

func TestTokens(t *testing.T) {
	s := newStage(t)
	m := s.Method(&table.TokenReview{Audiences: []string{"shop"}}, bearer{})
	x := request("t")
	is(t, m.Authenticate(x, &x.Principal), "ok")
	if got := s.question(); got != `POST /apis/authentication.k8s.io/v1/tokenreviews {"token":"t","audiences":["shop"]}` {
		t.Errorf("asked %s", got)
	}
	p := &x.Principal
	if p.Subject != "system:serviceaccount:shop:ann" || fmt.Sprintf("%v %v %v", p.Claims["groups"], p.Claims["uid"], p.Claims["extra"]) != "[system:serviceaccounts ops] 7 map[a:[1 0] b:[2]]" || p.Cluster == nil {
		t.Errorf("%+v", p)
	}
	for range 5 {
		is(t, m.Authenticate(x, &x.Principal), "ok")
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	other := s.Method(&table.TokenReview{Audiences: []string{"other"}}, bearer{}) // what is known of the token is not for it
	is(t, other.Authenticate(request("t"), &exchange.Principal{}), auth.CodeClusterToken)
	s.asked.Store(1)
	for status, want := range map[string]string{
		`{"authenticated":false,"error":"[invalid bearer token]"}`:                                      auth.CodeClusterToken,
		`{"user":{"username":"a"},"audiences":["shop"]}`:                                                auth.CodeClusterToken,
		`{"authenticated":true,"user":{"username":"a"},"audiences":["other"]}`:                          auth.CodeClusterToken,
		`{"authenticated":true,"user":{"username":"a"}}`:                                                auth.CodeClusterToken,
		`{"authenticated":true,"user":{"username":""},"audiences":["shop"]}`:                            auth.CodeClusterToken,
		`{"authenticated":true,"user":{"username":"system:anonymous"},"audiences":["shop"]}`:            auth.CodeClusterToken,
		`{"authenticated":true,"user":{"username":"a"},"audiences":["x","shop"]}`:                       "ok",
		`{"authenticated":"true"}`:                                                                      auth.CodeClusterUnavailable,
		`null`:                                                                                          auth.CodeClusterUnavailable,
		`{"authenticated":true,"x":"` + strings.Repeat("a", maxAnswer) + `"}`:                           auth.CodeClusterUnavailable,
		`{"authenticated":true,"user":{"username":"a","groups":"system:masters"},"audiences":["shop"]}`: auth.CodeClusterUnavailable,
	} {
		s := newStage(t)
		s.says(status)
		x := request("t")
		is(t, s.Method(&table.TokenReview{Audiences: []string{"shop"}}, bearer{}).Authenticate(x, &x.Principal), want)
	}
	for _, none := range []string{strings.Repeat("a", maxToken+1), "\u00a0", "a b", " a", "\u3000\u2003", "\t", "\xff"} {
		is(t, m.Authenticate(request(none), p), auth.CodeTokenMalformed)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times, of what cannot be a token", n)
	}
	if r := m.Authenticate(request(""), p); r.Outcome != auth.Absent {
		t.Errorf("%+v", r)
	}
}

// asked is a rule's question about a caller.
func (s *stage) ask(t *testing.T, r *table.AccessReview, x *exchange.Exchange) (auth.Result, string) {
	t.Helper()
	rule, err := s.Rule(r)
	if err != nil {
		t.Fatal(err)
	}
	res := rule.Authorize(x)
	return res, strings.TrimPrefix(s.question(), "POST /apis/authorization.k8s.io/v1/subjectaccessreviews ")
}

func value(s string) table.Text { return table.Text{Value: s} }

// Why nothing could be asked names the attribute, and nothing of the request's.
func TestCause(t *testing.T) {
	s := newStage(t)
	is := func(want string, r *table.AccessReview) {
		t.Helper()
		rule, err := s.Rule(r)
		if err != nil {
			t.Fatal(err)
		}
		x := request("")
		if res, got := rule.Authorize(x), rule.Cause(x); res.Code != auth.CodeRuleError || got != want {
			t.Errorf("%s: %q, want %q", res.Code, got, want)
		}
	}
	is("path: division by zero", &table.AccessReview{Path: table.Text{CEL: "string(1 / size(auth.subject))"}})
	is("verb: it has no value", &table.AccessReview{Verb: table.Text{CEL: "auth.claims.none"}})
	is("namespace: it has no value", &table.AccessReview{Resource: &table.ResourceAttributes{Resource: value("orders"), Namespace: table.Text{CEL: "request.headers['x-none']"}}})
	is("resource: it has no value", &table.AccessReview{Resource: &table.ResourceAttributes{Resource: table.Text{CEL: "''"}}})
}

func TestQuestions(t *testing.T) {
	s := newStage(t)
	resource := &table.AccessReview{Resource: &table.ResourceAttributes{
		Group: value("shop.example"), Resource: value("orders"), Namespace: value("shop"), Name: table.Text{CEL: "request.path.substring(8)"},
	}}
	list := &table.AccessReview{Resource: &table.ResourceAttributes{Resource: value("orders"), Subresource: value("status"), Version: value("v1")}}
	open := &table.AccessReview{}
	fixed := &table.AccessReview{Path: value("/orders"), Verb: table.Text{CEL: "'use'"}}
	prefixed := &table.AccessReview{Prefix: "oidc:"}
	jwt := exchange.Principal{Subject: "ann", Claims: map[string]any{"groups": []any{"ops", "system:masters", 5.0}}}
	key := exchange.Principal{Subject: "ann", Claims: map[string]any{"groups": []string{"ops"}}}
	cluster := exchange.Principal{Subject: "x", Claims: map[string]any{"groups": []any{"forged"}}, Cluster: &exchange.ClusterUser{
		Name: "system:serviceaccount:shop:ann", UID: "7", Groups: []string{"system:authenticated"}, Extra: map[string][]string{"a": {"1"}},
	}}
	for _, c := range []struct {
		rule   *table.AccessReview
		method string
		who    exchange.Principal
		want   string
	}{
		{resource, "GET", jwt, `{"resourceAttributes":{"verb":"get","group":"shop.example","resource":"orders","namespace":"shop","name":"5"},"user":"ann","groups":["ops"]}`},
		{resource, "DELETE", jwt, `{"resourceAttributes":{"verb":"delete","group":"shop.example","resource":"orders","namespace":"shop","name":"5"},"user":"ann","groups":["ops"]}`},
		{list, "GET", key, `{"resourceAttributes":{"verb":"list","version":"v1","resource":"orders","subresource":"status"},"user":"ann","groups":["ops"]}`},
		{list, "DELETE", key, `{"resourceAttributes":{"verb":"deletecollection","version":"v1","resource":"orders","subresource":"status"},"user":"ann","groups":["ops"]}`},
		{list, "PUT", key, `{"resourceAttributes":{"verb":"update","version":"v1","resource":"orders","subresource":"status"},"user":"ann","groups":["ops"]}`},
		{open, "GET", cluster, `{"nonResourceAttributes":{"path":"/orders/5","verb":"get"},"user":"system:serviceaccount:shop:ann","uid":"7","groups":["system:authenticated"],"extra":{"a":["1"]}}`},
		{open, "PURGE", exchange.Principal{}, `{"nonResourceAttributes":{"path":"/orders/5","verb":"purge"},"user":"system:anonymous","groups":["system:unauthenticated"]}`},
		{fixed, "GET", key, `{"nonResourceAttributes":{"path":"/orders","verb":"use"},"user":"ann","groups":["ops"]}`},
		{prefixed, "GET", jwt, `{"nonResourceAttributes":{"path":"/orders/5","verb":"get"},"user":"oidc:ann","groups":["oidc:ops","oidc:system:masters"]}`},
	} {
		x := request("")
		x.Request.Method, x.Principal = c.method, c.who
		r, got := s.ask(t, c.rule, x)
		if is(t, r, "ok"); got != c.want {
			t.Errorf("asked %s\nwant  %s", got, c.want)
		}
	}

	// What is not a question is refused, and nobody is asked.
	before := s.asked.Load()
	x := request("")
	x.Principal = exchange.Principal{Subject: "system:admin"}
	r, _ := s.ask(t, open, x)
	is(t, r, auth.CodeClusterForbidden)
	x.Principal.Subject = "tem:admin"
	r, _ = s.ask(t, &table.AccessReview{Prefix: "sys"}, x)
	is(t, r, auth.CodeClusterForbidden)
	r, _ = s.ask(t, &table.AccessReview{Resource: &table.ResourceAttributes{Resource: table.Text{CEL: "''"}}}, x)
	is(t, r, auth.CodeRuleError)
	x.Principal.Subject = "ann"
	r, _ = s.ask(t, &table.AccessReview{Resource: &table.ResourceAttributes{Resource: table.Text{CEL: "auth.claims.none"}}}, x)
	is(t, r, auth.CodeRuleError)
	missing := table.Text{CEL: "request.headers['x-nobody']"}
	for _, part := range []table.ResourceAttributes{{Namespace: missing}, {Name: missing}, {Group: table.Text{CEL: "auth.claims.none"}}, {Subresource: table.Text{CEL: "null"}}} {
		part.Resource = value("orders")
		r, _ = s.ask(t, &table.AccessReview{Resource: &part}, x)
		is(t, r, auth.CodeRuleError)
	}
	for _, part := range []table.AccessReview{{Verb: missing}, {Path: missing}} {
		r, _ = s.ask(t, &part, x)
		is(t, r, auth.CodeRuleError)
	}
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("asked %d times", n)
	}
	for _, bad := range []*table.AccessReview{{Verb: table.Text{CEL: "nothing("}}, {Resource: &table.ResourceAttributes{}}} {
		if _, err := s.Rule(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestDecisions(t *testing.T) {
	for status, want := range map[string]string{
		`{"allowed":true}`:                              "ok",
		`{"allowed":true,"denied":true}`:                auth.CodeClusterForbidden,
		`{"allowed":false}`:                             auth.CodeClusterForbidden,
		`{"allowed":false,"evaluationError":"webhook"}`: auth.CodeClusterForbidden,
		`{}`:            auth.CodeClusterForbidden,
		`{"allowed":1}`: auth.CodeClusterUnavailable,
		`[]`:            auth.CodeClusterUnavailable,
	} {
		s := newStage(t)
		s.says(status)
		r, _ := s.ask(t, &table.AccessReview{}, request(""))
		is(t, r, want)
	}
	// One decision is for one caller and one question.
	s := newStage(t)
	for _, subject := range []string{"ann", "bob", "ann", "bob"} {
		for _, path := range []string{"/a", "/b"} {
			x := request("")
			x.Principal.Subject, x.Request.Path = subject, path
			r, _ := s.ask(t, &table.AccessReview{}, x)
			is(t, r, "ok")
		}
	}
	if n := s.asked.Load(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	// It is for all that is asked: groups, who has authenticated, and whether it is a path.
	before := s.asked.Load()
	get := func(r table.AccessReview) *table.AccessReview { r.Verb = value("get"); return &r }
	paths, prefixed := get(table.AccessReview{Path: value("/a")}), get(table.AccessReview{Path: value("/a"), Prefix: "idp:"})
	resources := get(table.AccessReview{Resource: &table.ResourceAttributes{Resource: value("/a")}})
	in := func(groups ...string) map[string]any { return map[string]any{"groups": groups} }
	questions := []struct {
		review *table.AccessReview
		caller exchange.Principal
	}{
		{paths, exchange.Principal{Subject: "eve"}},
		{paths, exchange.Principal{Subject: "eve", Claims: in("ops")}},
		{paths, exchange.Principal{Subject: "eve", Claims: in("ops", "dev")}},
		{paths, exchange.Principal{Subject: "eve", Claims: in("opsdev")}},
		{paths, exchange.Principal{Subject: "eve", Cluster: &exchange.ClusterUser{Sum: [32]byte{1}}}},
		{paths, exchange.Principal{Subject: "eve", Cluster: &exchange.ClusterUser{Sum: [32]byte{2}}}},
		{prefixed, exchange.Principal{Subject: "eve"}},
		{resources, exchange.Principal{Subject: "eve"}},
	}
	for range 2 {
		for _, q := range questions {
			x := request("")
			x.Principal = q.caller
			r, _ := s.ask(t, q.review, x)
			is(t, r, "ok")
		}
	}
	if n := int(s.asked.Load() - before); n != len(questions) {
		t.Errorf("asked %d times for %d questions", n, len(questions))
	}
	s.says(`{"allowed":false}`) // the right is withdrawn
	s.ahead.Add(int64(fresh + time.Second))
	x := request("")
	x.Principal.Subject, x.Request.Path = "ann", "/a"
	r, _ := s.ask(t, &table.AccessReview{}, x)
	is(t, r, auth.CodeClusterForbidden)
}

func TestOutage(t *testing.T) {
	for what, f := range map[string]func(http.ResponseWriter, string){
		"down":    func(rw http.ResponseWriter, _ string) { rw.WriteHeader(503) },
		"busy":    func(rw http.ResponseWriter, _ string) { rw.WriteHeader(429) },
		"resets":  func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) },
		"rubbish": func(rw http.ResponseWriter, _ string) { _, _ = io.WriteString(rw, "{{{") },
		"refuses": func(rw http.ResponseWriter, _ string) { rw.WriteHeader(403) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newStage(t)
			m := s.Method(&table.TokenReview{}, bearer{})
			x := request("known")
			is(t, m.Authenticate(x, &x.Principal), "ok")
			r, _ := s.ask(t, &table.AccessReview{}, x)
			is(t, r, "ok")
			s.does(f)
			s.asked.Store(0)
			for i := range 50 {
				if r := m.Authenticate(request(fmt.Sprint("new", i)), &exchange.Principal{}); r.Outcome != auth.Unavailable {
					t.Errorf("a new token: %+v", r)
				}
			}
			s.ahead.Add(int64(fresh + time.Second))
			is(t, m.Authenticate(x, &x.Principal), "ok")
			r, _ = s.ask(t, &table.AccessReview{}, x)
			is(t, r, "ok")
			s.ahead.Add(int64(spare))
			if r := m.Authenticate(request("known"), &exchange.Principal{}); r.Outcome != auth.Unavailable {
				t.Errorf("after a minute: %+v", r)
			}
			if s.asked.Load() > 10 {
				t.Errorf("asked %d times", s.asked.Load())
			}
		})
	}
	none := NewOwner(Config{})
	defer none.Close()
	is(t, none.Method(&table.TokenReview{}, bearer{}).Authenticate(request("t"), &exchange.Principal{}), auth.CodeClusterUnavailable)
}

// TestLargeAnswers: an answer holds the question, and whose is too large for that or
// for what is known of them keeps nobody else from theirs.
func TestLargeAnswers(t *testing.T) {
	s := newStage(t)
	m := s.Method(&table.TokenReview{}, bearer{})
	s.does(func(rw http.ResponseWriter, kind string) {
		_, spec, _ := strings.Cut(s.question(), "tokenreviews ")
		user := map[string]string{"username": "ann"}
		if strings.Contains(spec, "many") {
			user["uid"] = strings.Repeat("x", maxAnswer)
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"kind": kind, "spec": json.RawMessage(spec), "status": map[string]any{"authenticated": true, "user": user},
		})
	})
	is(t, m.Authenticate(request(strings.Repeat("<", maxToken)), &exchange.Principal{}), "ok")
	for i := range 2 * patience {
		is(t, m.Authenticate(request(fmt.Sprint("many", i)), &exchange.Principal{}), auth.CodeClusterUnavailable)
	}
	is(t, m.Authenticate(request("t"), &exchange.Principal{}), "ok")
}

func TestKeptAnswersDoNotAllocate(t *testing.T) {
	s := newStage(t)
	m := s.Method(&table.TokenReview{}, bearer{})
	rule, err := s.Rule(&table.AccessReview{})
	if err != nil {
		t.Fatal(err)
	}
	x := request("t")
	m.Authenticate(x, &x.Principal)
	rule.Authorize(x)
	if n := testing.AllocsPerRun(100, func() {
		x.Arena.Reset()
		if m.Authenticate(x, &x.Principal).Outcome != auth.Accepted || rule.Authorize(x).Outcome != auth.Accepted {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMethod(b *testing.B) {
	s := newStage(b)
	m := s.Method(&table.TokenReview{}, bearer{})
	rule, err := s.Rule(&table.AccessReview{})
	if err != nil {
		b.Fatal(err)
	}
	x := request("t")
	b.Run("kubernetes/cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Authenticate(x, &x.Principal)
		}
	})
	b.Run("kubernetes/asked", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			x := request(fmt.Sprint("t", i))
			if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
				b.Fatal(r)
			}
		}
	})
	b.Run("rules/kubernetes cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Arena.Reset()
			rule.Authorize(x)
		}
	})
}

// FuzzStatus: nothing panics, and only what says so in so many words lets pass.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"kind":"TokenReview","status":{"authenticated":true,"user":{"username":"a","groups":["b"],"extra":{"c":["d"]}},"audiences":["shop"]}}`))
	f.Add([]byte(`{"kind":"SubjectAccessReview","status":{"allowed":true}}`))
	f.Add([]byte(`{"kind":"Status","status":"Failure"}`))
	m := &Method{t: &table.TokenReview{Audiences: []string{"shop"}}}
	f.Fuzz(func(t *testing.T, content []byte) {
		if s, err := parse[tokenStatus](content, "TokenReview"); err == nil {
			if u := m.user(&s); u != nil && (!strings.Contains(strings.ToLower(string(content)), "true") || u.Subject == "" || u.Cluster.Sum == [32]byte{}) {
				t.Fatalf("%s is %+v", content, u)
			}
		}
		if s, err := parse[accessStatus](content, "SubjectAccessReview"); err == nil && s.Allowed && !strings.Contains(string(content), "true") {
			t.Fatalf("%s allows", content)
		}
	})
}
