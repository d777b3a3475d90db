package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// A login page that was left open for longer than a login may take, and so for
// longer than the browser keeps the cookie, leads to the page, which begins another.
func TestLoginPageLeftOpen(t *testing.T) {
	m := newMethod(t)
	began := time.Now()
	m.needs.Now = func() time.Time { return began }
	state := m.sealState(random(stateID), text(random(16)), "/app/orders?x=1")
	for after, want := range map[time.Duration]int{time.Minute: 400, loginTime - time.Second: 400, loginTime: 303, 14 * time.Hour: 303} {
		m.needs.Now = func() time.Time { return began.Add(after) }
		for _, query := range []string{"code=a", "error=access_denied"} {
			x := request("GET", "/oauth2/callback?"+query+"&state="+state)
			m.Serve(x)
			where, _ := x.Response.Header.Get("location")
			if x.Response.Status != want || want == 303 && where != "/app/orders?x=1" {
				t.Errorf("%s after %v: %d %s", query, after, x.Response.Status, where)
			}
		}
	}
}

// late is a verifier to whom a key becomes known after so many looks.
type late struct {
	code  string
	looks int
}

func (l *late) Verify(token, typ string) (map[string]any, string) {
	if l.looks--; l.looks >= 0 {
		return nil, l.code
	}
	return notary{}.Verify(token, typ)
}

// A login waits for a key that is not known, also where it cannot be asked for yet
// since others have just been asked for in vain.
func TestLoginWaitsForTheKey(t *testing.T) {
	for _, code := range []string{auth.CodeJWTKey, auth.CodeKeySet} {
		m := newMethod(t)
		m.needs.Tokens = &late{code, 3}
		if _, got := m.verify(jwt(t, map[string]any{"sub": "ann"}), "", loginKeyWait); got != "" {
			t.Errorf("%s: %s", code, got)
		}
		m.needs.Tokens = &late{code, 1000}
		if _, got := m.verify(jwt(t, map[string]any{"sub": "ann"}), "", 2*keyPoll); got != code {
			t.Errorf("%s: %s", code, got)
		}
	}
}

// A callback that is reloaded while the provider is slow uses the code once, and
// leads to the page.
func TestCallbackReloaded(t *testing.T) {
	d := &desk{}
	m := at(t, d)
	browser, id := text(random(16)), random(stateID)
	ask := func() (int, string) {
		x := request("GET", "/oauth2/callback?code=a&state="+m.sealState(id, browser, "/app"), "cookie", m.names.Login+"="+browser)
		m.Serve(x)
		where, _ := x.Response.Header.Get("location")
		return x.Response.Status, where
	}
	asked, again := make(chan struct{}), make(chan struct{})
	d.answer = func(url.Values) (int, string) {
		close(asked)
		<-again
		claims := map[string]any{"sub": "ann", "nonce": m.seals.derive("nonce", id, browser)}
		return 200, `{"access_token":"a","token_type":"Bearer","id_token":"` + jwt(t, claims) + `"}`
	}
	both := make(chan string, 2)
	for range 2 {
		go func() {
			status, where := ask()
			both <- fmt.Sprint(status, " ", where)
		}()
	}
	<-asked
	time.Sleep(50 * time.Millisecond) // the other is there too
	close(again)
	if first, second := <-both, <-both; first != "303 /app" || second != "303 /app" || d.asked.Load() != 1 {
		t.Errorf("%s and %s after %d uses of the code", first, second, d.asked.Load())
	}
}

// Logins beyond those that may ask at a time wait for a moment, and leave refreshes room.
func TestLoginsWait(t *testing.T) {
	var under, most atomic.Int32
	d := &desk{answer: func(form url.Values) (int, string) {
		if form.Get("grant_type") == "refresh_token" {
			return 200, `{"access_token":"a","token_type":"Bearer"}`
		}
		for n := under.Add(1); n > most.Load(); {
			most.Store(n)
		}
		defer under.Add(-1)
		time.Sleep(20 * time.Millisecond)
		return 400, `{"error":"invalid_grant"}`
	}}
	m := at(t, d)
	var all sync.WaitGroup
	for range 4 * loginsAtOnce {
		all.Go(func() {
			if _, code := m.provider.exchange("https://shop.example/oauth2/callback", "a", "v"); code != CodeCode {
				t.Errorf("a login: %s", code)
			}
		})
	}
	for range loginsAtOnce {
		all.Go(func() {
			if _, code := m.provider.refresh("r"); code != "" {
				t.Errorf("a refresh: %s", code)
			}
		})
	}
	all.Wait()
	if n := most.Load(); n > loginsAtOnce {
		t.Errorf("%d at once", n)
	}
}

// A provider may say of a tab that was left at its form while another one's login
// came through that it cannot be had (Keycloak: authentication_expired).
func TestLoginInAnotherTab(t *testing.T) {
	m := newMethod(t)
	m.needs.Cookies.Login, m.needs.Cookies.Session = jarPlace(m.names.Login), jarPlace(m.names.Session)
	token, browser := logIn(t, m, map[string]any{"sub": "ann"}), text(random(16))
	query := "error=temporarily_unavailable&state=" + m.sealState(random(stateID), browser, "/app")
	for session, want := range map[string]int{"; " + m.names.Session + "=" + token: 303, "": 503} {
		x := request("GET", "/oauth2/callback?"+query, "cookie", m.names.Login+"="+browser+session)
		m.Serve(x)
		if x.Response.Status != want {
			t.Errorf("with %q: %d", session, x.Response.Status)
		}
	}
}

// jarPlace finds a cookie among others.
type jarPlace string

func (j jarPlace) Find(x *exchange.Exchange) (string, auth.Outcome) {
	for v := range x.Request.Header.Cookies(string(j)) {
		return v, auth.Accepted
	}
	return "", auth.Absent
}

func (j jarPlace) Strip(*exchange.Exchange) {}

// What is asked of the provider and what it is shown for the code belong together, to
// this browser and this login.
func TestLoginIsBound(t *testing.T) {
	sum := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return base64.RawURLEncoding.EncodeToString(h[:])
	}
	is := func(want int, change func(claims map[string]any, callback *exchange.Exchange)) {
		t.Helper()
		d := &desk{}
		m := at(t, d)
		x := request("GET", "/app?a=b", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document")
		if !m.Invite(x) {
			t.Fatalf("%+v", x.Response)
		}
		location, _ := x.Response.Header.Get("location")
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Host != "i.example" || q.Get("response_type") != "code" || q.Get("client_id") != "shop" || q.Get("code_challenge_method") != "S256" {
			t.Errorf("asked %s", location)
		}
		cookie, _ := x.Response.Header.Get("set-cookie")
		cookie, _, _ = strings.Cut(cookie, ";")
		claims := map[string]any{"sub": "ann", "nonce": q.Get("nonce")}
		back := request("GET", "/oauth2/callback?code=a&state="+url.QueryEscape(q.Get("state")), "cookie", cookie)
		change(claims, back)
		d.answer = func(form url.Values) (int, string) {
			verifier := form.Get("code_verifier")
			if form.Get("code") != "a" || form.Get("redirect_uri") != "https://shop.example/oauth2/callback" || q.Get("redirect_uri") != form.Get("redirect_uri") {
				t.Errorf("%v for %v", form, q)
			}
			if sum(verifier) != q.Get("code_challenge") || len(verifier) < 43 || strings.Contains(location, verifier) {
				t.Errorf("the verifier %q is not what %s was told the hash of, and that alone", verifier, location)
			}
			return 200, `{"access_token":"a","token_type":"Bearer","id_token":"` + jwt(t, claims) + `"}`
		}
		m.Serve(back)
		where, _ := back.Response.Header.Get("location")
		if back.Response.Status != want || (want == 303) != (where == "/app?a=b") {
			t.Errorf("%v: %d %s, want %d", claims, back.Response.Status, where, want)
		}
	}
	is(303, func(map[string]any, *exchange.Exchange) {})
	is(502, func(c map[string]any, _ *exchange.Exchange) { c["nonce"] = "else" })
	is(502, func(c map[string]any, _ *exchange.Exchange) { delete(c, "nonce") })
	is(502, func(c map[string]any, _ *exchange.Exchange) { c["sub"] = "" })
	is(502, func(c map[string]any, _ *exchange.Exchange) { c["azp"] = "else" })
}
