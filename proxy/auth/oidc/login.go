package oidc

import (
	"bytes"
	"encoding/binary"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// loginTime is how long a login may take.
const loginTime = time.Hour

// maxTarget is the longest path and query that a login leads back to: with the
// state around it, it has to fit into the URLs of all providers.
const maxTarget = 2 << 10

// Invite implements auth.Interactive: it sends a person's browser to the provider.
// Scripts and other programs are not redirected, for they could not log in:
// Invite leaves them to be answered 401.
//
// All that a login needs travels in its state parameter, sealed, so that any
// number may be under way in as many tabs, on any replica. What ties them to this
// browser is one cookie, the same for all of them.
func (m *Method) Invite(x *exchange.Exchange) bool {
	if !navigates(x) {
		return false
	}
	p := m.provider.metadata()
	if p == nil {
		unavailable(x, CodeProvider)
		return true
	}
	browser := m.browser(x)
	if browser == "" {
		browser = text(random(16))
	} else {
		browser = strings.Clone(browser)
	}
	id := random(stateID)
	copy(id, m.mark[:])
	where := m.authorizeURL(x, p, id, browser)
	redirect(x, CodeLogin, where)
	m.setCookie(x, true, browser, loginTime)
	x.Response.Header.Add("Cache-Control", "no-store")
	m.needs.Cache.count(LoginStarted)
	return true
}

// navigates reports whether a person's browser asks for a page to show: by Fetch
// Metadata where it sends it, else by what it accepts.
func navigates(x *exchange.Exchange) bool {
	h := x.Request.Header
	if x.Request.Method != "GET" || x.Request.Upgrade != "" {
		return false
	}
	if mode, ok := h.Get("sec-fetch-mode"); ok {
		dest, _ := h.Get("sec-fetch-dest")
		return mode == "navigate" && dest == "document"
	}
	if _, script := h.Get("x-requested-with"); script {
		return false
	}
	accept, _ := h.Get("accept")
	return strings.Contains(accept, "text/html")
}

func (m *Method) authorizeURL(x *exchange.Exchange, p *metadata, id []byte, browser string) string {
	q := url.Values{}
	for _, p := range m.config.Parameters {
		q.Set(p.Name, p.Value)
	}
	q.Set("response_type", "code")
	q.Set("client_id", m.config.ClientID)
	q.Set("redirect_uri", m.redirectURI(x))
	q.Set("scope", strings.Join(m.config.Scopes, " "))
	q.Set("state", m.sealState(id, browser, target(x)))
	q.Set("nonce", m.seals.derive("nonce", id, browser))
	q.Set("code_challenge", challenge(m.seals.derive("verifier", id, browser)))
	q.Set("code_challenge_method", "S256")
	join := "?"
	if strings.Contains(p.Authorization, "?") {
		join = "&"
	}
	return p.Authorization + join + q.Encode()
}

func (m *Method) redirectURI(x *exchange.Exchange) string {
	scheme, authority := m.origin(x)
	return scheme + "://" + authority + m.config.Paths.Callback
}

// target is where the login leads back to: what was asked for.
func target(x *exchange.Exchange) string {
	t := x.Request.Path
	if q := x.Request.RawQuery; q != "" && len(t)+len(q) < maxTarget {
		t += "?" + q
	}
	if len(t) > maxTarget || !local(t) {
		return "/"
	}
	return t
}

// local reports whether a browser takes t for a path on the host it is on, and
// never for another host ("//", "/\").
func local(t string) bool {
	return t != "" && t[0] == '/' && (len(t) == 1 || t[1] != '/' && t[1] != '\\') && strings.IndexFunc(t, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) < 0
}

// A state is version, time, id, binding and target.
const (
	stateVersion = 1
	stateID      = 16
	stateHead    = 1 + 8 + stateID + 16
	maxState     = 2 * (stateHead + maxTarget)
)

func (m *Method) sealState(id []byte, browser, target string) string {
	b := make([]byte, 0, stateHead+len(target))
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.needs.Now().Unix()))
	b = append(b, id...)
	b = append(b, m.seals.binding(browser)...)
	b = append(b, target...)
	return text(m.seals.state.Seal(nil, nil, b, nil))
}

// login is a state as it came back. It is ours: nobody else can seal one.
type login struct {
	began   int64 // Unix seconds
	id      []byte
	binding []byte
	target  string
}

func (m *Method) openState(sealed string) (login, bool) {
	if len(sealed) > maxState {
		return login{}, false
	}
	b, err := decode(sealed)
	if err != nil {
		return login{}, false
	}
	if b, err = m.seals.state.Open(nil, nil, b, nil); err != nil || len(b) < stateHead || b[0] != stateVersion {
		return login{}, false
	}
	l := login{
		began: int64(binary.BigEndian.Uint64(b[1:])), id: b[9 : 9+stateID],
		binding: b[9+stateID : stateHead], target: string(b[stateHead:]),
	}
	return l, local(l.target)
}

// of reports whether the login began in this browser.
func (l *login) of(m *Method, browser string) bool {
	return bytes.Equal(l.binding, m.seals.binding(browser)) // a hash: its comparison tells nothing
}

// redirect sends the browser on. 303, so that it asks with GET.
func redirect(x *exchange.Exchange, code, where string) {
	x.ReplyBody(303, code, "", nil)
	x.Response.Header = append(x.Response.Header[:0], exchange.Field{Name: "Location", Value: where})
}
