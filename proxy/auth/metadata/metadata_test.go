package metadata

import (
	"context"
	"errors"
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

// service answers what the test sets.
type service struct {
	*httptest.Server
	asked atomic.Int32

	mu      sync.Mutex
	status  int
	content string
	seen    string
}

func newService(t testing.TB) *service {
	s := &service{}
	s.says(200, `{"tier":"gold","sub":"ann"}`)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) says(status int, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.content = status, content
}

func (s *service) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"userinfo_endpoint":%q}`, s.URL, s.URL+"/userinfo")
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = r.Method + " " + r.RequestURI + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-User") + " " + string(body)
	rw.WriteHeader(s.status)
	_, _ = io.WriteString(rw, s.content)
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return time.Unix(1_700_000_000, 0).Add(time.Duration(c.at.Load())) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// newStep makes a step that asks at s, with what the test makes of it.
func newStep(t testing.TB, c *clock, step table.MetadataStep, asked func(service, outcome string)) *Step {
	t.Helper()
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := NewOwner(Config{Env: env, Now: c.now, Transport: transport, Asked: asked})
	t.Cleanup(o.Close)
	step.Name = "account"
	step.Timeout = 10 * time.Second
	if step.TTL == 0 {
		step.TTL = time.Minute
	}
	s, err := o.Step(&step, "AuthPolicy shop/p")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func caller(subject, token string) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Principal.Method, x.Principal.Subject, x.Principal.Token = "m", subject, token
	return x
}

// is fetches for x, and compares the outcome and the code.
func is(t testing.TB, s *Step, x *exchange.Exchange, outcome auth.Outcome, code string) {
	t.Helper()
	x.Arena.Reset()
	v, r := s.Fetch(x)
	if r.Outcome != outcome || r.Code != code || (v != nil) != (outcome == auth.Accepted) || (r.RetryAfter > 0) != (outcome == auth.Unavailable) {
		t.Errorf("%v, %+v; want %v %s", v, r, outcome, code)
	}
}

func TestStep(t *testing.T) {
	s, c := newService(t), &clock{}
	outcomes := map[string]int{}
	step := newStep(t, c, table.MetadataStep{Spare: time.Hour, HTTP: &table.MetadataHTTP{
		URL: s.URL + "/v1/?a=b", Path: "['accounts', auth.subject]", Query: []table.ClaimExpr{{Name: "q&", CEL: "auth.subject"}, {Name: "none", CEL: "auth.claims.none"}},
		Headers: []table.HeaderExpr{{Name: "x-user", CEL: "auth.subject"}}, Secret: &table.StaticCredential{Value: table.Secret("s3cret")}, Into: table.TokenHeader{Name: "authorization", Scheme: "Bearer"},
		Post: true, Body: "{'user': auth.subject}",
	}}, func(_, outcome string) { outcomes[outcome]++ })
	x := caller("ann/\"b\r\n", "")
	is(t, step, x, auth.Accepted, "")
	is(t, step, x, auth.Accepted, "")
	want := `POST /v1/accounts/ann%2F%22b%0D%0A?a=b&q%26=ann%2F%22b%0D%0A Bearer s3cret ann/"b%0D%0A {"user":"ann/\"b\u000d\u000a"}`
	if s.seen != want || s.asked.Load() != 1 {
		t.Errorf("asked %d times\n got %s\nwant %s", s.asked.Load(), s.seen, want)
	}
	// While there is no other, the answer from before serves.
	c.pass(2 * time.Minute)
	s.says(500, "")
	is(t, step, x, auth.Accepted, "")
	c.pass(2 * time.Hour)
	is(t, step, x, auth.Unavailable, "metadata_unavailable")
	is(t, step, x, auth.Unavailable, "metadata_unavailable") // it rests
	c.pass(time.Hour)
	s.says(200, "rubbish")
	is(t, step, x, auth.Unavailable, "metadata_invalid")
	c.pass(time.Hour)
	s.says(200, strings.Repeat("[", 40)+strings.Repeat("]", 40))
	is(t, step, x, auth.Unavailable, "metadata_invalid")
	c.pass(time.Hour)
	s.says(200, `"`+strings.Repeat("x", maxAnswer)+`"`)
	is(t, step, x, auth.Unavailable, "metadata_invalid")
	c.pass(time.Hour)
	s.says(404, "")
	n := s.asked.Load()
	is(t, step, x, auth.Unavailable, "metadata_refused")
	is(t, step, x, auth.Unavailable, "metadata_refused")
	if s.asked.Load() != n+1 {
		t.Errorf("asked %d times what is not taken", s.asked.Load()-n)
	}
	c.pass(refusalTTL)
	s.says(200, "null")
	is(t, step, x, auth.Accepted, "")
	is(t, step, caller("..", ""), auth.Rejected, "metadata_request_unusable")
	is(t, step, caller("", ""), auth.Rejected, "metadata_request_unusable")
	is(t, step, caller(strings.Repeat("x", maxTarget), ""), auth.Rejected, "metadata_request_unusable")
	if got := fmt.Sprint(outcomes); got != "map[cached:2 failed:5 fetched:3 refused:1]" {
		t.Error(got)
	}
}

// A service that fails in a row is left alone, whoever asks.
func TestRest(t *testing.T) {
	s, c := newService(t), &clock{}
	step := newStep(t, c, table.MetadataStep{HTTP: &table.MetadataHTTP{URL: s.URL, Path: "['a', auth.subject]"}}, nil)
	s.says(503, "")
	for i := range 100 {
		is(t, step, caller(fmt.Sprint("u", i), ""), auth.Unavailable, "metadata_unavailable")
	}
	if n := s.asked.Load(); n != patience {
		t.Errorf("asked %d times", n)
	}
	// What it does not know of one caller says nothing of the service.
	c.pass(time.Hour)
	s.says(404, "")
	for i := range 10 {
		is(t, step, caller(fmt.Sprint("v", i), ""), auth.Unavailable, "metadata_refused")
	}
	s.says(200, "{}")
	is(t, step, caller("w", ""), auth.Accepted, "")
}

func TestUserInfo(t *testing.T) {
	s, c := newService(t), &clock{}
	for what, u := range map[string]*table.UserInfo{"issuer": {Issuer: s.URL}, "url": {URL: s.URL + "/userinfo"}} {
		t.Run(what, func(t *testing.T) {
			s.says(200, `{"sub":"ann"}`)
			step := newStep(t, c, table.MetadataStep{UserInfo: u}, nil)
			is(t, step, caller("ann", "t1"), auth.Accepted, "")
			if s.seen != "GET /userinfo Bearer t1  " {
				t.Errorf("asked %q", s.seen)
			}
			n := s.asked.Load()
			is(t, step, caller("ann", "t1"), auth.Accepted, "")
			is(t, step, caller("eve", "t1"), auth.Rejected, "user_info_refused")
			is(t, step, caller("ann", ""), auth.Rejected, "user_info_no_token")
			x := caller("Ann", "t1")
			x.Principal.Claims = map[string]any{"sub": "ann"}
			is(t, step, x, auth.Accepted, "")
			if s.asked.Load() != n {
				t.Error("asked again")
			}
			s.says(401, "")
			is(t, step, caller("ann", "t2"), auth.Rejected, "user_info_refused")
			s.says(404, "")
			is(t, step, caller("ann", "t3"), auth.Unavailable, "metadata_refused")
			s.says(200, "{}")
			is(t, step, caller("ann", "t4"), auth.Unavailable, "metadata_invalid")
		})
	}
}

// Each policy has answers of its own.
func TestAnswersBelongToThePolicy(t *testing.T) {
	step := table.MetadataStep{HTTP: &table.MetadataHTTP{URL: "http://a", Key: "auth.subject"}}
	moved := step
	moved.Source, moved.When, moved.Optional = 3, []string{"true"}, true
	if ID(&step, "p") != ID(&moved, "p") || ID(&step, "p") == ID(&step, "q") {
		t.Error("what tells steps apart is not what they ask, and whose they are")
	}
	s, other := newService(t), newService(t)
	first := newStep(t, &clock{}, table.MetadataStep{HTTP: &table.MetadataHTTP{URL: s.URL, Key: "auth.subject"}}, nil)
	second, err := first.owner.Step(&table.MetadataStep{Name: "account", HTTP: &table.MetadataHTTP{URL: other.URL, Key: "auth.subject"}, TTL: time.Minute}, "AuthPolicy shop/p")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		is(t, first, caller("ann", ""), auth.Accepted, "")
		is(t, second, caller("ann", ""), auth.Accepted, "")
	}
	if s.asked.Load() != 1 || other.asked.Load() != 1 {
		t.Errorf("asked %d times and %d, want each once", s.asked.Load(), other.asked.Load())
	}
}

func TestStepErrors(t *testing.T) {
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOwner(Config{Env: env})
	defer o.Close()
	for want, step := range map[string]table.MetadataStep{
		"it is of no kind":                   {},
		"set exactly one of backend and url": {HTTP: &table.MetadataHTTP{}},
		"set exactly one of issuer and url":  {UserInfo: &table.UserInfo{}},
		"none of http or https":              {UserInfo: &table.UserInfo{URL: "ftp://a"}},
		"its URL is none of":                 {HTTP: &table.MetadataHTTP{URL: "http://u:p@a"}},
		"path: ":                             {HTTP: &table.MetadataHTTP{URL: "http://a", Path: "nope"}},
		"use at most 16":                     {HTTP: &table.MetadataHTTP{URL: "http://a", Headers: make([]table.HeaderExpr, 17)}},
	} {
		if _, err := o.Step(&step, "p"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A caller who goes away takes no answer from others.
func TestCallerGoes(t *testing.T) {
	s, c := newService(t), &clock{}
	step := newStep(t, c, table.MetadataStep{HTTP: &table.MetadataHTTP{URL: s.URL, Key: "auth.subject"}}, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("gone"))
	x := caller("ann", "")
	x.Context = ctx
	step.Fetch(x) // whatever comes of it
	is(t, step, caller("ann", ""), auth.Accepted, "")
}
