package oidc

import (
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// begun is the cookie of a session that begins with r.
func begun(t testing.TB, m *Method, r record) string {
	t.Helper()
	x := request("GET", "/oauth2/callback")
	m.begin(x, &r, "/")
	for _, f := range x.Response.Header {
		if len(f.Value) > len(m.names.Session)+1+tokenText && f.Value[:len(m.names.Session)+1] == m.names.Session+"=" {
			return f.Value[len(m.names.Session)+1:][:tokenText]
		}
	}
	t.Fatalf("no session: %+v", x.Response)
	return ""
}

// Policies of one client share the session. One that hands the access token on
// has it, whichever of them the user came to first.
func TestPoliciesShareTheToken(t *testing.T) {
	for _, where := range []string{"the one without", "the one that forwards"} {
		pages := newMethod(t)
		api := alike(t, pages, func(c *table.OIDC, _ *Needs) { c.Forward = &table.TokenHeader{Name: "authorization", Scheme: "Bearer"} })
		first := pages
		if where == "the one that forwards" {
			first = api
		}
		token := begun(t, first, record{IDToken: jwt(t, map[string]any{"sub": "ann"}), Access: "access-1"})
		for range 2 {
			if got := asks(t, pages, token, auth.Accepted); got != "" {
				t.Errorf("login at %s: the policy that forwards none found the token %q", where, got)
			}
			if got := asks(t, api, token, auth.Accepted); got != "access-1" {
				t.Errorf("login at %s: the policy that forwards it found the token %q", where, got)
			}
		}
	}
}

// A refresh that a request of the other policy brings about renews the token too.
func TestPoliciesShareTheRefresh(t *testing.T) {
	d := &desk{answer: func(url.Values) (int, string) {
		return 200, `{"access_token":"access-2","token_type":"Bearer","expires_in":300,"refresh_token":"refresh-2"}`
	}}
	pages := at(t, d)
	now := time.Now()
	api := alike(t, pages, func(c *table.OIDC, _ *Needs) { c.Forward = &table.TokenHeader{Name: "authorization", Scheme: "Bearer"} })
	for _, m := range []*Method{pages, api} {
		m.needs.Now, m.provider.now = func() time.Time { return now }, func() time.Time { return now }
	}
	token := begun(t, api, record{
		IDToken: jwt(t, map[string]any{"sub": "ann"}), Access: "access-1", Refresh: "refresh-1", Expires: now.Add(5 * time.Minute).Unix(),
	})
	if got := asks(t, api, token, auth.Accepted); got != "access-1" {
		t.Fatalf("the token %q", got)
	}
	now = now.Add(5*time.Minute - 10*time.Second)
	asks(t, pages, token, auth.Accepted)
	if got := asks(t, api, token, auth.Accepted); got != "access-2" || d.asked.Load() != 1 {
		t.Errorf("the token %q after %d refreshes", got, d.asked.Load())
	}
}

// A session without what the policy asks the userinfo endpoint for, which began
// under another policy of the client, or before this one asked, is none to it.
func TestPoliciesShareWhatIsKnown(t *testing.T) {
	pages := newMethod(t)
	strict := alike(t, pages, func(c *table.OIDC, _ *Needs) { c.UserInfo = true })
	token := begun(t, pages, record{IDToken: jwt(t, map[string]any{"sub": "ann"})})
	asks(t, pages, token, auth.Accepted)
	asks(t, strict, token, auth.Absent)
	token = begun(t, strict, record{IDToken: jwt(t, map[string]any{"sub": "ann"}), Info: []byte(`{"sub":"ann","groups":["staff"]}`)})
	asks(t, strict, token, auth.Accepted)
	asks(t, pages, token, auth.Accepted)
}
