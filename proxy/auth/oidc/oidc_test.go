package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// shelf is the smallest Store.
type shelf map[[32]byte][]byte

func (s shelf) Get(_ context.Context, keys [][32]byte, _ time.Duration) ([][]byte, error) {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = s[k]
	}
	return out, nil
}

func (s shelf) Set(_ context.Context, k [32]byte, v []byte, _ time.Duration, when uint8) (bool, error) {
	if _, there := s[k]; when == absent && there || when == present && !there {
		return false, nil
	}
	s[k] = v
	return true, nil
}

func (s shelf) Delete(_ context.Context, k [32]byte) error {
	delete(s, k)
	return nil
}

// cookiePlace finds a cookie that stands alone.
type cookiePlace string

func (c cookiePlace) Find(x *exchange.Exchange) (string, auth.Outcome) {
	v, _ := x.Request.Header.Get("cookie")
	if v, ok := strings.CutPrefix(v, string(c)+"="); ok {
		return v, auth.Accepted
	}
	return "", auth.Absent
}

func (c cookiePlace) Strip(x *exchange.Exchange) { x.Request.Header.Del("cookie") }

// notary takes every token that is a JWT in form.
type notary struct{}

func (notary) Verify(token, _ string) (map[string]any, string) {
	if claims := claimsOf(token); claims != nil {
		return claims, ""
	}
	return nil, auth.CodeJWTMalformed
}

const document = `{"issuer":"https://i.example","authorization_endpoint":"https://i.example/auth","token_endpoint":"https://i.example/token"}`

func newMethod(t testing.TB) *Method {
	t.Helper()
	config := &table.OIDC{
		Issuer: "https://i.example", ClientID: "shop", ClientSecret: table.Secret("s3cret"), Scopes: []string{"openid"},
		Paths:   table.OIDCPaths{Callback: "/oauth2/callback", Logout: "/logout", Backchannel: "/backchannel"},
		Session: table.OIDCSession{Absolute: time.Hour, Idle: time.Hour},
	}
	n := NamesOf(config)
	m, err := New(config, Needs{
		Tokens: notary{}, Metadata: func() []byte { return []byte(document) }, Store: shelf{}, Cache: NewCache(64), Now: time.Now,
		Cookies: Cookies{cookiePlace(n.Session), cookiePlace(n.PlainSession), cookiePlace(n.Login), cookiePlace(n.PlainLogin)},
		Trusted: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func request(method, target string, header ...string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{TLS: true, Peer: netip.MustParseAddrPort("192.0.2.9:1")}}
	path, query, _ := strings.Cut(target, "?")
	x.Request = exchange.Request{Method: method, Scheme: "https", Authority: "shop.example", Host: "shop.example", Path: path, RawQuery: query}
	for i := 0; i < len(header); i += 2 {
		x.Request.Header.Add(header[i], header[i+1])
	}
	return x
}

// jwt is an unsigned token with the claims.
func jwt(t testing.TB, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}

// logIn makes a session and returns its cookie's token.
func logIn(t testing.TB, m *Method, claims map[string]any) string {
	t.Helper()
	x := request("GET", "/oauth2/callback")
	m.begin(x, &record{IDToken: jwt(t, claims)}, "/")
	for _, f := range x.Response.Header {
		if v, ok := strings.CutPrefix(f.Value, m.names.Session+"="); ok {
			if !strings.HasSuffix(v, "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure") || !strings.HasPrefix(m.names.Session, "__Host-") {
				t.Fatalf("the cookie is %q", f.Value)
			}
			token, _, _ := strings.Cut(v, ";")
			return token
		}
	}
	t.Fatalf("no session: %+v", x.Response)
	return ""
}

func TestNew(t *testing.T) {
	good := newMethod(t).config
	for name, change := range map[string]func(*table.OIDC){
		"no secret":   func(o *table.OIDC) { o.ClientSecret = nil },
		"no openid":   func(o *table.OIDC) { o.Scopes = []string{"email"} },
		"no callback": func(o *table.OIDC) { o.Paths.Callback = "" },
		"one path":    func(o *table.OIDC) { o.Paths.Logout = o.Paths.Callback },
		"a query":     func(o *table.OIDC) { o.Paths.Logout = "/a?b" },
		"no time":     func(o *table.OIDC) { o.Session.Idle = 0 },
	} {
		bad := *good
		change(&bad)
		if _, err := New(&bad, Needs{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSessionsOfOneClientAreNotAnothers(t *testing.T) {
	m := newMethod(t)
	token := logIn(t, m, map[string]any{"sub": "ann"})
	other := *m.config
	other.ClientSecret = table.Secret("another")
	o, err := New(&other, m.needs)
	if err != nil {
		t.Fatal(err)
	}
	x := request("GET", "/", "cookie", m.names.Session+"="+token)
	if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted || x.Principal.Subject != "ann" {
		t.Errorf("%+v %+v", r, x.Principal)
	}
	if r := o.Authenticate(x, &exchange.Principal{}); r.Outcome != auth.Absent {
		t.Errorf("the other client: %+v", r)
	}
}

func TestMeant(t *testing.T) {
	m := newMethod(t)
	m.config.Audiences = []string{"billing"}
	for text, want := range map[string]bool{
		`{"aud":"shop"}`:                         true,
		`{"aud":["shop"]}`:                       true,
		`{"aud":["shop","billing"]}`:             true,
		`{"aud":["shop","other"]}`:               false,
		`{"aud":["shop","other"],"azp":"shop"}`:  true,
		`{"aud":["shop","other"],"azp":"other"}`: false,
		`{"aud":"shop","azp":7}`:                 false,
		`{"aud":["shop",7]}`:                     false,
	} {
		var claims map[string]any
		if err := json.Unmarshal([]byte(text), &claims); err != nil {
			t.Fatal(err)
		}
		if got := m.meant(claims); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestOrigin(t *testing.T) {
	m := newMethod(t)
	header := []string{"x-forwarded-proto", "http", "x-forwarded-host", "outside.example:8443"}
	x := request("GET", "/", header...)
	if got := m.redirectURI(x); got != "https://shop.example/oauth2/callback" {
		t.Errorf("from anybody: %s", got)
	}
	x.Conn.Peer = netip.MustParseAddrPort("192.0.2.1:1")
	if got := m.redirectURI(x); got != "http://outside.example:8443/oauth2/callback" {
		t.Errorf("from a trusted proxy: %s", got)
	}
	x.Request.Header.Set("x-forwarded-host", "a/b@evil.example")
	if got := m.redirectURI(x); got != "http://shop.example/oauth2/callback" {
		t.Errorf("with a host that is none: %s", got)
	}
}

func TestLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/a": true, "/a//b": true, "/a?b=//c": true, "": false, "a": false, "//a": false, "/\\a": false, "/a\\b": false,
		"https://a": false, "/a\r\nb": false, "/\ta": false,
	} {
		if got := local(target); got != want {
			t.Errorf("%q: %t", target, got)
		}
	}
}

// Whatever comes back as a state, only ours is taken, and it leads nowhere else.
func FuzzState(f *testing.F) {
	m := newMethod(f)
	f.Add("", "/")
	f.Add(m.sealState(make([]byte, stateID), "browser", "/app?x=1"), "/app")
	f.Add(strings.Repeat("A", 300), "//evil.example")
	f.Fuzz(func(t *testing.T, sealed, path string) {
		if l, ok := m.openState(sealed); ok && !local(l.target) {
			t.Fatalf("%q leads to %q", sealed, l.target)
		}
		x := request("GET", path)
		l, ok := m.openState(m.sealState(make([]byte, stateID), "b", target(x)))
		if !ok || !local(l.target) || !l.of(m, "b") || l.of(m, "c") {
			t.Fatalf("%q became %q, %t", path, l.target, ok)
		}
	})
}

// A callback never panics, never makes a session and always answers.
func FuzzCallback(f *testing.F) {
	m := newMethod(f)
	m.needs.Now = time.Now
	f.Add("code=a&state=b", "x")
	f.Add("error=access_denied&state="+m.sealState(make([]byte, stateID), strings.Repeat("b", browserLen), "/"), strings.Repeat("b", browserLen))
	f.Add("code=%zz&&state=a;b=c&iss=", "")
	f.Fuzz(func(t *testing.T, query, browser string) {
		x := request("GET", "/oauth2/callback?"+query, "cookie", m.names.Login+"="+browser)
		if strings.Contains(query, "code") {
			m.provider.fetched = func() []byte { return nil } // nobody is called
		}
		if !m.Serve(x) || x.Response.Status < 300 || len(m.needs.Store.(shelf)) > 0 {
			t.Fatalf("%q: %+v", query, x.Response)
		}
	})
}

// Cookies of any form are no session.
func FuzzSession(f *testing.F) {
	m := newMethod(f)
	token := logIn(f, m, map[string]any{"sub": "ann"})
	f.Add("")
	f.Add(token[1:])
	f.Add(strings.Repeat("\x00", tokenText))
	f.Fuzz(func(t *testing.T, cookie string) {
		x := request("GET", "/", "cookie", m.names.Session+"="+cookie)
		if r := m.Authenticate(x, &x.Principal); (r.Outcome == auth.Accepted) != (cookie == token) {
			t.Fatalf("%q: %+v", cookie, r)
		}
	})
}

// FuzzLogout demands that only logout tokens end sessions.
func FuzzLogout(f *testing.F) {
	f.Add("logout_token=a.b.c", "application/x-www-form-urlencoded")
	f.Add("logout_token=e30.eyJzdWIiOiJhbm4iLCJqdGkiOiJqIiwiaWF0IjoxLCJldmVudHMiOnsiaHR0cDovL3NjaGVtYXMub3BlbmlkLm5ldC9ldmVudC9iYWNrY2hhbm5lbC1sb2dvdXQiOnt9fX0.c2ln", "application/x-www-form-urlencoded")
	f.Add("%zz=;&logout_token", "text/plain")
	f.Fuzz(func(t *testing.T, form, media string) {
		m := newMethod(t)
		x := request("POST", "/backchannel", "content-type", media)
		x.Request.Body = &exchange.Buffered{Content: []byte(form)}
		if !m.Serve(x) {
			t.Fatal("not served")
		}
		marked := len(m.needs.Store.(shelf)) > 0
		if marked != (x.Response.Status == 200) {
			t.Fatalf("%d, marks %t", x.Response.Status, marked)
		}
	})
}

func BenchmarkMethod(b *testing.B) {
	for name, size := range map[string]int{"1KB": 700, "20KB": 20_000} {
		m := newMethod(b)
		token := logIn(b, m, map[string]any{"sub": "ann", "email": "ann@example.com", "big": strings.Repeat("x", size)})
		x := request("GET", "/app", "user-agent", "Mozilla/5.0", "accept", "text/html", "cookie", m.names.Session+"="+token)
		b.Run("oidc/cached "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
					b.Fatal(r)
				}
			}
		})
	}
	m := newMethod(b)
	token := logIn(b, m, map[string]any{"sub": "ann", "email": "ann@example.com", "big": strings.Repeat("x", 700)})
	x := request("GET", "/app", "cookie", m.names.Session+"="+token)
	b.Run("oidc/from the store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.needs.Cache.drop(ptr(m.seals.sessionID(token)))
			if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
				b.Fatal(r)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

// Requests of a session that is remembered allocate nothing.
func TestAuthenticateAllocates(t *testing.T) {
	m := newMethod(t)
	x := request("GET", "/app", "cookie", m.names.Session+"="+logIn(t, m, map[string]any{"sub": "ann"}))
	m.needs.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	if r := m.Authenticate(x, &x.Principal); r.Outcome == auth.Accepted {
		t.Fatal("a session of the future's past")
	}
	m.needs.Now = time.Now
	token := logIn(t, m, map[string]any{"sub": "ann"})
	x = request("GET", "/app", "cookie", m.names.Session+"="+token)
	if n := testing.AllocsPerRun(100, func() { m.Authenticate(x, &x.Principal) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Where several clients have a path, each knows what is addressed to it.
func TestAddressed(t *testing.T) {
	m := newMethod(t)
	same := alike(t, m, func(c *table.OIDC, _ *Needs) { c.UserInfo = true })
	other := alike(t, m, func(c *table.OIDC, n *Needs) {
		c.ClientID, c.ClientSecret = "other", table.Secret("another")
		names := NamesOf(c)
		n.Cookies = Cookies{cookiePlace(names.Session), cookiePlace(names.PlainSession), cookiePlace(names.Login), cookiePlace(names.PlainLogin)}
	})
	are := func(what string, x func() *exchange.Exchange, want ...auth.Certainty) {
		t.Helper()
		for i, o := range []*Method{m, same, other} {
			if got := o.Addressed(x()); got != want[i] || !o.Answers(x().Request.Path) {
				t.Errorf("%s: %d for method %d, want %d", what, got, i, want[i])
			}
		}
	}
	for i, o := range []*Method{m, same, other} {
		invited := request("GET", "/app", "accept", "text/html")
		if !o.Invite(invited) {
			t.Fatal("no invitation")
		}
		where, _ := invited.Response.Header.Get("location")
		u, err := url.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		want := [][]auth.Certainty{{auth.Certain, auth.Likely, auth.Unknown}, {auth.Likely, auth.Certain, auth.Unknown}, {auth.Unknown, auth.Unknown, auth.Certain}}[i]
		are("a callback", func() *exchange.Exchange {
			return request("GET", "/oauth2/callback?code=c&state="+url.QueryEscape(u.Query().Get("state")))
		}, want...)
	}
	are("a callback of nobody's", func() *exchange.Exchange { return request("GET", "/oauth2/callback?code=c&state=x") }, 0, 0, 0)
	cookie := strings.Repeat("a", tokenText)
	are("a logout", func() *exchange.Exchange { return request("GET", "/logout", "cookie", other.names.Session+"="+cookie) }, 0, 0, auth.Likely)
	for _, claims := range []map[string]any{{"iss": "https://i.example", "aud": "other"}, {"iss": "https://i.example", "aud": []any{"x", "other"}}} {
		x := request("POST", "/backchannel", "content-type", "application/x-www-form-urlencoded")
		form := "logout_token=" + jwt(t, claims)
		x.Request.Body = &exchange.Buffered{Content: []byte(form)}
		are("a logout token", func() *exchange.Exchange { return x }, 0, 0, auth.Likely)
		if left, err := x.Hold(nil, maxForm, nil); err != nil || string(left) != form {
			t.Errorf("the content is %q then, %v", left, err)
		}
	}
	are("a logout token of another provider", func() *exchange.Exchange {
		x := request("POST", "/backchannel")
		x.Request.Body = &exchange.Buffered{Content: []byte("logout_token=" + jwt(t, map[string]any{"iss": "https://j.example", "aud": "other"}))}
		return x
	}, 0, 0, 0)
	are("no content", func() *exchange.Exchange { return request("POST", "/backchannel") }, 0, 0, 0)
}

func TestIsForm(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/x-www-form-urlencoded": true, "Application/X-WWW-Form-URLencoded ; charset=utf-8": true,
		"application/x-www-form-urlencoded-not": false, "application/json": false, "": false,
	} {
		if isForm(contentType) != want {
			t.Errorf("%q: %v", contentType, !want)
		}
	}
}
