package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name, session string
		steps         []time.Duration // each within the limits
		last          time.Duration   // not
	}{
		{"idle", "session: {idleTimeout: 30m}", []time.Duration{29 * time.Minute, 29 * time.Minute, 29 * time.Minute}, 31 * time.Minute},
		{"absolute", "session: {absoluteTimeout: 1h}", []time.Duration{29 * time.Minute, 30 * time.Minute}, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewProvider(t, callback)
			var now clock
			w := start(t, p, c.session, now.set)
			b := NewBrowser(t, w)
			in(t, b)
			// Without the provider nothing is refreshed, and nothing needs to be.
			p.Fault(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "down", http.StatusBadGateway) })
			for _, step := range c.steps {
				now.pass(step)
				still(t, b, "within the limit")
			}
			now.pass(c.last)
			out(t, b, "past the limit")
			if page := b.Fetch("GET", app); page.Status != 401 {
				t.Errorf("fetch: %d", page.Status)
			}
		})
	}
}

// Tokens are refreshed once, however many requests there are, and a provider that
// refuses ends the session.
func TestRefresh(t *testing.T) {
	p := NewProvider(t, callback)
	var now clock
	w := start(t, p, "forwardAccessToken: {header: X-Token}", now.set)
	b := NewBrowser(t, w)
	in(t, b)
	token := func() string { return strings.Join(b.Get(app, "X-Token", "forged").Seen().Header["X-Token"], ",") }
	first := token()
	if first == "" || strings.Contains(first, "forged") {
		t.Fatalf("the backend got %q", first)
	}
	now.pass(4*time.Minute + 40*time.Second) // the provider's are good for five
	var all sync.WaitGroup
	for range 8 {
		tab := *b
		all.Go(func() {
			if page := tab.Get(app); page.User() != subject {
				t.Errorf("%d %s", page.Status, page.Body)
			}
		})
	}
	all.Wait()
	if n := p.Calls("/oauth/token"); n != 2 {
		t.Errorf("%d calls of the token endpoint, want the login's and one", n)
	}
	if second := token(); second == first || second == "" {
		t.Error("the backend still gets the first token")
	}
	now.pass(5 * time.Minute)
	p.Fault(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"error":"invalid_grant"}`))
			return
		}
		p.op.ServeHTTP(rw, r)
	})
	out(t, b, "after the provider refused")
	p.Fault(nil)
	in(t, b)
}

// cookie is the session's.
func cookie(t *testing.T, b *Browser) *http.Cookie {
	t.Helper()
	u, _ := url.Parse(app)
	for _, c := range b.client.Jar.Cookies(u) {
		if !strings.HasSuffix(c.Name, "-login") {
			return c
		}
	}
	t.Fatal("no session cookie")
	return nil
}

func TestLogout(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "postLogoutRedirect: /bye")
	b, other := NewBrowser(t, w), NewBrowser(t, w)
	in(t, b)
	in(t, other)
	old := cookie(t, b)
	if page := b.Get("http://shop.example/logout", "Sec-Fetch-Site", "cross-site"); page.Status != 403 || page.Code() != "oidc_cross_site" {
		t.Errorf("from another site: %d %s", page.Status, page.Code())
	}
	still(t, b, "after another site's logout")
	page := b.Get("http://shop.example/logout")
	if page.URL.String() != "http://shop.example/bye" && page.URL.Path != "/bye" {
		t.Errorf("the logout led to %s by %v", page.URL, b.Hops)
	}
	if p.Calls("/end_session") != 1 || len(b.Cookies(app)) != 0 {
		t.Errorf("end_session %d times, cookies %v", p.Calls("/end_session"), b.Cookies(app))
	}
	out(t, b, "after the logout")
	u, _ := url.Parse(app)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: old.Name, Value: old.Value, Path: "/"}})
	out(t, b, "with the cookie of the session that is over")
	still(t, other, "another session of the user")

	third := NewBrowser(t, w)
	in(t, third)
	if page := third.Fetch("POST", "http://shop.example/logout?all=true"); page.Status != 204 || len(third.Cookies(app)) != 0 {
		t.Errorf("by a script: %d %v", page.Status, third.Cookies(app))
	}
	out(t, third, "after the logout by a script")
	out(t, other, "after all were logged out")
	in(t, other)
}

func TestBackchannelLogout(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	b, other := NewBrowser(t, w), NewBrowser(t, w)
	in(t, b)
	p.users.sid = "sid-2"
	in(t, other)
	send := func(token string) Page {
		return NewBrowser(t, w).Post("http://shop.example/backchannel", url.Values{"logout_token": {token}})
	}
	sub := func(c map[string]any) { c["sub"] = subject }
	for name, change := range map[string]func(map[string]any){
		"no subject":      func(map[string]any) {},
		"another client":  func(c map[string]any) { sub(c); c["aud"] = "other" },
		"another issuer":  func(c map[string]any) { sub(c); c["iss"] = "https://evil.example" },
		"over":            func(c map[string]any) { sub(c); c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"an ID token":     func(c map[string]any) { sub(c); delete(c, "events") },
		"another event":   func(c map[string]any) { sub(c); c["events"] = map[string]any{"x": map[string]any{}} },
		"with a nonce":    func(c map[string]any) { sub(c); c["nonce"] = "n" },
		"without a jti":   func(c map[string]any) { sub(c); delete(c, "jti") },
		"a number as sid": func(c map[string]any) { c["sid"] = 7 },
	} {
		if page := send(p.LogoutToken(change)); page.Status != 400 || page.Code() != "logout_token_invalid" {
			t.Errorf("%s: %d %s", name, page.Status, page.Code())
		}
	}
	good := p.LogoutToken(sub)
	if page := send(good[:len(good)-6] + "AAAAAA"); page.Status != 400 {
		t.Errorf("a forged signature: %d", page.Status)
	}
	if page := NewBrowser(t, w).Post("http://shop.example/backchannel", url.Values{"logout_token": {good, good}}); page.Status != 400 {
		t.Errorf("two tokens: %d", page.Status)
	}
	still(t, b, "after refused tokens")

	if page := send(p.LogoutToken(func(c map[string]any) { c["sid"] = "sid-2" })); page.Status != 200 || page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("by sid: %d", page.Status)
	}
	out(t, other, "after the provider ended its session")
	still(t, b, "another session of the user")
	if page := send(good); page.Status != 200 {
		t.Errorf("by sub: %d", page.Status)
	}
	out(t, b, "after the provider ended all sessions")
	in(t, b)
	if page := send(good); page.Status != 200 {
		t.Errorf("again: %d", page.Status)
	}
	still(t, b, "a session newer than the token that came again")
}
