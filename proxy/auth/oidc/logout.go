package oidc

import (
	"context"
	"crypto/sha256"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// maxHint is the longest ID token that goes into the URL of a logout.
const maxHint = 4 << 10

// logout ends the caller's session here and, if asked for, at the provider
// (OpenID Connect RP-Initiated Logout 1.0). With ?all=true it ends all sessions
// of the user. Another site cannot cause it.
func (m *Method) logout(x *exchange.Exchange) {
	if site, _ := x.Request.Header.Get("sec-fetch-site"); site == "cross-site" {
		x.Reply(403, CodeCrossSite, "another site asked for the logout; do it from this one")
		return
	}
	hint := ""
	if token, found := m.sessionCookie(x); found == auth.Accepted && len(token) == tokenText {
		var ok bool
		if hint, ok = m.forget(x, token); !ok {
			unavailable(x, CodeStore)
			return
		}
	}
	where := m.afterLogout(x, hint)
	mode, fetch := x.Request.Header.Get("sec-fetch-mode")
	switch {
	case fetch && mode != "navigate": // a script could not follow
		x.ReplyBody(204, CodeSignedOut, "", nil)
		x.Response.Header = x.Response.Header[:0]
	case where != "":
		redirect(x, CodeSignedOut, where)
	default:
		x.ReplyBody(200, CodeSignedOut, "text/plain; charset=utf-8", []byte("You are signed out.\n"))
	}
	m.setCookie(x, false, "", 0)
	m.setCookie(x, true, "", 0)
}

// forget ends the session of token and returns its ID token; false if the store
// fails, and the session goes on.
func (m *Method) forget(x *exchange.Exchange, token string) (hint string, ok bool) {
	ctx, id := context.Background(), m.seals.sessionID(token)
	values, err := m.needs.Store.Get(ctx, [][32]byte{id}, m.config.Session.Idle)
	if err == nil && values[0] != nil {
		if r := m.unseal(token, values[0]); r != nil {
			hint = r.IDToken
		}
		if all, _ := x.Query("all"); all == "true" && hint != "" {
			sub, _ := claimsOf(hint)["sub"].(string)
			err = m.revoke("sub ", sub, random(8))
		}
		m.needs.Cache.count(LoggedOut)
	}
	if err == nil {
		err = m.needs.Store.Delete(ctx, id)
	}
	m.needs.Cache.drop(&id)
	if err != nil {
		m.needs.Cache.count(StoreFailed)
	}
	return hint, err == nil
}

// afterLogout is where a logout leads: to the provider, or to the page the policy
// names; empty for nowhere.
func (m *Method) afterLogout(x *exchange.Exchange, hint string) string {
	p, after := m.provider.metadata(), m.config.Paths.AfterLogout
	if !m.config.Paths.EndSession || p == nil || p.EndSession == "" {
		return after
	}
	q := url.Values{"client_id": {m.config.ClientID}}
	if hint != "" && len(hint) <= maxHint {
		q.Set("id_token_hint", hint)
	}
	if strings.HasPrefix(after, "/") {
		scheme, authority := m.origin(x)
		after = scheme + "://" + authority + after
	}
	if after != "" {
		q.Set("post_logout_redirect_uri", after)
	}
	join := "?"
	if strings.Contains(p.EndSession, "?") {
		join = "&"
	}
	return p.EndSession + join + q.Encode()
}

// The bounds of a back-channel logout.
const (
	maxForm      = 64 << 10
	formTime     = 10 * time.Second
	logoutEvent  = "http://schemas.openid.net/event/backchannel-logout"
	logoutType   = "logout+jwt"
	replayMemory = time.Hour

	logoutsAtOnce = 64 // that wait for a key; further ones with a key that is not known are told to come again
)

// isForm reports whether a Content-Type is that of a form, with parameters or without.
func isForm(contentType string) bool {
	return mem.EqualFold(exchange.MediaType(contentType), "application/x-www-form-urlencoded")
}

// backchannel takes a logout token, with which the provider ends sessions
// (OpenID Connect Back-Channel Logout 1.0, section 2.5 to 2.8).
func (m *Method) backchannel(x *exchange.Exchange) {
	media, _ := x.Request.Header.Get("content-type")
	if !isForm(media) {
		x.Reply(400, CodeLogoutToken, "the content must be a form with a logout_token")
		return
	}
	token, ok := logoutToken(x)
	if !ok {
		return
	}
	claims, code := m.verify(token, logoutType, 0)
	if code == auth.CodeJWTKey || code == auth.CodeKeySet {
		select {
		case m.logouts <- struct{}{}:
			defer func() { <-m.logouts }()
			claims, code = m.verify(token, logoutType, logoutKeyWait)
		default:
			code = auth.CodeKeySet
		}
	}
	switch {
	case code == auth.CodeKeySet:
		unavailable(x, CodeProvider)
		return
	case code != "" || !isLogout(claims):
		x.Reply(400, CodeLogoutToken, "the logout token does not pass the checks")
		return
	}
	if err := m.endAll(claims); err != nil {
		unavailable(x, CodeStore)
		return
	}
	m.needs.Cache.count(LoggedOutByProvider)
	x.ReplyBody(200, CodeSignedOut, "text/plain; charset=utf-8", nil)
}

// endAll ends the sessions a logout token names: the one of its sid, or all of
// its user. A token is good once: sent again, it must not end newer sessions.
func (m *Method) endAll(claims map[string]any) error {
	ctx := context.Background()
	jti, _ := claims["jti"].(string)
	sum := sha256.Sum256([]byte(jti))
	heeded := m.seals.markID("jti ", string(sum[:]))
	values, err := m.needs.Store.Get(ctx, [][32]byte{heeded}, replayMemory)
	if err != nil || values[0] != nil {
		return err
	}
	kind := "sid "
	name, _ := claims["sid"].(string)
	if name == "" {
		kind = "sub "
		name, _ = claims["sub"].(string)
	}
	// Noted last, or a token that the provider sends again because the store failed
	// would end nothing. The mark is the token's own: twice at once it ends no more.
	if err := m.revoke(kind, name, sum[:8]); err != nil {
		return err
	}
	_, err = m.needs.Store.Set(ctx, heeded, []byte{1}, replayMemory, always)
	return err
}

// isLogout checks what sets a logout token apart (section 2.4).
func isLogout(claims map[string]any) bool {
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return false
	}
	if _, there := claims["nonce"]; there {
		return false
	}
	if _, there := claims["iat"]; !there {
		return false
	}
	text := func(name string) bool { s, _ := claims[name].(string); return s != "" }
	return text("jti") && (text("sid") || text("sub"))
}

// logoutToken reads the form; false if x has been answered.
func logoutToken(x *exchange.Exchange) (string, bool) {
	var form []byte
	for late := time.Now().Add(formTime); x.Request.Body != nil; {
		p, err := x.Request.Body.Next()
		form = append(form, p...)
		if len(form) > maxForm || time.Now().After(late) {
			x.Fail(&exchange.Error{Status: 413, Code: CodeLogoutToken, Detail: "the form is too large, or takes too long"})
			return "", false
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			x.Fail(err)
			return "", false
		}
	}
	values, err := url.ParseQuery(string(form))
	if tokens := values["logout_token"]; err == nil && len(tokens) == 1 {
		return tokens[0], true
	}
	x.Reply(400, CodeLogoutToken, "the form must have one logout_token")
	return "", false
}
