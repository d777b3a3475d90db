package oidc

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// rotating is a provider whose refresh tokens are good once. The one that is good
// is that of this number.
type rotating struct {
	good    int
	refused int
	more    string // members of its answers
}

func (p *rotating) answer(form url.Values) (int, string) {
	if form.Get("refresh_token") != fmt.Sprint("refresh-", p.good) {
		p.refused++
		return 400, `{"error":"invalid_grant"}`
	}
	p.good++
	return 200, fmt.Sprintf(`{"access_token":"access-%d","token_type":"Bearer","expires_in":300,"refresh_token":"refresh-%d"%s}`, p.good, p.good, p.more)
}

// clocked is a method of p's client whose clock is now.
func clocked(t testing.TB, d *desk, now *time.Time, change func(*table.OIDC, *Needs)) *Method {
	t.Helper()
	return alike(t, newMethod(t), func(c *table.OIDC, n *Needs) {
		n.Transport, n.Now = d, func() time.Time { return *now }
		c.Forward = &table.TokenHeader{Name: "authorization", Scheme: "Bearer"}
		change(c, n)
	})
}

func due(t testing.TB, m *Method, now time.Time) string {
	t.Helper()
	return begun(t, m, record{
		IDToken: jwt(t, map[string]any{"sub": "ann"}), Access: "access-1", Refresh: "refresh-1", Expires: now.Unix() + refreshAhead/2,
	})
}

// Two replicas refresh at once where the claim of the one is lost, or has run out
// because its provider was slow. The session goes on with what the faster one got.
func TestRefreshWithoutClaim(t *testing.T) {
	p, d, now := &rotating{good: 1}, &desk{}, time.Now()
	one := clocked(t, d, &now, func(*table.OIDC, *Needs) {})
	two := alike(t, one, func(_ *table.OIDC, n *Needs) { n.Cache = NewCache(64) }) // another replica
	token := due(t, one, now)
	d.answer = func(form url.Values) (int, string) {
		d.answer = p.answer
		id := one.seals.sessionID(token)
		if err := one.needs.Store.Delete(t.Context(), one.seals.markID("refresh ", string(id[:]))); err != nil {
			t.Error(err)
		}
		if got := asks(t, two, token, auth.Accepted); got != "access-2" {
			t.Errorf("the faster replica has the token %q", got)
		}
		return p.answer(form)
	}
	if got := asks(t, one, token, auth.Accepted); got != "access-2" || p.refused != 1 {
		t.Errorf("the slower replica has the token %q after %d refusals", got, p.refused)
	}
	now = now.Add(10 * time.Second)
	asks(t, two, token, auth.Accepted)
	now = now.Add(5 * time.Minute) // what was kept can be refreshed
	if got := asks(t, one, token, auth.Accepted); got != "access-3" {
		t.Errorf("the token %q", got)
	}
	p.good = 0 // and a refusal ends the session
	now = now.Add(5 * time.Minute)
	asks(t, one, token, auth.Absent)
	asks(t, two, token, auth.Absent)
}

// A claim that has run out may be another replica's by the time: it is left alone.
func TestRefreshLeavesClaims(t *testing.T) {
	p, d, now := &rotating{good: 1}, &desk{}, time.Now()
	m := clocked(t, d, &now, func(*table.OIDC, *Needs) {})
	token := due(t, m, now)
	id := m.seals.sessionID(token)
	claim := m.seals.markID("refresh ", string(id[:]))
	d.answer = func(form url.Values) (int, string) {
		now = now.Add(claimTime)
		return p.answer(form)
	}
	asks(t, m, token, auth.Accepted)
	if values, err := m.needs.Store.Get(t.Context(), [][32]byte{claim}, time.Hour); err != nil || values[0] == nil {
		t.Errorf("the claim is gone: %v", err)
	}
}

// unsure is a verifier that does not know a key yet.
type unsure struct{ known bool }

func (u *unsure) Verify(token, typ string) (map[string]any, string) {
	if !u.known {
		return nil, auth.CodeKeySet
	}
	return notary{}.Verify(token, typ)
}

// An ID token that cannot be judged yet costs nobody the session: the refresh
// token that came with it is kept, for the one before is over.
func TestRefreshKeepsTheRefreshToken(t *testing.T) {
	p, d, now := &rotating{good: 1}, &desk{}, time.Now()
	p.more = `,"id_token":"` + jwt(t, map[string]any{"sub": "ann", "email": "new"}) + `"`
	d.answer = p.answer
	keys := &unsure{}
	m := clocked(t, d, &now, func(_ *table.OIDC, n *Needs) { n.Tokens = keys })
	token := due(t, m, now)
	if got := asks(t, m, token, auth.Accepted); got != "access-1" || d.asked.Load() != 1 {
		t.Errorf("the token %q after %d refreshes", got, d.asked.Load())
	}
	asks(t, m, token, auth.Accepted)
	if d.asked.Load() != 1 {
		t.Error("the next try is not put off")
	}
	keys.known = true
	now = now.Add(refreshAgain * time.Second)
	if got := asks(t, m, token, auth.Accepted); got != "access-3" || p.refused != 0 {
		t.Errorf("the token %q after %d refusals", got, p.refused)
	}
}

// A provider that wants to see the user again has ended the session.
func TestRefreshAsksForTheUser(t *testing.T) {
	for failure, want := range map[string]auth.Outcome{
		"invalid_grant": auth.Absent, "interaction_required": auth.Absent, "login_required": auth.Absent, "consent_required": auth.Absent,
		"access_denied": auth.Absent, "invalid_client": auth.Accepted, "temporarily_unavailable": auth.Accepted,
	} {
		now := time.Now()
		m := clocked(t, &desk{answer: func(url.Values) (int, string) { return 400, `{"error":"` + failure + `"}` }}, &now, func(*table.OIDC, *Needs) {})
		token := due(t, m, now)
		t.Run(failure, func(t *testing.T) { asks(t, m, token, want) })
	}
}

// An access token that lives for a few seconds is not refreshed by every request.
func TestRefreshOfShortTokens(t *testing.T) {
	d, now := &desk{answer: func(url.Values) (int, string) {
		return 200, `{"access_token":"a","token_type":"Bearer","expires_in":20,"refresh_token":"r"}`
	}}, time.Now()
	m := clocked(t, d, &now, func(*table.OIDC, *Needs) {})
	token := due(t, m, now)
	for range 10 {
		asks(t, m, token, auth.Accepted)
	}
	if n := d.asked.Load(); n != 1 {
		t.Errorf("%d refreshes by 10 requests at once", n)
	}
	now = now.Add(10 * time.Second)
	asks(t, m, token, auth.Accepted)
	if n := d.asked.Load(); n != 2 {
		t.Errorf("%d refreshes after half its life", n)
	}
}

// A refresh brings what the ID token says now, also from a provider that leaves the
// sid out of it, and the session is ended by that sid all the same.
func TestRefreshWithoutSid(t *testing.T) {
	p, d, now := &rotating{good: 1}, &desk{}, time.Now()
	p.more = `,"id_token":"` + jwt(t, map[string]any{"sub": "ann", "groups": "none"}) + `"`
	d.answer = p.answer
	m := clocked(t, d, &now, func(*table.OIDC, *Needs) {})
	token := begun(t, m, record{
		IDToken: jwt(t, map[string]any{"sub": "ann", "sid": "1", "groups": "staff"}), Access: "access-1", Refresh: "refresh-1", Expires: now.Unix() + 1,
	})
	for range 2 {
		x := request("GET", "/app", "cookie", m.names.Session+"="+token)
		if m.Authenticate(x, &x.Principal); x.Principal.Claims["groups"] != "none" || x.Principal.Claims["sid"] != "1" {
			t.Errorf("the claims are %v", x.Principal.Claims)
		}
		now = now.Add(5 * time.Minute)
	}
	x := request("GET", "/logout", "cookie", m.names.Session+"="+token)
	if hint, ok := m.forget(x, token); !ok || claimsOf(hint)["sid"] != "1" {
		t.Errorf("the logout's hint is %s", hint)
	}
	token = begun(t, m, record{IDToken: jwt(t, map[string]any{"sub": "ann", "sid": "1"}), Later: jwt(t, map[string]any{"sub": "ann"}), Access: "a"})
	asks(t, m, token, auth.Accepted)
	if err := m.revoke("sid ", "1", random(8)); err != nil {
		t.Fatal(err)
	}
	asks(t, m, token, auth.Absent)
}

// A provider that is slow to answer has used up the refresh token meanwhile. Requests
// go on without waiting for it, and the session with what it says in the end.
func TestRefreshOfASlowProvider(t *testing.T) {
	p, d, now := &rotating{good: 1}, &desk{}, time.Now()
	release := make(chan struct{})
	d.answer = func(form url.Values) (int, string) {
		status, content := p.answer(form)
		<-release
		return status, content
	}
	m := clocked(t, d, &now, func(*table.OIDC, *Needs) {})
	m.patience = time.Millisecond
	token := due(t, m, now)
	for range 3 {
		if got := asks(t, m, token, auth.Accepted); got != "access-1" {
			t.Errorf("the token %q while the provider thinks", got)
		}
	}
	close(release)
	for late := time.Now().Add(time.Minute); asks(t, m, token, auth.Accepted) != "access-2"; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("what the provider said is lost")
		}
	}
	if p.refused != 0 || d.asked.Load() != 1 {
		t.Errorf("%d refreshes, %d refusals", d.asked.Load(), p.refused)
	}
}

// deadlines notes how long the calls of each kind may take.
type deadlines map[string]time.Duration

func (d deadlines) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	late, _ := r.Context().Deadline()
	d[r.PostForm.Get("grant_type")] = time.Until(late)
	return nil, io.ErrUnexpectedEOF
}

// A login does not wait for a slow provider as long as a refresh does, whose answer
// must not be lost.
func TestRefreshesAreGivenTime(t *testing.T) {
	d := deadlines{}
	m := alike(t, newMethod(t), func(_ *table.OIDC, n *Needs) { n.Transport = d })
	m.provider.refresh("r")
	m.provider.exchange("https://shop.example/oauth2/callback", "a", "v")
	if login, refresh := d["authorization_code"], d["refresh_token"]; login > callTime || refresh <= callTime || refresh+callTime >= claimTime {
		t.Errorf("a login %v, a refresh %v", login, refresh)
	}
}
