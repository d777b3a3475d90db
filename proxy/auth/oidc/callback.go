package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// How long a key is waited for that the provider has just begun to sign with: a
// login would be lost, and its key set may have been fetched up to 10 s ago; a
// logout token can come from anybody.
const (
	loginKeyWait  = 11 * time.Second
	logoutKeyWait = 2 * time.Second
	keyPoll       = 50 * time.Millisecond
)

// callback ends a login (OpenID Connect Core, section 3.1.2.5 and following). It
// never begins one from a state that is not ours, and it leads nowhere but to a
// path on this host.
func (m *Method) callback(x *exchange.Exchange) {
	values, ok := m.response(x)
	if !ok {
		m.fail(x, 400, CodeResponse, "the provider's answer is incomplete or repeats a parameter")
		return
	}
	l, ok := m.openState(values.state)
	browser := m.browser(x)
	switch {
	case !ok:
		m.fail(x, 400, CodeState, "this login was not begun here; go back to where you came from and try again")
		return
	case m.needs.Now().Unix() >= l.began+int64(loginTime/time.Second):
		// The login page was left open, and the browser has forgotten the cookie by
		// now: the page is asked for again, which begins another login.
		redirect(x, CodeLogin, l.target)
		return
	case browser == "" && !m.known(x):
		m.fail(x, 400, CodeCookie, "the browser that began this login kept a cookie, and this one has none; allow cookies and try again")
		return
	case browser == "", !l.of(m, browser):
		// Another tab's login has replaced the cookie, or somebody else's link was
		// followed: the page itself is asked for again, which needs no login if
		// there is a session by then.
		redirect(x, CodeLogin, l.target)
		return
	}
	if values.failure != "" {
		m.refused(x, values.failure, l.target)
		return
	}
	select {
	case m.callbacks <- struct{}{}:
		defer func() { <-m.callbacks }()
	default:
		m.failLogin(x, CodeProvider)
		return
	}
	answered := false
	_, _, _ = m.logins.Do(string(l.id), func() (any, error) {
		m.complete(x, values.code, &l, browser)
		answered = true
		return nil, nil
	})
	if !answered {
		// The callback was asked for again before its answer had come, by a reload,
		// and a code counts once: the page tells how that ended.
		redirect(x, CodeLogin, l.target)
	}
}

// complete makes a session of a code.
func (m *Method) complete(x *exchange.Exchange, given string, l *login, browser string) {
	r, code := m.exchange(x, given, l, browser)
	if code == CodeCode && m.known(x) { // the callback was asked for twice
		redirect(x, CodeLoggedIn, l.target)
		return
	}
	if code != "" {
		m.failLogin(x, code)
		return
	}
	m.begin(x, r, l.target)
}

// response is the parameters of the provider's answer.
type response struct{ state, code, failure string }

// response reads them; false if it cannot be told what they say. The issuer, if
// named, must be ours (RFC 9207).
func (m *Method) response(x *exchange.Exchange) (r response, ok bool) {
	issuer := ""
	for _, p := range []struct {
		name string
		into *string
	}{{"state", &r.state}, {"code", &r.code}, {"error", &r.failure}, {"iss", &issuer}} {
		var n int
		if *p.into, n = x.Query(p.name); n > 1 {
			return r, false
		}
	}
	md := m.provider.metadata()
	if issuer != "" && issuer != m.config.Issuer || issuer == "" && md != nil && md.NamesItself {
		return r, false
	}
	return r, r.state != "" && (r.code == "") != (r.failure == "")
}

// known reports whether the caller has a session.
func (m *Method) known(x *exchange.Exchange) bool {
	token, found := m.sessionCookie(x)
	if found != auth.Accepted {
		return false
	}
	s, _ := m.session(token)
	return s != nil
}

// refused answers for a provider that said no (OAuth 2.0, section 4.1.2.1). Its
// own words are not repeated: anybody can write them into a link.
func (m *Method) refused(x *exchange.Exchange, failure, target string) {
	switch passes := failure == "temporarily_unavailable" || failure == "server_error"; {
	case passes && m.known(x): // another tab's login has come through
		redirect(x, CodeLoggedIn, target)
		return
	case passes:
		m.failLogin(x, CodeProvider)
		return
	}
	m.fail(x, 403, CodeDenied, "the login was refused or given up at the provider")
}

func (m *Method) failLogin(x *exchange.Exchange, code string) {
	switch code {
	case CodeCode:
		m.fail(x, 400, code, "the provider does not take this login's code; go back to where you came from and try again")
	case CodeToken:
		m.fail(x, 502, code, "the provider's ID token does not pass the checks")
	default:
		m.needs.Cache.count(LoginFailed)
		unavailable(x, code)
	}
}

func (m *Method) fail(x *exchange.Exchange, status int, code, detail string) {
	m.needs.Cache.count(LoginFailed)
	x.Reply(status, code, detail)
}

// exchange gets the tokens for a code and checks the ID token.
func (m *Method) exchange(x *exchange.Exchange, code string, l *login, browser string) (*record, string) {
	r, failure := m.provider.exchange(m.redirectURI(x), code, m.seals.derive("verifier", l.id, browser))
	if failure != "" {
		return nil, failure
	}
	claims, failure := m.verify(r.IDToken, "", loginKeyWait)
	switch failure {
	case "":
	case auth.CodeKeySet, auth.CodeJWTKey:
		return nil, CodeProvider
	default:
		return nil, CodeToken
	}
	if nonce, _ := claims["nonce"].(string); nonce != m.seals.derive("nonce", l.id, browser) {
		return nil, CodeToken
	}
	sub, _ := claims["sub"].(string)
	if sub == "" || !m.meant(claims) {
		return nil, CodeToken
	}
	if m.config.UserInfo {
		if r.Info = m.provider.userInfo(r.Access, sub); r.Info == nil {
			return nil, CodeProvider // without the claims rules might let pass what they must not
		}
	}
	return r, ""
}

// verify judges a token of the provider. If it is signed with a key we do not
// have, it waits for the fetch that causes.
func (m *Method) verify(token, typ string, most time.Duration) (map[string]any, string) {
	for late := time.Now().Add(most); ; time.Sleep(keyPoll) {
		claims, code := m.needs.Tokens.Verify(token, typ)
		missing := code == auth.CodeJWTKey || code == auth.CodeKeySet // known to be, or not to be asked for yet
		if !missing || !time.Now().Before(late) {
			return claims, code
		}
	}
}

// meant reports whether an ID token is for us (OpenID Connect Core, section
// 3.1.3.7, 3 to 5): no audience that is not trusted, unless the token says that
// we are the one it was issued to.
func (m *Method) meant(claims map[string]any) bool {
	azp, there := claims["azp"]
	if there {
		return azp == m.config.ClientID
	}
	list, _ := claims["aud"].([]any)
	return !slices.ContainsFunc(list, func(aud any) bool {
		s, _ := aud.(string)
		return s != m.config.ClientID && !slices.Contains(m.config.Audiences, s)
	})
}

// begin makes a session, always under a new token: nobody can know it before. It
// has the marks that there are, so that only later ones end it.
func (m *Method) begin(x *exchange.Exchange, r *record, target string) {
	ctx, token := context.Background(), text(random(tokenBytes))
	r.Created = m.needs.Now().UnixMilli()
	claims := claimsOf(r.IDToken)
	marks := m.marks(claims)
	values, err := m.needs.Store.Get(ctx, marks[:], m.config.Session.Absolute)
	if err == nil {
		copy(r.Marks[:], values)
		var sealed []byte
		if sealed, err = m.seal(token, r); err == nil {
			keep := min(m.config.Session.Idle, m.config.Session.Absolute)
			_, err = m.needs.Store.Set(ctx, m.seals.sessionID(token), sealed, keep, always)
		}
	}
	if err != nil {
		m.needs.Cache.count(StoreFailed)
		m.failLogin(x, CodeStore)
		return
	}
	if old, found := m.sessionCookie(x); found == auth.Accepted && len(old) == tokenText {
		subject, _ := claims["sub"].(string)
		m.replace(old, subject)
	}
	redirect(x, CodeLoggedIn, target)
	m.setCookie(x, false, token, m.config.Session.Absolute)
	m.needs.Cache.count(LoggedIn)
}

// challenge is the S256 transformation (RFC 7636, section 4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return text(sum[:])
}

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
