package grant

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is an Owner, a token endpoint and a clock.
type stage struct {
	*Owner
	t      testing.TB
	server *httptest.Server
	calls  atomic.Int32
	clock  atomic.Int64 // nanoseconds after the start

	mu       sync.Mutex
	answer   http.HandlerFunc
	form     url.Values // of the last call
	header   http.Header
	outcomes []string
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t}
	s.server = httptest.NewServer(s)
	start := time.Unix(1_800_000_000, 0)
	s.Owner = NewOwner(Config{Now: func() time.Time { return start.Add(time.Duration(s.clock.Load())) }, Asked: func(service, outcome string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.HasPrefix(s.server.URL, "http://"+service) {
			t.Errorf("service %q", service)
		}
		s.outcomes = append(s.outcomes, outcome)
	}})
	t.Cleanup(func() { s.Close(); s.server.Close() })
	s.answers(tokens("t", 300))
	return s
}

// ServeHTTP implements http.Handler, for what any token endpoint demands (RFC 6749, section 3.2).
func (s *stage) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		s.t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	if err := r.ParseForm(); err != nil {
		s.t.Error(err)
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "audience" && name != "resource" { // section 3.2; RFC 8693, section 2.1
			s.t.Errorf("%s is there %d times", name, len(values))
		}
	}
	s.mu.Lock()
	answer := s.answer
	s.form, s.header = r.PostForm, r.Header
	s.mu.Unlock()
	answer(rw, r)
}

func (s *stage) answers(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// tokens answers with a token that lasts so many seconds; 0: it does not say.
func tokens(token string, seconds int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		expires := ""
		if seconds != 0 {
			expires = fmt.Sprintf(`,"expires_in":%d`, seconds)
		}
		_, _ = fmt.Fprintf(rw, `{"access_token":%q,"token_type":"Bearer"%s}`, token, expires)
	}
}

func says(status int, content string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, content)
	}
}

func (s *stage) grant(change ...func(*table.TokenGrant)) *Grant {
	s.t.Helper()
	t := &table.TokenGrant{URL: s.server.URL, ClientID: "gate house", ClientSecret: table.Secret("s:e%c"), Timeout: time.Second}
	for _, c := range change {
		c(t)
	}
	g, err := s.Grant(t, table.TokenHeader{Name: "authorization", Scheme: "Bearer"})
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func exchanging(t *table.TokenGrant) {
	t.Exchange = &table.Exchange{Subject: "urn:ietf:params:oauth:token-type:access_token"}
}

func caller(token string, expires int64) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Principal.Token, x.Principal.Expires = token, expires
	return x
}

// get is the field's value, or status-like words for why there is none.
func get(g *Grant, x *exchange.Exchange) string {
	v, r := g.Value(x)
	switch {
	case r.Outcome == auth.Accepted:
		return v
	case r.Outcome == auth.Unavailable && r.RetryAfter > 0:
		return "503 " + r.Code
	case r.Outcome == auth.Rejected:
		return "403 " + r.Code
	}
	return fmt.Sprintf("%q, %+v", v, r)
}

func (s *stage) want(got, want string, calls int32) {
	s.t.Helper()
	if got != want || s.calls.Load() != calls {
		s.t.Errorf("%q after %d calls, want %q after %d", got, s.calls.Load(), want, calls)
	}
}

func TestClientCredentials(t *testing.T) {
	s := newStage(t)
	g := s.grant(func(t *table.TokenGrant) {
		t.Scopes, t.Audiences, t.Resources = []string{"a", "b"}, []string{"x", "y"}, []string{"https://r"}
	})
	s.want(get(g, caller("", 0)), "Bearer t", 1)
	if got, want := s.form.Encode(), "audience=x&audience=y&grant_type=client_credentials&resource=https%3A%2F%2Fr&scope=a+b"; got != want {
		t.Errorf("form %s, want %s", got, want)
	}
	// id and secret are encoded before they are joined (RFC 6749, section 2.3.1).
	if got := s.header.Get("Authorization"); got != "Basic Z2F0ZStob3VzZTpzJTNBZSUyNWM=" {
		t.Errorf("Authorization %s", got)
	}
	s.want(get(g, caller("other", 1)), "Bearer t", 1)
	post := s.grant(func(t *table.TokenGrant) { t.Post = true })
	s.want(get(post, caller("", 0)), "Bearer t", 2)
	if s.form.Get("client_id") != "gate house" || s.form.Get("client_secret") != "s:e%c" || s.header.Get("Authorization") != "" {
		t.Errorf("form %v, header %v", s.form, s.header)
	}
}

// A token is fetched again before it runs out, and serves until then if that fails.
func TestRenewal(t *testing.T) {
	s := newStage(t)
	g := s.grant()
	s.want(get(g, caller("", 0)), "Bearer t", 1)
	s.clock.Store(int64(239 * time.Second))
	s.want(get(g, caller("", 0)), "Bearer t", 1)
	s.answers(says(500, ""))
	s.clock.Store(int64(241 * time.Second))
	for range 5 {
		s.want(get(g, caller("", 0)), "Bearer t", s.calls.Load())
	}
	waitFor(t, func() bool { return s.calls.Load() == 2 })
	s.clock.Store(int64(296 * time.Second)) // it still has 4 s, but a way to go
	waitFor(t, func() bool { return get(g, caller("", 0)) == "503 "+auth.CodeCredential })
	s.answers(tokens("u", 300))
	s.clock.Store(int64(400 * time.Second))
	waitFor(t, func() bool { return get(g, caller("", 0)) == "Bearer u" })
}

func waitFor(t testing.TB, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not come")
}

func TestTokenExchange(t *testing.T) {
	s := newStage(t)
	g := s.grant(exchanging, func(t *table.TokenGrant) { t.Audiences, t.Exchange.Requested = []string{"orders"}, "urn:jwt" })
	s.answers(func(rw http.ResponseWriter, r *http.Request) {
		says(200, fmt.Sprintf(`{"access_token":"for-%s","issued_token_type":"urn:jwt","token_type":"N_A","expires_in":300}`, r.PostForm.Get("subject_token")))(rw, r)
	})
	now := int64(1_800_000_000)
	s.want(get(g, caller("ann", now+1000)), "Bearer for-ann", 1)
	want := "audience=orders&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_type=urn%3Ajwt" +
		"&subject_token=ann&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
	if got := s.form.Encode(); got != want {
		t.Errorf("form %s, want %s", got, want)
	}
	s.want(get(g, caller("ann", now+1000)), "Bearer for-ann", 1)
	s.want(get(g, caller("bob", now+100)), "Bearer for-bob", 2)
	s.want(get(g, caller("", 0)), "403 "+auth.CodeExchangeNoSubject, 2)
	// Nor is one for other audiences.
	s.want(get(s.grant(exchanging), caller("bob", now+100)), "Bearer for-bob", 3)
	s.calls.Store(2)
	// No token outlives the one it was got for.
	s.clock.Store(int64(94 * time.Second))
	s.want(get(g, caller("bob", now+100)), "Bearer for-bob", 2)
	s.clock.Store(int64(96 * time.Second))
	s.want(get(g, caller("bob", now+100)), "Bearer for-bob", 3)
	s.want(get(g, caller("ann", now+1000)), "Bearer for-ann", 3)
	// One that is too long to keep is exchanged each time.
	long := strings.Repeat("l", maxKey+1)
	s.want(get(g, caller(long, 0)), "Bearer for-"+long, 4)
	s.want(get(g, caller(long, 0)), "Bearer for-"+long, 5)
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		answer          http.HandlerFunc
		client, exchang string
	}{
		"down":         {says(503, ""), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"rubbish":      {says(200, "{"), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"no token":     {says(200, `{"token_type":"Bearer"}`), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"line break":   {says(200, `{"access_token":"a\r\nX-Admin: 1"}`), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"beyond ASCII": {says(200, `{"access_token":"é"}`), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"DPoP":         {says(200, `{"access_token":"a","token_type":"DPoP"}`), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"huge token":   {says(200, `{"access_token":"`+strings.Repeat("a", maxToken+1)+`"}`), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"huge answer":  {says(200, strings.Repeat(" ", maxAnswer+1)), "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"redirect": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "503 " + auth.CodeCredential, "503 " + auth.CodeCredential},
		"client": {says(401, `{"error":"invalid_client"}`), "503 " + auth.CodeCredentialClient, "503 " + auth.CodeCredentialClient},
		"target": {says(400, `{"error":"invalid_target"}`), "503 " + auth.CodeCredentialClient, "503 " + auth.CodeCredentialClient},
		"caller": {says(400, `{"error":"invalid_request"}`), "503 " + auth.CodeCredentialClient, "403 " + auth.CodeExchangeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.answers(c.answer)
			g := s.grant()
			s.want(get(g, caller("", 0)), c.client, 1)
			s.want(get(g, caller("", 0)), c.client, 1) // it rests
			s.want(get(s.grant(exchanging), caller("ann", 0)), c.exchang, 2)
		})
	}
}

// Requests that come together make one call.
func TestOneFlight(t *testing.T) {
	s := newStage(t)
	s.answers(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		tokens("t", 300)(rw, r)
	})
	g := s.grant()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if got := get(g, caller("", 0)); got != "Bearer t" {
				t.Error(got)
			}
		})
	}
	all.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.outcomes) != "[issued]" {
		t.Errorf("outcomes %v", s.outcomes)
	}
}

func TestLives(t *testing.T) {
	for left, want := range map[time.Duration]string{
		time.Hour: "59m0s 55s", 5 * time.Minute: "4m0s 55s", 100 * time.Second: "1m20s 15s", 10 * time.Second: "8s 1.5s", 0: "0s 0s", -time.Second: "-800ms -150ms",
	} {
		if l := lifeOf(left); fmt.Sprint(l.Fresh, " ", l.Stale) != want {
			t.Errorf("%v: %v %v, want %s", left, l.Fresh, l.Stale, want)
		}
	}
}

func TestKeptTokenDoesNotAllocate(t *testing.T) {
	s := newStage(t)
	for _, g := range []*Grant{s.grant(), s.grant(exchanging)} {
		x := caller("ann", 0)
		g.Value(x)
		if n := testing.AllocsPerRun(100, func() { x.Arena.Reset(); g.Value(x) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func BenchmarkMethod(b *testing.B) {
	s := newStage(b)
	for name, g := range map[string]*Grant{"clientCredentials": s.grant(), "tokenExchange": s.grant(exchanging)} {
		b.Run("credential/"+name+" cached", func(b *testing.B) {
			x := caller(strings.Repeat("t", 800), 0)
			b.ReportAllocs()
			for b.Loop() {
				x.Arena.Reset()
				if _, r := g.Value(x); r.Outcome != auth.Accepted {
					b.Fatal("refused")
				}
			}
		})
	}
}

// Whatever an endpoint answers, what is set can stand in a header.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"access_token":"a","token_type":"Bearer","expires_in":1}`))
	f.Add(200, []byte(`{"access_token":"a\nb","expires_in":"9223372036854775807"}`))
	f.Add(400, []byte(`{"error":"invalid_request"}`))
	f.Add(200, []byte(`{"access_token":{},"expires_in":-1e99}`))
	s := newStage(f)
	n := 0
	f.Fuzz(func(t *testing.T, status int, content []byte) {
		if status < 200 || status > 599 {
			return
		}
		s.t = t
		s.answers(says(status, string(content)))
		n++
		v, r := s.grant(exchanging, func(t *table.TokenGrant) { t.ClientID = fmt.Sprint(n) }).Value(caller("ann", 0))
		if (r.Outcome == auth.Accepted) != (v != "") || (r.Outcome == auth.Accepted) != (r.Code == "") {
			t.Fatalf("%q, %+v", v, r)
		}
		for i := range len(v) {
			if v[i] < ' ' || v[i] > '~' {
				t.Fatalf("%q", v)
			}
		}
	})
}

// TestOthers: callers of one token endpoint that is slow are not in the way of those of
// another.
func TestOthers(t *testing.T) {
	s, hung := newStage(t), make(chan struct{})
	s.answers(func(rw http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("subject_token_type") == "slow" {
			<-hung
		}
		tokens("t", 300)(rw, r)
	})
	slow := s.grant(exchanging, func(g *table.TokenGrant) { g.Exchange.Subject, g.Timeout = "slow", 30*time.Second })
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer close(hung)
	for i := range 2 * maxCalls {
		waiting.Go(func() { get(slow, caller(fmt.Sprint(i), 0)) })
	}
	for end := time.Now().Add(20 * time.Second); s.calls.Load() < maxCalls && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := get(s.grant(exchanging), caller("a", 0)); got != "Bearer t" {
		t.Error(got)
	}
}
