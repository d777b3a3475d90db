package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func TestLogin(t *testing.T) {
	p := NewProvider(t, callback)
	b := NewBrowser(t, start(t, p, ""))
	page := in(t, b)
	if page.Seen().Path != "/app/orders/7?tab=2&x=%2F" {
		t.Errorf("the deep link became %s", page.Seen().Path)
	}
	if c := page.Seen().Header["Cookie"]; len(c) > 0 {
		t.Errorf("the backend saw the cookies %v", c)
	}
	if a := page.Seen().Header["Authorization"]; len(a) > 0 {
		t.Errorf("the backend saw %v", a)
	}
	if cookies := b.Cookies(app); len(cookies) != 2 {
		t.Errorf("the browser has the cookies %v", cookies)
	}
	still(t, b, "with a session")
	if n := p.Calls("/oauth/token"); n != 1 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}

// Whoever cannot be shown a login page is told so, and keeps what it has.
func TestScriptsGet401(t *testing.T) {
	p := NewProvider(t, callback)
	b := NewBrowser(t, start(t, p, ""))
	ready(t, b)
	b.Stay(func() {
		for _, header := range [][]string{
			{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
			{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			{"X-Requested-With", "XMLHttpRequest"},
			{"Accept", "application/json"},
			{"Accept", "*/*"},
			{"Connection", "Upgrade", "Upgrade", "websocket"},
		} {
			page := b.Get(app, append([]string{"Accept", "text/html"}, header...)...)
			if page.Status != 401 || page.Header.Get("WWW-Authenticate") == "" || len(page.Header["Set-Cookie"]) > 0 {
				t.Errorf("%v: %d %v", header, page.Status, page.Header)
			}
		}
		if page := b.Post(app, url.Values{"a": {"b"}}); page.Status != 401 {
			t.Errorf("POST: %d", page.Status)
		}
	})
}

// Logins in several tabs end as they began, in any order, with one cookie for all.
func TestTabs(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	b := NewBrowser(t, w)
	first := ready(t, b)
	second := b.Get("http://shop.example/app/second")
	before := len(b.Cookies(app))
	for range 20 {
		b.Get(app)
	}
	if after := b.Cookies(app); len(after) != before || before != 1 {
		t.Errorf("20 logins that were begun left the cookies %v", after)
	}
	if page := b.LogIn(second); page.User() != subject || page.Seen().Path != "/app/second" {
		t.Errorf("second tab: %d %s", page.Status, page.URL)
	}
	if page := b.LogIn(first); page.User() != subject || page.URL.String() != app {
		t.Errorf("first tab: %d %s", page.Status, page.URL)
	}
}

// Tabs that are opened at once, as when a browser starts, are given different
// cookies, of which one stays.
func TestTabsAtOnce(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	ready(t, NewBrowser(t, w))
	b := NewBrowser(t, w)
	var tabs [8]Page
	var copies [8]Browser
	for i := range copies {
		copies[i] = *b
	}
	var all sync.WaitGroup
	for i := range tabs {
		all.Go(func() { tabs[i] = copies[i].Get(app) })
	}
	all.Wait()
	for i := range tabs {
		if page := b.LogIn(tabs[i]); page.User() != subject {
			if page.URL.Host != "shop.example" { // its cookie was replaced: the login begins again, and then holds
				page = b.LogIn(page)
			}
			if page.User() != subject || page.URL.String() != app {
				t.Errorf("tab %d: %d %s", i, page.Status, page.URL)
			}
		}
	}
}

// A link with somebody else's login logs nobody in.
func TestLoginCSRF(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	attacker := NewBrowser(t, w)
	form := ready(t, attacker)
	// The attacker logs in and keeps the callback's URL to themselves.
	var link string
	attacker.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth2/callback" {
			link = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	attacker.LogIn(form)
	if link == "" {
		t.Fatal("no callback")
	}
	fresh := NewBrowser(t, w)
	if page := fresh.Get(link); page.Status != 400 || page.Code() != "oidc_cookie_missing" || len(fresh.Cookies(app)) != 0 {
		t.Errorf("a browser without a login: %d %s", page.Status, page.Code())
	}
	victim := NewBrowser(t, w)
	ready(t, victim)
	victim.Stay(func() {
		page := victim.Get(link)
		if page.Status != 303 || page.Header.Get("Location") != "/app/orders/7?tab=2&x=%2F" || len(page.Header["Set-Cookie"]) > 0 {
			t.Errorf("a browser with a login of its own: %d %v", page.Status, page.Header)
		}
	})
	out(t, victim, "after the attacker's link")
	if n := p.Calls("/oauth/token"); n != 0 {
		t.Errorf("the code was used %d times", n)
	}
}

// Nothing a caller sends becomes a session, and no login leads away.
func TestForgeries(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	b := NewBrowser(t, w)
	ready(t, b)
	for _, c := range []struct{ query, code string }{
		{"", "oidc_response_invalid"},
		{"code=a", "oidc_response_invalid"},
		{"state=a", "oidc_response_invalid"},
		{"code=a&state=b&state=c", "oidc_response_invalid"},
		{"code=a&error=b&state=c", "oidc_response_invalid"},
		{"code=a&state=b&iss=https%3A%2F%2Fevil.example", "oidc_response_invalid"},
		{"code=a&state=b", "oidc_state_invalid"},
		{"code=a&state=" + strings.Repeat("A", 5000), "oidc_state_invalid"},
		{"error=access_denied&state=b", "oidc_state_invalid"},
	} {
		if page := b.Get(callback + "?" + c.query); page.Status != 400 || page.Code() != c.code {
			t.Errorf("%q: %d %s", c.query, page.Status, page.Code())
		}
	}
	b.Stay(func() {
		if page := b.Post(callback, url.Values{}); page.Status != 405 || page.Header.Get("Allow") != "GET" {
			t.Errorf("POST: %d", page.Status)
		}
	})
	// A session somebody has planted is not taken over by the login.
	u, _ := url.Parse(app)
	name := strings.TrimSuffix(b.Cookies(app)[0], "-login")
	planted := strings.Repeat("A", 43)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: planted, Path: "/"}})
	in(t, b)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name && c.Value == planted {
			t.Error("the login kept the planted session")
		}
	}
	// Two of one name: nobody can tell which counts.
	b.Stay(func() {
		if page := b.Get(app, "Cookie", name+"=x"); page.Status != 401 || page.Code() != "credential_repeated" {
			t.Errorf("two cookies: %d %s", page.Status, page.Code())
		}
	})
}

func TestTargetsStayHere(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	for _, path := range []string{"/app//evil.example", "/app/" + strings.Repeat("x", 3000), "/app/a?b=" + strings.Repeat("x", 3000)} {
		b := NewBrowser(t, w)
		ready(t, b)
		page := b.LogIn(b.Get("http://shop.example" + path))
		if page.URL.Host != "shop.example" || page.Status != 200 && page.URL.Path != "/" {
			t.Errorf("%.40s led to %.80s (%d)", path, page.URL, page.Status)
		}
	}
}

// The provider says no.
func TestDenied(t *testing.T) {
	p := NewProvider(t, callback)
	b := NewBrowser(t, start(t, p, ""))
	b.Stay(func() {
		var page Page
		until(t, "a login", func() bool { page = b.Get(app); return page.Status == 303 })
		where, _ := url.Parse(page.Header.Get("Location"))
		state := where.Query().Get("state")
		if q := where.Query(); q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("nonce")) != 43 ||
			q.Get("scope") != "openid profile email offline_access" || q.Get("redirect_uri") != callback {
			t.Errorf("the request is %v", where.Query())
		}
		for failure, want := range map[string]string{"access_denied": "403 oidc_denied", "server_error": "503 oidc_provider_unavailable"} {
			page := b.Get(callback + "?error=" + failure + "&error_description=%3Cscript%3E&state=" + url.QueryEscape(state))
			if got := http.StatusText(page.Status); got != http.StatusText(atoi(want)) || page.Code() != want[4:] || strings.Contains(page.Body, "script>") {
				t.Errorf("%s: %d %s", failure, page.Status, page.Code())
			}
		}
	})
}

func atoi(s string) int { return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0') }

// Tokens of any size: what travels is the cookie.
func TestLargeTokens(t *testing.T) {
	p := NewProvider(t, callback)
	p.users.claim = strings.Repeat("g", 20_000)
	b := NewBrowser(t, start(t, p, "forwardAccessToken: {}"))
	in(t, b)
	u, _ := url.Parse(app)
	size := 0
	for _, c := range b.client.Jar.Cookies(u) {
		size += len(c.Name) + len(c.Value)
	}
	if size > 200 {
		t.Errorf("the cookies are %d bytes", size)
	}
	page := b.Get(app)
	token, ok := strings.CutPrefix(strings.Join(page.Seen().Header["Authorization"], ""), "Bearer ")
	if !ok || token == "" {
		t.Errorf("the backend got the token %q", token)
	}
	page = b.Get("http://shop.example/logout")
	if !strings.HasPrefix(page.URL.String(), p.URL()) {
		t.Errorf("the logout led to %s", page.URL)
	}
	out(t, b, "after the logout")
}
