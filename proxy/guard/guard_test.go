package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const now = 1_800_000_000

// stage is a Builder with what the tests' policies refer to.
type stage struct {
	*Builder
	signer jose.Signer
	keys   *table.APIKeys
}

func newStage(t testing.TB) *stage {
	t.Helper()
	b, err := New(Config{Now: func() time.Time { return time.Unix(now, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &private.PublicKey, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.SetKeySets([]*table.KeySet{{ID: "issuer", Inline: set}, {ID: "none", Inline: []byte("{}")}})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := func(text string) *table.APIKey {
		return &table.APIKey{Secret: "shop/" + text, Hash: sha256.Sum256([]byte(text)), Subject: text + "'s owner"}
	}
	good, old, early := key("good"), key("old"), key("early")
	good.Metadata, good.Plan, good.Scopes = map[string]string{"tier": "gold"}, "big", []string{"read"}
	good.Expires, good.NotBefore = now+1, now
	old.Expires, early.NotBefore = now, now+1
	twice, again := key("twice"), key("twice")
	return &stage{b, signer, &table.APIKeys{ID: "keys", Keys: []*table.APIKey{good, old, early, twice, again}}}
}

func (s *stage) token(t testing.TB, claims string) string {
	t.Helper()
	signed, err := s.signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *stage) build(t testing.TB, a *table.Auth) *Policy {
	t.Helper()
	p, err := s.Build(a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *stage) apiKey(name string) table.AuthMethod {
	return table.AuthMethod{Name: name, APIKeys: s.keys}
}

func (s *stage) jwt(name string) table.AuthMethod {
	return table.AuthMethod{Name: name, JWT: &table.JWT{Issuer: "https://issuer", KeySet: "issuer"}}
}

func (s *stage) basic(name string) table.AuthMethod {
	return table.AuthMethod{Name: name, Basic: &table.Basic{ID: "b", Users: []table.BasicUser{
		{Name: "ann", Hash: table.Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")}, // password
	}}}
}

const (
	annBasic  = "authorization: Basic YW5uOnBhc3N3b3Jk"
	wrongAnn  = "authorization: Basic YW5uOndyb25n"
	goodKey   = "x-api-key: good"
	wrongKey  = "x-api-key: wrong"
	noClaims  = `{"iss":"https://issuer","sub":"bob","exp":1900000000,"scope":"read write"}`
	wrongIss  = `{"iss":"https://else","sub":"bob","exp":1900000000}`
	oldClaims = `{"iss":"https://issuer","sub":"bob","exp":1700000000}`
)

// request is "METHOD target" and header lines.
func request(lines ...string) *exchange.Exchange {
	x := &exchange.Exchange{Start: time.Unix(now, 0), Conn: &exchange.Conn{Peer: netip.MustParseAddrPort("192.0.2.9:1")}}
	x.Request.ClientIP = netip.MustParseAddr("192.0.2.9")
	method, target, _ := strings.Cut(lines[0], " ")
	x.Request.Method = method
	x.Request.Path, x.Request.RawQuery, _ = strings.Cut(target, "?")
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		x.Request.Header.Add(name, value)
	}
	return x
}

// outcome is "method subject" of who passed, or status, code and the
// WWW-Authenticate fields.
func outcome(p *Policy, x *exchange.Exchange) string {
	if p.Check(x) {
		return strings.TrimSpace(x.Principal.Method + " " + x.Principal.Subject)
	}
	if x.Trace.Denied == "" {
		return "denied without a cause"
	}
	if p := x.Principal; x.Response.Status == 401 && p.Method+p.Subject != "" {
		return "denied, and known as " + p.Subject // by one of the methods that all had to accept
	}
	out := fmt.Sprint(x.Response.Status, " ", x.Response.Code)
	for _, f := range x.Response.Header {
		if f.Name == "WWW-Authenticate" || f.Name == "Retry-After" {
			out += " | " + f.Value
		}
	}
	return out
}

func expect(t *testing.T, p *Policy) func(want string, lines ...string) {
	return func(want string, lines ...string) {
		t.Helper()
		if got := outcome(p, request(lines...)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", lines, got, want)
		}
	}
}

const (
	askKey    = `ApiKey realm="gatehouse", header="X-API-Key"`
	askBasic  = `Basic realm="gatehouse", charset="UTF-8"`
	askBearer = `Bearer realm="gatehouse"`
)

func TestMethods(t *testing.T) {
	s := newStage(t)
	is := expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{s.basic("people"), s.apiKey("robots"), s.jwt("staff")}}))
	all := " | " + askBasic + " | " + askKey + " | " + askBearer
	bearer := func(claims string) string { return "Authorization: bearer " + s.token(t, claims) }
	is("people ann", "GET /", annBasic)
	is("robots good's owner", "GET /", goodKey)
	is("staff bob", "GET /", bearer(noClaims))
	is("people ann", "GET /", annBasic, goodKey)
	is("robots good's owner", "GET /", goodKey, bearer(noClaims))
	is("robots good's owner", "GET /", wrongAnn, goodKey)
	is("401 auth_missing"+all, "GET /")
	is("401 auth_missing"+all, "GET /", "authorization: Digest x")
	is("401 auth_missing"+all, "GET /", "x-api-key: ")
	is("401 basic_invalid"+all, "GET /", wrongAnn)
	is("401 api_key_unknown"+all, "GET /", wrongKey)
	is("401 api_key_unknown"+all, "GET /", "x-api-key: twice")
	is("401 api_key_expired"+all, "GET /", "x-api-key: old")
	is("401 api_key_not_yet_valid"+all, "GET /", "x-api-key: early")
	is("401 credential_repeated"+all, "GET /", goodKey, goodKey)
	is("401 credential_repeated"+all+`, error="invalid_token"`, "GET /", annBasic, bearer(noClaims))
	is("401 jwt_issuer_invalid"+all+`, error="invalid_token"`, "GET /", bearer(wrongIss))
	is("401 jwt_expired"+all+`, error="invalid_token"`, "GET /", bearer(oldClaims))
	is("401 jwt_malformed"+all+`, error="invalid_token"`, "GET /", "authorization: Bearer x")

	other := s.jwt("other")
	other.JWT.Audiences = []string{"x"}
	is = expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{other, s.jwt("staff")}}))
	is("401 auth_missing | "+askBearer, "GET /") // one challenge for two methods
}

func TestAnonymous(t *testing.T) {
	s := newStage(t)
	anybody := table.AuthMethod{Name: "anybody", Anonymous: true}
	is := expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{anybody, s.apiKey("robots")}}))
	is("anybody", "GET /")
	is("robots good's owner", "GET /", goodKey) // though anybody comes first by name
	is("401 api_key_unknown | "+askKey, "GET /", wrongKey)

	none := table.AuthMethod{Name: "none", JWT: &table.JWT{Issuer: "https://issuer", KeySet: "none"}}
	is = expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{anybody, none}}))
	is("anybody", "GET /")
	is("503 key_set_unavailable | 2", "GET /", "authorization: Bearer x")

	lacking := table.AuthMethod{Name: "lacking", APIKeys: s.keys, Unavailable: "Secret shop/x is missing"}
	is = expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{anybody, lacking}}))
	is("anybody", "GET /")
	is("503 auth_unavailable | 10", "GET /", goodKey)

	without := lacking // whose credential nobody has sent, and which is asked after the one whose was
	without.Name, without.From = "without", []table.CredentialSource{{Cookie: "key"}}
	is = expect(t, s.build(t, &table.Auth{Methods: []table.AuthMethod{anybody, lacking, without}}))
	is("anybody", "GET /")
	is("503 auth_unavailable | 10", "GET /", goodKey)
	is("503 auth_unavailable | 10", "GET /", "cookie: key=good")
}

// Where a rule is public nobody is asked who they are until that expires. Then the
// methods count, and without one nobody may pass.
func TestPublic(t *testing.T) {
	s := newStage(t)
	with := func(source int, expires int64, methods ...table.AuthMethod) func(want string, lines ...string) {
		t.Helper()
		return expect(t, s.build(t, &table.Auth{
			Sources: []table.Source{{Policy: "AuthPolicy infra/all"}, {Policy: "AuthPolicy shop/status", When: []string{"request.path == '/status'"}}},
			Public:  &table.Public{Source: source, Expires: expires}, Methods: methods,
		}))
	}
	for _, expires := range []int64{0, now + 1} {
		is := with(0, expires, s.apiKey("robots"))
		is("", "GET /")
		is("", "GET /", wrongKey)
		with(0, expires)("", "GET /")
		is = with(1, expires, s.apiKey("robots"))
		is("", "GET /status")
		is("401 auth_missing | "+askKey, "GET /")
	}
	is := with(0, now, s.apiKey("robots"))
	is("robots good's owner", "GET /", goodKey)
	is("401 auth_missing | "+askKey, "GET /")
	with(0, now)("403 public_expired", "GET /")
	is = with(1, now)
	is("403 public_expired", "GET /status")
	is("", "GET /")
}

// More refusals than are kept for the operator are refusals all the same.
func TestManyRefusals(t *testing.T) {
	s := newStage(t)
	a := &table.Auth{Unauthenticated: &table.Reply{Status: 404}}
	watched := &table.Auth{}
	lines := []string{"GET /"}
	for i := range len(seen{}.refusals) + 1 {
		m := s.apiKey(fmt.Sprint("m", i))
		m.From = []table.CredentialSource{{Header: fmt.Sprint("X-", i)}}
		a.Methods = append(a.Methods, m)
		lines = append(lines, fmt.Sprintf("x-%d: wrong", i))
	}
	for i := range len(findings{}.shadows) + 1 {
		watched.Rules = append(watched.Rules, table.AuthRule{Name: fmt.Sprint("r", i), CEL: "false", Shadow: true})
	}
	expect(t, s.build(t, a))("404 api_key_unknown", lines...)
	expect(t, s.build(t, watched))("", "GET /")
}

func TestRequire(t *testing.T) {
	s := newStage(t)
	with := func(require string, methods ...table.AuthMethod) func(want string, lines ...string) {
		t.Helper()
		return expect(t, s.build(t, &table.Auth{Require: require, Methods: methods}))
	}
	is := with("robots && people", s.basic("people"), s.apiKey("robots"))
	is("people ann", "GET /", annBasic, goodKey)
	is("401 auth_missing | "+askBasic+" | "+askKey, "GET /", goodKey)
	is("401 api_key_unknown | "+askBasic+" | "+askKey, "GET /", annBasic, wrongKey)
	is = with("people && !robots", s.basic("people"), s.apiKey("robots"))
	is("people ann", "GET /", annBasic)
	is("401 auth_missing | "+askBasic, "GET /", annBasic, goodKey)
	is = with("robots && (people || !staff)", s.basic("people"), s.apiKey("robots"), s.jwt("staff"), s.jwt("unused"))
	is("401 auth_missing | "+askBasic+" | "+askKey, "GET /")
	is = with("!robots", s.apiKey("robots"))
	is("401 auth_missing | "+askKey, "GET /", goodKey) // a 401 has to have one

	lacking := table.AuthMethod{Name: "lacking", APIKeys: s.keys, Unavailable: "Secret shop/x is missing"}
	is = with("", lacking, s.basic("people"))
	is("people ann", "GET /", annBasic)
	is("503 auth_unavailable | 10", "GET /")
	is("503 auth_unavailable | 10", "GET /", wrongAnn)
	is = with("lacking && people", lacking, s.basic("people"))
	is("503 auth_unavailable | 10", "GET /", annBasic)
	is("401 auth_missing | "+askBasic, "GET /")

	gated := s.apiKey("robots")
	gated.When = []string{"request.method == 'GET'", "request.headers['x-zone'] == 'in'"}
	is = with("", s.basic("people"), gated)
	is("robots good's owner", "GET /", goodKey, "x-zone: in")
	is("401 auth_missing | "+askBasic+" | "+askKey, "GET /", goodKey, "x-zone: out")
	is("401 auth_missing | "+askBasic+" | "+askKey, "POST /", goodKey)
	is("403 rule_error", "GET /", goodKey) // x-zone is not there
	is("people ann", "GET /", annBasic)
}

func TestSources(t *testing.T) {
	s := newStage(t)
	keys, people := s.apiKey("robots"), s.basic("people")
	people.Source = 1
	p := s.build(t, &table.Auth{
		Sources: []table.Source{
			{Policy: "AuthPolicy infra/all", When: []string{"request.path != '/healthz'"}},
			{Policy: "AuthPolicy shop/orders", When: []string{"request.path.startsWith('/orders')"}},
		},
		Methods: []table.AuthMethod{people, keys},
		Rules:   []table.AuthRule{{Name: "r", Source: 1, CEL: "auth.subject == 'ann'"}},
		Headers: []table.HeaderExpr{{Name: "X-User", Source: 1, CEL: "auth.subject"}},
	})
	is := expect(t, p)
	is("", "GET /healthz", wrongKey)
	is("robots good's owner", "GET /", goodKey)
	is("401 auth_missing | "+askKey, "GET /", annBasic)
	is("people ann", "GET /orders", annBasic)
	is("403 forbidden_by_rule", "GET /orders", goodKey)

	policy := func(want string, lines ...string) {
		t.Helper()
		x := request(lines...)
		p.Check(x)
		if x.Trace.Policy != want {
			t.Errorf("%q: %q is behind it, want %q", lines, x.Trace.Policy, want)
		}
	}
	policy("AuthPolicy infra/all", "GET /")
	policy("AuthPolicy shop/orders", "GET /orders", wrongAnn)
	policy("AuthPolicy shop/orders", "GET /orders", goodKey)
	policy("", "GET /healthz")

	// A client's own copy goes even where the header's policy does not apply.
	x := request("GET /healthz", "x-user: root")
	if !p.Check(x) || x.Request.Header.Count("x-user") != 0 {
		t.Errorf("header %v", x.Request.Header)
	}
	// Nor is it set there, whoever calls.
	x = request("GET /", goodKey)
	if !p.Check(x) || x.Request.Header.Count("x-user") != 0 {
		t.Errorf("header %v", x.Request.Header)
	}
	is = expect(t, s.build(t, &table.Auth{Sources: []table.Source{{When: []string{"request.headers.nope == ''"}}}}))
	is("403 rule_error", "GET /")
}

func TestRules(t *testing.T) {
	s := newStage(t)
	is := expect(t, s.build(t, &table.Auth{
		Methods: []table.AuthMethod{s.apiKey("robots"), s.jwt("staff")},
		Rules: []table.AuthRule{
			{Name: "net", CIDRs: &table.CIDRs{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.66/32")}}},
			{Name: "writers", When: []string{"request.method != 'GET'"}, CEL: "'write' in auth.claims.scope.split(' ')"},
			{Name: "bad", When: []string{"request.path == '/bad'", "auth.claims.nope"}, CEL: "true"},
		},
	}))
	token := "authorization: Bearer " + s.token(t, noClaims)
	is("robots good's owner", "GET /", goodKey)
	is("staff bob", "POST /", token)
	is("403 rule_error", "POST /", goodKey) // an API key has no scope claim
	is("403 rule_error", "GET /bad", goodKey)

	x := request("GET /", goodKey)
	p := s.build(t, &table.Auth{Rules: []table.AuthRule{{Name: "net", CIDRs: &table.CIDRs{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}}}}})
	if got := outcome(p, x); got != "403 forbidden_by_cidr" {
		t.Error(got)
	}
	is = expect(t, s.build(t, &table.Auth{Rules: []table.AuthRule{{Name: "a", CEL: "request.method == 'GET'"}}}))
	is("", "GET /")
	is("403 forbidden_by_rule", "PUT /")
	is = expect(t, s.build(t, &table.Auth{Rules: []table.AuthRule{{Name: "a", CEL: "true", Unavailable: "ConfigMap shop/x is missing"}}}))
	is("503 auth_unavailable | 10", "GET /")
}

func TestForwarded(t *testing.T) {
	s := newStage(t)
	robots, people := s.apiKey("robots"), s.basic("people")
	robots.From = []table.CredentialSource{{Header: "X-Key"}, {Cookie: "key"}, {Query: "key"}}
	policy := &table.Auth{
		Methods: []table.AuthMethod{people, robots},
		Headers: []table.HeaderExpr{
			{Name: "X-User", CEL: "auth.subject"},
			{Name: "X-Tier", CEL: "auth.metadata.tier"},
			{Name: "X-Via", Value: "gatehouse 100%"},
			{Name: "X-Echo", CEL: "request.headers['x-in']"},
		},
	}
	p := s.build(t, policy)
	sees := func(want string, lines ...string) {
		t.Helper()
		x := request(lines...)
		if !p.Check(x) {
			t.Errorf("%q: %s", lines, x.Response.Body)
			return
		}
		got := x.Request.Path
		if x.Request.RawQuery != "" {
			got += "?" + x.Request.RawQuery
		}
		for _, f := range x.Request.Header {
			if f.Name != "" {
				got += "|" + strings.ToLower(f.Name) + ": " + f.Value
			}
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", lines, got, want)
		}
	}
	const robot = "|x-user: good's owner|x-tier: gold|x-via: gatehouse 100%"
	sees("/|a: 1|b: 2"+robot, "GET /", "a: 1", "x-key: good", "b: 2")
	sees("/|a: 1"+robot, "GET /", "X-User: root", "x_user: root", "X-TIER: x", "x-via: y", "a: 1", "x-key: good", "x-user: again")
	sees("/|x-user: ann|x-via: gatehouse 100%", "GET /", "x-tier: diamond", annBasic)
	sees("/|cookie: a=1; b=2"+robot, "GET /", "cookie: a=1; key=good; b=2")
	sees("/"+robot, "GET /", "cookie: key=good")
	sees("/?a=1&b=%20"+robot, "GET /?a=1&k%65y=g%6Fod&b=%20")
	sees("/|x-in: é%\n"+robot+"|x-echo: %C3%A9%25%0A", "GET /", "x-key: good", "x-in: é%\n")
	sees("/|x-in:  a b "+robot+"|x-echo: %20a b%20", "GET /", "x-key: good", "x-in:  a b ")
	sees("/|authorization: Digest x"+robot, "GET /", "authorization: Digest x", "x-key: good")
	sees("/?a=1"+robot, "GET /?a=1&key=wrong&key=x", wrongAnn, "x-key: good", "cookie: key=z")

	keeps := *policy
	keeps.ForwardCredentials = true
	p = s.build(t, &keeps)
	sees("/?key=x|x-key: good"+robot, "GET /?key=x", "x-key: good")

	long := request("GET /", "x-key: good", "x-in: "+strings.Repeat("x", maxValue+1))
	if got := outcome(p, long); got != "403 identity_header_unusable" {
		t.Error(got)
	}
}

func TestReplies(t *testing.T) {
	s := newStage(t)
	p := s.build(t, &table.Auth{
		Methods:         []table.AuthMethod{s.apiKey("robots")},
		Rules:           []table.AuthRule{{Name: "a", CEL: "false"}},
		Unauthenticated: &table.Reply{Status: 302, Code: "login", Body: "<a>", ContentType: "text/html"},
		Denied:          &table.Reply{Detail: "ask the shop"},
	})
	x := request("GET /")
	if p.Check(x) || x.Response.Status != 302 || string(x.Response.Body) != "<a>" || x.Trace.Denied != "auth_missing" || len(x.Response.Header) != 2 {
		t.Errorf("%+v %s", x.Response, x.Response.Body)
	}
	x = request("GET /", goodKey)
	if p.Check(x) || x.Response.Status != 403 || !strings.Contains(string(x.Response.Body), `"detail":"ask the shop"`) {
		t.Errorf("%+v %s", x.Response, x.Response.Body)
	}
	p = s.build(t, &table.Auth{Closed: &table.Reply{Status: 503, Code: "secret_missing", RetryAfter: time.Second}, Methods: []table.AuthMethod{{Name: "broken"}}})
	if got := outcome(p, request("GET /")); got != "503 secret_missing | 1" {
		t.Error(got)
	}
	// Whether a key is known is for its holder to learn, not from the words.
	p = s.build(t, &table.Auth{Methods: []table.AuthMethod{s.apiKey("robots")}})
	x = request("GET /", "x-api-key: old")
	p.Check(x)
	if body := string(x.Response.Body); strings.Contains(body, "owner") || strings.Contains(body, "shop/") {
		t.Error(body)
	}
}

func TestShadow(t *testing.T) {
	s := newStage(t)
	p := s.build(t, &table.Auth{
		Sources: []table.Source{{Policy: "AuthPolicy shop/new"}},
		Methods: []table.AuthMethod{s.apiKey("robots")},
		Headers: []table.HeaderExpr{{Name: "X-User", CEL: "auth.subject"}},
	})
	look := func(want string, lines ...string) {
		t.Helper()
		x := request(lines...)
		x.Principal = exchange.Principal{Method: "before", Subject: "someone"}
		before := fmt.Sprint(x.Request, x.Principal, x.Response)
		p.Shadow(x)
		if x.Trace.Shadow != want || x.Trace.Denied != "" || fmt.Sprint(x.Request, x.Principal, x.Response) != before || (want != "") != (x.Trace.Policy == "AuthPolicy shop/new") {
			t.Errorf("%q: %+v, %+v", lines, x.Trace, x.Request)
		}
	}
	look("", "GET /", goodKey, "x-user: root")
	look("auth_missing", "GET /", "x-user: root")
	look("api_key_unknown", "GET /", wrongKey)
}

func TestBuildErrors(t *testing.T) {
	s := newStage(t)
	fails := func(a *table.Auth, want string) {
		t.Helper()
		if _, err := s.Build(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	fails(&table.Auth{Methods: []table.AuthMethod{{Name: "a"}}}, "method a: it is of no kind")
	fails(&table.Auth{Methods: []table.AuthMethod{s.apiKey("a")}, Require: "b"}, `there is no method "b"; use one of a`)
	fails(&table.Auth{Methods: []table.AuthMethod{{Name: "a", Anonymous: true, Source: 1}}}, "method a: source 1 of 0")
	fails(&table.Auth{Methods: []table.AuthMethod{{Name: "a", JWT: &table.JWT{Issuer: "i", KeySet: "x"}}}}, `no key set "x"`)
	fails(&table.Auth{Methods: []table.AuthMethod{{Name: "a", APIKeys: s.keys, From: []table.CredentialSource{{}}}}}, "from[0]")
	fails(&table.Auth{Rules: []table.AuthRule{{Name: "a"}}}, "rule a: it is of no kind")
	fails(&table.Auth{Rules: []table.AuthRule{{Name: "a", CEL: "1"}}}, "rule a: it comes to a int")
	fails(&table.Auth{Headers: []table.HeaderExpr{{Name: "Host", Value: "x"}}}, "header Host: the gateway itself")
	fails(&table.Auth{Sources: []table.Source{{Policy: "p", When: []string{"x"}}}}, "p: when[0]: 1:1: there is no x")
	fails(&table.Auth{Sources: make([]table.Source, 65)}, "use at most 64")
	fails(&table.Auth{Headers: make([]table.HeaderExpr, 65)}, "use at most 64")
	fails(&table.Auth{Credentials: make([]table.BackendCredential, 9)}, "9 credentials")
	fails(&table.Auth{Public: &table.Public{Source: -1}}, "public: source -1 of 0")
	fails(&table.Auth{Credentials: []table.BackendCredential{{Name: "a", Into: table.TokenHeader{Name: "x-a"}, Static: &table.StaticCredential{Value: table.Secret("a\x7fb")}}}}, "credential a")
	asked := make([]table.AuthRule, 5)
	for i := range asked {
		asked[i] = table.AuthRule{Name: fmt.Sprint("r", i), External: &table.ExternalAuth{URL: "http://127.0.0.1:1"}}
	}
	fails(&table.Auth{Rules: asked}, "more than 4 rules ask a service")
}

func TestAllocates(t *testing.T) {
	s := newStage(t)
	p := s.build(t, &table.Auth{
		Methods: []table.AuthMethod{s.basic("people"), s.apiKey("robots"), s.jwt("staff")},
		Rules:   []table.AuthRule{{Name: "net", CIDRs: &table.CIDRs{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/8")}}}},
		Headers: []table.HeaderExpr{{Name: "X-Via", Value: "x"}},
	})
	for _, line := range []string{goodKey, annBasic, "Authorization: Bearer " + s.token(t, noClaims)} {
		x := request("GET /", line)
		fields := append(exchange.Header{}, x.Request.Header...)
		n := testing.AllocsPerRun(100, func() {
			x.Arena.Reset()
			x.Request.Header = append(x.Request.Header[:0], fields...)
			if !p.Check(x) {
				t.Fatal("refused")
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", line[:12], n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	s := newStage(b)
	for name, method := range map[string]table.AuthMethod{"apiKey": s.apiKey("robots"), "jwt": s.jwt("staff")} {
		line := goodKey
		if name == "jwt" {
			line = "Authorization: Bearer " + s.token(b, noClaims)
		}
		for _, rules := range [][]table.AuthRule{nil, {{Name: "r", CEL: "request.method == 'GET'"}}} {
			p := s.build(b, &table.Auth{Methods: []table.AuthMethod{method}, Rules: rules})
			b.Run(fmt.Sprintf("%s/rules=%d", name, len(rules)), func(b *testing.B) {
				b.ReportAllocs()
				x := request("GET /", line)
				fields := append(exchange.Header{}, x.Request.Header...)
				for b.Loop() {
					x.Arena.Reset()
					x.Request.Header = append(x.Request.Header[:0], fields...)
					if !p.Check(x) {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}
