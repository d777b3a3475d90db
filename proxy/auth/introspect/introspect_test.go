package introspect

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is an authorization server. Its answer is what the test sets.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(rw http.ResponseWriter, token string)
	seen   *http.Request
	form   string
	asked  atomic.Int32
	tokens sync.Map // that it was asked about
}

func newProvider(t testing.TB) *provider {
	p := &provider{}
	p.says(`{"active":true,"sub":"ann","aud":"shop","scope":"a b"}`)
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"introspection_endpoint":%q}`, p.URL, p.URL+"/introspect")
		return
	}
	p.asked.Add(1)
	content, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(content)))
	p.tokens.Store(r.FormValue("token"), true)
	p.mu.Lock()
	p.seen, p.form = r, string(content)
	answer := p.answer
	p.mu.Unlock()
	answer(rw, r.FormValue("token"))
}

func (p *provider) does(f func(rw http.ResponseWriter, token string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// question is what it was asked last.
func (p *provider) question() (r *http.Request, form string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen, p.form
}

func (p *provider) says(text string) {
	p.does(func(rw http.ResponseWriter, _ string) { _, _ = io.WriteString(rw, text) })
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

// clock is a wall clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) move(d time.Duration) { c.ahead.Add(int64(d)) }

// stage is a Method that asks a provider.
type stage struct {
	*Method
	*provider
	clock *clock
}

func newStage(t testing.TB, change func(*table.Introspection)) *stage {
	t.Helper()
	s := &stage{provider: newProvider(t), clock: &clock{}}
	o := NewOwner(Config{Now: s.clock.now})
	t.Cleanup(func() {
		o.Close()
		o.cfg.Transport.(*http.Transport).CloseIdleConnections()
	})
	c := &table.Introspection{
		URL: s.URL + "/introspect", ClientID: "gate:way", ClientSecret: []byte("s&cret"), Audiences: []string{"shop"},
		Timeout: 300 * time.Millisecond, TTL: time.Minute, Spare: 5 * time.Minute,
	}
	if change != nil {
		change(c)
	}
	server, err := o.Server(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Method = New(server, bearer{})
	return s
}

func request(token string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{}}
	if token != "" {
		x.Request.Header.Add("Authorization", "Bearer "+token)
	}
	return x
}

func (s *stage) ask(token string) (auth.Result, exchange.Principal) {
	var p exchange.Principal
	r := s.Authenticate(request(token), &p)
	return r, p
}

// is asks about token and compares what comes of it: "ok", or the cause.
func (s *stage) is(t *testing.T, token, want string) {
	t.Helper()
	r, _ := s.ask(token)
	got := r.Code
	if r.Outcome == auth.Accepted {
		got = "ok"
	}
	if got != want {
		t.Errorf("%.20q: %q, want %q", token, got, want)
	}
	ours := strings.HasPrefix(want, "introspection_")
	if ours != (r.Outcome == auth.Unavailable) || ours != (r.RetryAfter > 0) {
		t.Errorf("%.20q: %+v", token, r)
	}
}

func TestAnswers(t *testing.T) {
	later := time.Now().Add(time.Hour).Unix()
	cases := []struct{ answer, want string }{
		{`{"active":true,"aud":"shop"}`, "ok"},
		{`{"active":true,"aud":["x","shop"],"exp":` + fmt.Sprint(later) + `,"token_type":"bearer"}`, "ok"},
		{`{"active":true,"aud":"shop","exp":` + fmt.Sprint(later) + `.5,"iss":"https://me","token_use":"access_token"}`, "ok"},
		{`{"active":true,"aud":["shop",1],"token_type":null,"token_use":"access"}`, "ok"},
		{`{"active":true,"aud":"x"}`, auth.CodeTokenAudience},
		{`{"active":true,"aud":[1]}`, auth.CodeTokenAudience},
		{`{"active":false,"aud":"shop"}`, auth.CodeTokenInactive},
		{`{"active":false}`, auth.CodeTokenInactive},
		{`{"active":true}`, auth.CodeTokenAudience},
		{`{"active":true,"aud":["x"]}`, auth.CodeTokenAudience},
		{`{"active":true,"aud":{"shop":1}}`, auth.CodeTokenAudience},
		{`{"active":true,"aud":"shop","exp":1}`, auth.CodeTokenInactive},
		{`{"active":true,"aud":"shop","exp":0}`, auth.CodeTokenInactive},
		{`{"active":true,"aud":"shop","nbf":` + fmt.Sprint(later) + `}`, auth.CodeTokenEarly},
		{`{"active":true,"aud":"shop","token_type":"DPoP"}`, auth.CodeTokenType},
		{`{"active":true,"aud":"shop","token_type":1}`, auth.CodeTokenType},
		{`{"active":true,"aud":"shop","token_use":"refresh_token"}`, auth.CodeTokenType},
		{`{"active":true,"aud":"shop","iss":"https://you"}`, auth.CodeTokenIssuer},
		{`{"active":true,"aud":"shop","iss":1}`, auth.CodeTokenIssuer},
		{`{"active":"true"}`, auth.CodeIntrospectionInvalid},
		{`{"Active":true}`, auth.CodeIntrospectionInvalid},
		{`{"active":true,"aud":"shop","exp":"soon"}`, auth.CodeIntrospectionInvalid},
		{`{"active":true,"aud":"shop","nbf":-1}`, auth.CodeIntrospectionInvalid},
		{`{"active":true,"aud":"shop","sub":{}}`, auth.CodeIntrospectionInvalid},
		{`{}`, auth.CodeIntrospectionInvalid},
		{`null`, auth.CodeIntrospectionInvalid},
		{`[]`, auth.CodeIntrospectionInvalid},
		{``, auth.CodeIntrospectionInvalid},
		{`<html>`, auth.CodeIntrospectionInvalid},
		{`{"active":true,"aud":"shop","x":"` + "\xff" + `"}`, auth.CodeIntrospectionInvalid},
		{`{"active":true,"aud":"shop","x":"` + strings.Repeat("a", maxAnswer) + `"}`, auth.CodeIntrospectionInvalid},
	}
	for i, c := range cases {
		s := newStage(t, func(c *table.Introspection) { c.Issuer = "https://me" })
		s.says(c.answer)
		if s.is(t, "t", c.want); t.Failed() {
			t.Fatalf("case %d: %.80s", i, c.answer)
		}
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[int]string{
		400: auth.CodeIntrospectionRefused, 401: auth.CodeIntrospectionRefused, 403: auth.CodeIntrospectionRefused,
		404: auth.CodeIntrospectionInvalid, 202: auth.CodeIntrospectionInvalid, 302: auth.CodeIntrospectionInvalid, 204: auth.CodeIntrospectionInvalid,
		500: auth.CodeIntrospection, 503: auth.CodeIntrospection,
	} {
		s := newStage(t, nil)
		s.does(func(rw http.ResponseWriter, _ string) {
			rw.Header().Set("Location", s.URL+"/elsewhere")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, `{"active":true,"aud":"shop"}`)
		})
		s.is(t, "t", want)
		if n := s.asked.Load(); n != 1 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

func TestTokenTypes(t *testing.T) {
	s := newStage(t, func(c *table.Introspection) { c.TokenTypes, c.Audiences = []string{"N_A", "Bearer"}, nil })
	for answer, want := range map[string]string{
		`{"active":true,"token_type":"n_a"}`:                     "ok",
		`{"active":true,"token_type":"BEARER"}`:                  "ok",
		`{"active":true,"token_type":"mac"}`:                     auth.CodeTokenType,
		`{"active":true}`:                                        auth.CodeTokenType,
		`{"active":true,"token_type":"N_A","iss":"https://any"}`: "ok", // no issuer is asked for
	} {
		s.says(answer)
		s.is(t, fmt.Sprintf("t%d-%d", len(answer), len(want)), want)
	}
}

// The question is that of RFC 7662, with the client's credentials as RFC 6749
// writes them; a token has only characters of one.
func TestQuestion(t *testing.T) {
	s := newStage(t, nil)
	r, p := s.ask("a+b/c=")
	if r.Outcome != auth.Accepted || p.Subject != "ann" || p.Claims["scope"] != "a b" {
		t.Fatalf("%+v %+v", r, p)
	}
	seen, form := s.question()
	id, secret, _ := seen.BasicAuth()
	if seen.Method != "POST" || seen.URL.Path != "/introspect" || form != "token=a%2Bb%2Fc%3D&token_type_hint=access_token" || id != "gate%3Away" || secret != "s%26cret" {
		t.Errorf("asked %s %s %q as %q %q", seen.Method, seen.URL, form, id, secret)
	}
	s = newStage(t, func(c *table.Introspection) { c.Post = true })
	s.is(t, "t", "ok")
	if seen, form := s.question(); form != "client_id=gate%3Away&client_secret=s%26cret&token=t&token_type_hint=access_token" || seen.Header.Get("Authorization") != "" {
		t.Errorf("asked %q with %v", form, seen.Header)
	}
	before := s.asked.Load()
	s.is(t, "a b", auth.CodeTokenMalformed)
	s.is(t, "a\x00", auth.CodeTokenMalformed)
	s.is(t, "ä", auth.CodeTokenMalformed)
	s.is(t, strings.Repeat("a", maxToken+1), auth.CodeTokenMalformed)
	if r, _ := s.ask(""); r.Outcome != auth.Absent {
		t.Errorf("without a token: %+v", r)
	}
	if s.asked.Load() != before {
		t.Error("it was asked about what cannot be a token")
	}
}

func TestSubjects(t *testing.T) {
	for answer, want := range map[string]string{
		`"sub":"s","username":"u","client_id":"c"`: "s",
		`"username":"u","client_id":"c"`:           "u",
		`"client_id":"c"`:                          "c",
		`"x":1`:                                    "",
	} {
		s := newStage(t, func(c *table.Introspection) { c.Audiences = nil })
		s.says(`{"active":true,` + answer + `}`)
		if _, p := s.ask("t"); p.Subject != want {
			t.Errorf("%s: %q", answer, p.Subject)
		}
	}
}

func TestDiscovery(t *testing.T) {
	s := newStage(t, func(c *table.Introspection) { c.Issuer, c.URL = c.URL[:strings.LastIndex(c.URL, "/")], "" })
	s.is(t, "t", "ok")
	s.is(t, "u", "ok")
	other := newStage(t, func(c *table.Introspection) { c.Issuer, c.URL = c.URL, "" }) // names another issuer
	other.is(t, "t", auth.CodeIntrospection)
	gone := newStage(t, func(c *table.Introspection) { c.Issuer, c.URL = "http://127.0.0.1:1", "" })
	gone.is(t, "t", auth.CodeIntrospection)
	if n := other.asked.Load() + gone.asked.Load(); n > 1 {
		t.Errorf("an endpoint that is not known was asked %d times", n)
	}
}

func TestServers(t *testing.T) {
	o := NewOwner(Config{})
	defer o.Close()
	for _, bad := range []table.Introspection{
		{}, {Issuer: "me"}, {URL: "ftp://a"}, {URL: "https://u:p@a/"}, {URL: "/a"}, {Backend: "shop/a:80", URL: "https://a"}, {Backend: "shop/a:80"},
	} {
		if _, err := o.Server(&bad); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// What is remembered of a token is what one server said, to those who asked for it.
func TestServersShareNothing(t *testing.T) {
	p := newProvider(t)
	o := NewOwner(Config{})
	t.Cleanup(func() {
		o.Close()
		o.cfg.Transport.(*http.Transport).CloseIdleConnections()
	})
	with := func(audience string) *stage {
		server, err := o.Server(&table.Introspection{URL: p.URL, ClientID: "c", ClientSecret: []byte("s"), Audiences: []string{audience}, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return &stage{Method: New(server, bearer{}), provider: p}
	}
	shop, again, other := with("shop"), with("shop"), with("other")
	shop.is(t, "t", "ok")
	other.is(t, "t", auth.CodeTokenAudience)
	again.is(t, "t", "ok")
	shop.is(t, "t", "ok")
	if n := p.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want once for each audience", n)
	}
}

func TestThroughBackend(t *testing.T) {
	p := newProvider(t)
	set := upstream.New(upstream.Config{})
	defer set.Close()
	o := NewOwner(Config{Through: func(id string, http2 bool) http.RoundTripper { return remote.Through(set.Backend(id, ""), http2) }})
	defer o.Close()
	server, err := o.Server(&table.Introspection{Backend: "shop/idp:80", Path: "/oauth2/introspect", ClientID: "c", ClientSecret: []byte("s"), TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Method: New(server, bearer{}), provider: p}
	s.is(t, "t", auth.CodeIntrospection)
	set.SetEndpoints("shop/idp:80", []table.Endpoint{{Address: netip.MustParseAddrPort(p.Listener.Addr().String())}})
	time.Sleep(restFirst + 50*time.Millisecond)
	s.is(t, "t", "ok")
	if seen, _ := p.question(); seen.Host != "idp.shop:80" || seen.URL.Path != "/oauth2/introspect" {
		t.Errorf("asked %s at %s", seen.URL, seen.Host)
	}
}

// An answer is used until its time, or the token's, is over.
func TestLives(t *testing.T) {
	s := newStage(t, nil)
	for range 5 {
		s.is(t, "t", "ok")
	}
	s.clock.move(59 * time.Second)
	s.is(t, "t", "ok")
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	s.says(`{"active":false}`) // revoked
	s.clock.move(2 * time.Second)
	s.is(t, "t", auth.CodeTokenInactive)
	s.is(t, "t", auth.CodeTokenInactive)
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	s.says(`{"active":true,"aud":"shop","exp":` + fmt.Sprint(s.clock.now().Add(40*time.Second).Unix()) + `}`)
	s.clock.move(negativeTTL + time.Second)
	s.is(t, "t", "ok")
	s.clock.move(30 * time.Second)
	s.does(func(rw http.ResponseWriter, _ string) { rw.WriteHeader(500) })
	s.is(t, "t", auth.CodeIntrospection) // its exp is past: what was known of it is no good, though the server is down
}

// While the server gives no answer, what it said last counts for a while.
func TestOutage(t *testing.T) {
	for what, f := range map[string]func(http.ResponseWriter, string){
		"down":    func(rw http.ResponseWriter, _ string) { rw.WriteHeader(503) },
		"resets":  func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) },
		"slow":    func(http.ResponseWriter, string) { time.Sleep(600 * time.Millisecond) },
		"rubbish": func(rw http.ResponseWriter, _ string) { _, _ = io.WriteString(rw, "{{{") },
		"huge":    func(rw http.ResponseWriter, _ string) { _, _ = io.WriteString(rw, strings.Repeat(" ", 10*maxAnswer)) },
		"locked":  func(rw http.ResponseWriter, _ string) { rw.WriteHeader(401) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newStage(t, nil)
			s.is(t, "known", "ok")
			s.does(f)
			if r, _ := s.ask("new"); r.Outcome != auth.Unavailable {
				t.Errorf("a new token: %+v", r)
			}
			s.clock.move(time.Minute + time.Second)
			s.is(t, "known", "ok")
			s.clock.move(4 * time.Minute)
			s.is(t, "known", "ok")
			s.clock.move(2 * time.Minute)
			r, _ := s.ask("known")
			for end := time.Now().Add(5 * time.Second); r.Outcome != auth.Unavailable && time.Now().Before(end); { // of a question that is under way since before
				time.Sleep(time.Millisecond)
				r, _ = s.ask("known")
			}
			if r.Outcome != auth.Unavailable {
				t.Errorf("beyond the time to spare: %+v", r)
			}
			s.says(`{"active":true,"aud":"shop"}`)
			s.clock.move(restLast + time.Second)
			s.is(t, "new", "ok")
		})
	}
}

// A token that the server does not take as a question is no reason to leave it alone.
func TestMadeUpTokens(t *testing.T) {
	for _, status := range []int{400, 403, 404, 406, 413, 422} {
		s := newStage(t, nil)
		s.does(func(rw http.ResponseWriter, token string) {
			if strings.HasPrefix(token, "../") {
				rw.WriteHeader(status)
				return
			}
			_, _ = io.WriteString(rw, `{"active":true,"aud":"shop"}`)
		})
		for i := range 2 * patience {
			if r, _ := s.ask(fmt.Sprintf("../%d", i)); r.Outcome == auth.Accepted {
				t.Errorf("%d: a made-up token: %+v", status, r)
			}
		}
		s.is(t, "honest", "ok")
	}
}

// A storm on one token, or on many, is few questions.
func TestStorms(t *testing.T) {
	patient := func(c *table.Introspection) { c.Timeout = 10 * time.Second } // the machine may be busy
	storm := func(s *stage, token func(i int) string) (accepted int32) {
		var running sync.WaitGroup
		var ok atomic.Int32
		for g := range 50 {
			running.Go(func() {
				for i := range 20 {
					if r, _ := s.ask(token(20*g + i)); r.Outcome == auth.Accepted {
						ok.Add(1)
					}
				}
			})
		}
		running.Wait()
		return ok.Load()
	}
	s := newStage(t, patient)
	if n := storm(s, func(int) string { return "one" }); n != 1000 || s.asked.Load() != 1 {
		t.Errorf("one token: %d accepted, asked %d times", n, s.asked.Load())
	}
	s = newStage(t, patient)
	if n := storm(s, func(i int) string { return fmt.Sprint("t", i) }); n != 1000 || s.asked.Load() != 1000 {
		t.Errorf("many tokens: %d accepted, asked %d times", n, s.asked.Load())
	}
	s = newStage(t, patient)
	s.does(func(rw http.ResponseWriter, _ string) { rw.WriteHeader(500) })
	storm(s, func(i int) string { return fmt.Sprint("t", i) })
	if n := s.asked.Load(); n > 50+patience+10 { // as many as ask at once, until it rests
		t.Errorf("many tokens while it is down: asked %d times", n)
	}
	before := s.asked.Load()
	storm(s, func(int) string { return "one" })
	if n := s.asked.Load() - before; n > 3 {
		t.Errorf("one token while it is down: asked %d times", n)
	}
}

// What an operator assumes is judged as an answer would be.
func TestAssume(t *testing.T) {
	s := newStage(t, nil)
	var p exchange.Principal
	if r := s.Assume(map[string]any{"aud": "shop", "sub": "bob"}, &p); r.Outcome != auth.Accepted || p.Subject != "bob" {
		t.Errorf("%+v %+v", r, p)
	}
	if r := s.Assume(nil, &p); r.Code != auth.CodeTokenAudience {
		t.Errorf("%+v", r)
	}
	if r := s.Assume(map[string]any{"exp": "x"}, &p); r.Outcome == auth.Accepted {
		t.Errorf("%+v", r)
	}
	if s.asked.Load() != 0 {
		t.Error("the server was asked")
	}
}

// Nothing of a token or secret stands in what is kept or told.
func TestNothingIsTold(t *testing.T) {
	s := newStage(t, nil)
	s.does(func(rw http.ResponseWriter, _ string) { rw.WriteHeader(500) })
	_, err := s.server.owner.cache.Load(t.Context(), "k", s.server.fetcher("planted-token"))
	if err == nil || strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "cret") {
		t.Errorf("%v", err)
	}
}
