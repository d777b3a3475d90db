package guard

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// endpoint gives out "for-<subject token>", or is down.
func endpoint(t testing.TB, down *atomic.Bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"access_token":"for-` + strings.ReplaceAll(r.PostFormValue("subject_token"), ".", "_") + `","token_type":"Bearer","expires_in":300}`))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestCredentials(t *testing.T) {
	s := newStage(t)
	var down atomic.Bool
	grant := &table.TokenGrant{URL: endpoint(t, &down), ClientID: "c", ClientSecret: table.Secret("s"), Timeout: time.Second, Exchange: &table.Exchange{Subject: "t"}}
	bearer := table.TokenHeader{Name: "authorization", Scheme: "Bearer"}
	p := s.build(t, &table.Auth{
		Sources: []table.Source{{Policy: "AuthPolicy shop/p"}, {Policy: "AuthPolicy shop/q", When: []string{"request.path == '/q'"}}},
		Methods: []table.AuthMethod{s.jwt("staff"), s.apiKey("robots")},
		Headers: []table.HeaderExpr{{Name: "x-key", CEL: "'header'"}},
		Credentials: []table.BackendCredential{
			{Name: "key", Into: table.TokenHeader{Name: "x-key"}, Static: &table.StaticCredential{Value: table.Secret("static")}},
			{Name: "theirs", Into: bearer, Grant: grant, When: []string{"auth.method == 'staff'"}},
			{Name: "q", Source: 1, Into: table.TokenHeader{Name: "x-q", Scheme: "Q"}, Static: &table.StaticCredential{Value: table.Secret("static")}},
		},
		ForwardCredentials: true,
	})
	token := s.token(t, noClaims)
	sent := func(x *exchange.Exchange) string {
		out := ""
		for _, f := range x.Request.Header {
			if f.Name != "" {
				out += f.Name + ": " + f.Value + "\n"
			}
		}
		return out
	}
	x := request("GET /", "Authorization: Bearer "+token, "X-Key: forged", "x_key: forged", "X-Q: forged")
	if got := outcome(p, x); got != "staff bob" || sent(x) != "x-key: static\nauthorization: Bearer for-"+strings.ReplaceAll(token, ".", "_")+"\n" {
		t.Errorf("%s\n%s", got, sent(x))
	}
	if strings.Join(x.Request.Reserved, " ") != "x-key x-key authorization x-q" {
		t.Errorf("as trailers: %v", x.Request.Reserved)
	}
	// Another method has no token: the header stays empty, whatever the caller put there.
	x = request("GET /q", goodKey, "Authorization: Basic forged")
	if got := outcome(p, x); got != "robots good's owner" || sent(x) != "x-api-key: good\nx-key: static\nx-q: Q static\n" {
		t.Errorf("%s\n%s", got, sent(x))
	}
	// What is refused costs no token, and what cannot have one is refused.
	down.Store(true)
	if got := outcome(p, request("GET /", wrongKey)); !strings.HasPrefix(got, "401 api_key_unknown") {
		t.Error(got)
	}
	x = request("GET /", "Authorization: Bearer "+s.token(t, strings.Replace(noClaims, "bob", "eve", 1)))
	if got := outcome(p, x); got != "503 backend_credential_unavailable | 5" || x.Trace.Policy != "AuthPolicy shop/p" {
		t.Errorf("%s, %+v", got, x.Trace)
	}
	want := "credential key set , credential theirs unavailable backend_credential_unavailable, credential q not tried "
	var steps []string
	for _, st := range x.Trace.Steps {
		if st.Part == exchange.PartCredential {
			steps = append(steps, st.Part+" "+st.Name+" "+st.Outcome+" "+st.Code)
		}
	}
	if got := strings.Join(steps, ", "); got != want {
		t.Errorf("steps %q", got)
	}
	// Who only asks what would be gets no token.
	asked, allowed := p.Explain(request("GET /", "Authorization: Bearer "+s.token(t, strings.Replace(noClaims, "bob", "mal", 1))))
	if last := asked[len(asked)-2]; !allowed || last.Outcome != exchange.StepApplies {
		t.Errorf("%+v", asked)
	}
	// Without its Secret a credential closes what asks for it.
	p = s.build(t, &table.Auth{Credentials: []table.BackendCredential{{Name: "key", Into: bearer, Unavailable: "Secret shop/x does not exist"}}})
	if got := outcome(p, request("GET /")); got != "503 auth_unavailable | 10" {
		t.Error(got)
	}
	p = s.build(t, &table.Auth{Methods: []table.AuthMethod{s.apiKey("robots")}, Credentials: []table.BackendCredential{{Name: "theirs", Into: bearer, Grant: grant}}})
	if got := outcome(p, request("GET /", goodKey)); got != "403 token_exchange_no_token" {
		t.Error(got)
	}
}

// What the caller puts where the gateway or a service speaks is removed also where
// they say nothing, and nothing else is set.
func TestPlanted(t *testing.T) {
	s := newStage(t)
	post := []string{"request.method == 'POST'"}
	key := table.BackendCredential{Name: "key", When: post, Into: table.TokenHeader{Name: "x-key"}, Static: &table.StaticCredential{Value: table.Secret("static")}}
	ask := table.AuthRule{Name: "ask", When: post, External: &table.ExternalAuth{URL: "http://127.0.0.1:1", ToBackend: []string{"*", "authorization", "cookie", "x-key"}}}
	shadow := ask
	shadow.Shadow = true
	login := func(header string) *table.Auth {
		people := table.AuthMethod{Name: "people", Source: 1, OIDC: &table.OIDC{
			Issuer: "i", ClientID: "c", ClientSecret: table.Secret("s"), KeySet: "issuer", Scopes: []string{"openid"}, Paths: table.OIDCPaths{Callback: "/back"},
			Session: table.OIDCSession{Absolute: time.Hour, Idle: time.Hour}, Forward: &table.TokenHeader{Name: header},
		}}
		return &table.Auth{Sources: []table.Source{{Policy: "p"}, {Policy: "q", When: post}}, Methods: []table.AuthMethod{people}}
	}
	open := login("X-Key")
	open.Sources[1].When, open.ForwardCredentials, open.Methods = nil, true, append(open.Methods, table.AuthMethod{Name: "visitors", Source: 1, Anonymous: true})
	kept := "authorization: a|cookie: b"
	for want, a := range map[string]*table.Auth{
		kept + "||":                            login("X-Key"), // it does not apply
		kept + "|||":                           open,
		kept + "|X-Key: forged|x_key: forged|": login("Authorization"),
		kept:                                   {Credentials: []table.BackendCredential{key}},
		kept + "|":                             {Rules: []table.AuthRule{ask}},
		kept + "|X-Key: forged|x_key: forged":  {Rules: []table.AuthRule{shadow}},
	} {
		p := s.build(t, a)
		x := request("GET /", "authorization: a", "cookie: b", "X-Key: forged", "x_key: forged")
		var sent []string
		if got := outcome(p, x); got != "" && got != "visitors" {
			t.Error(got)
		}
		for _, f := range x.Request.Header {
			if f.Name != "" {
				sent = append(sent, f.Name+": "+f.Value)
			}
		}
		if got := strings.Join(sent, "|"); got != strings.TrimRight(want, "|") {
			t.Errorf("%s, want %s", got, want)
		}
		if shadowed := strings.Contains(want, "forged"); slices.Contains(x.Request.Reserved, "x-key") == shadowed {
			t.Errorf("%s: as trailers: %v", want, x.Request.Reserved)
		}
	}
}

func TestCredentialErrors(t *testing.T) {
	s := newStage(t)
	for want, c := range map[string]table.BackendCredential{
		"credential a: it is of no kind":                     {Into: table.TokenHeader{Name: "a"}},
		"the gateway itself sets the header \"Host\"":        {Into: table.TokenHeader{Name: "Host"}, Static: &table.StaticCredential{Value: table.Secret("v")}},
		"credential a: its value cannot stand in a header":   {Into: table.TokenHeader{Name: "a"}, Static: &table.StaticCredential{Value: table.Secret("a\nb")}},
		"credential a: grant: url is not an absolute http":   {Into: table.TokenHeader{Name: "a"}, Grant: &table.TokenGrant{URL: "x"}},
		"credential a: grant: set client id and secret":      {Into: table.TokenHeader{Name: "a"}, Grant: &table.TokenGrant{URL: "https://x"}},
		"credential a: when[0]: 1:1: there is no principal;": {Into: table.TokenHeader{Name: "a"}, When: []string{"principal"}, Unavailable: "x"},
	} {
		c.Name = "a"
		if _, err := s.Build(&table.Auth{Credentials: []table.BackendCredential{c}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestCredentialsDoNotAllocate(t *testing.T) {
	s := newStage(t)
	var down atomic.Bool
	grant := &table.TokenGrant{URL: endpoint(t, &down), ClientID: "c", ClientSecret: table.Secret("s"), Timeout: time.Second}
	p := s.build(t, &table.Auth{Credentials: []table.BackendCredential{
		{Name: "a", Into: table.TokenHeader{Name: "authorization", Scheme: "Bearer"}, Grant: grant},
		{Name: "b", Into: table.TokenHeader{Name: "x-key"}, Static: &table.StaticCredential{Value: table.Secret("v")}},
	}})
	x := request("GET /", "authorization: x", "accept: y", "z: z")
	fields := append(exchange.Header{}, x.Request.Header...)
	check := func() {
		x.Arena.Reset()
		x.Request.Header = append(x.Request.Header[:0], fields...)
		if !p.Check(x) {
			t.Fatal("refused")
		}
	}
	check()
	if n := testing.AllocsPerRun(100, check); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
