// Package oidc logs people in with an OpenID provider and knows them again by a
// session cookie (OpenID Connect Core 1.0, authorization code flow with PKCE).
//
// proxy/guard builds one Method per table.OIDC. Beside what every method does, a
// Method answers requests itself: it sends browsers to the provider (Invite) and
// serves its callback and logout paths (Serve). Tokens are verified by the jwt
// method's rules and sessions kept in a store of proxy/auth/sessions; both are
// given to it.
//
// The cookie is a random token. The store has the session under the token's hash,
// sealed with a key made from the token and the client secret: whoever reads the
// store learns no session and no token. What requests need of a session is
// remembered in a Cache for a second before the store is asked again, so that a
// session ended elsewhere ends here.
//
// A provider that is down keeps nobody out who has a session; who has none gets
// 503 with Retry-After.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Store keeps values under keys. Those of proxy/auth/sessions say what each of
// its methods promises.
type Store interface {
	Get(ctx context.Context, keys [][32]byte, keep time.Duration) ([][]byte, error)
	Set(ctx context.Context, key [32]byte, value []byte, keep time.Duration, when uint8) (bool, error)
	Delete(ctx context.Context, key [32]byte) error
}

// The cases in which Store.Set writes.
const (
	always  uint8 = iota
	absent        // nothing is there
	present       // something is there
)

// Tokens verifies what the provider signed. It returns the claims, or the cause
// why the token is not accepted. typ is a type it may have beside JWT.
type Tokens interface {
	Verify(token, typ string) (claims map[string]any, code string)
}

// Needs is what a Method works with.
type Needs struct {
	Tokens    Tokens
	Metadata  func() []byte // the provider's, as last fetched; nil: not yet
	Store     Store
	Cache     *Cache
	Cookies   Cookies
	Transport http.RoundTripper          // to the provider's token endpoint
	Trusted   func(peer netip.Addr) bool // whether a proxy's X-Forwarded-Proto and -Host are believed
	Now       func() time.Time
}

// Cookies are the places of the method's cookies, by the names NamesOf returns.
type Cookies struct {
	Session, PlainSession auth.Credential
	Login, PlainLogin     auth.Credential
}

// Method logs people in with one client of one provider.
type Method struct {
	config    *table.OIDC
	needs     Needs
	names     Names
	seals     seals
	mark      [4]byte // of the config: begins the ids of its logins
	provider  provider
	callbacks chan struct{}      // that wait for the provider, or for their turn to
	logouts   chan struct{}      // whose tokens wait for a key
	logins    singleflight.Group // by the id of their state
	refreshes singleflight.Group
	patience  time.Duration // of a request, with a refresh
}

// New checks t.
func New(t *table.OIDC, n Needs) (*Method, error) {
	switch {
	case t.Issuer == "" || t.ClientID == "" || len(t.ClientSecret) == 0:
		return nil, errors.New("oidc: set issuer, client id and client secret")
	case t.Session.Absolute <= 0 || t.Session.Idle <= 0:
		return nil, errors.New("oidc: a session must last longer than nothing")
	case !slices.Contains(t.Scopes, "openid"):
		return nil, errors.New("oidc: the scopes lack openid")
	}
	if err := checkPaths(t.Paths); err != nil {
		return nil, err
	}
	s, err := newSeals(t)
	if err != nil {
		return nil, err
	}
	m := &Method{
		config: t, needs: n, names: NamesOf(t), seals: s, provider: newProvider(t, n), patience: callTime,
		callbacks: make(chan struct{}, callbacksAtOnce), logouts: make(chan struct{}, logoutsAtOnce),
	}
	sum := table.Sum(t)
	copy(m.mark[:], sum[:])
	return m, nil
}

func checkPaths(p table.OIDCPaths) error {
	seen := map[string]bool{}
	var err error
	p.Each(func(path string) {
		if path[0] != '/' || strings.ContainsAny(path, "?#\\ ") || seen[path] {
			err = fmt.Errorf("oidc: path %q must begin with / and differ from the others", path)
		}
		seen[path] = true
	})
	if p.Callback == "" {
		err = errors.New("oidc: the callback path is empty")
	}
	return err
}

// Authenticate implements auth.Method: it knows the caller by the session cookie.
// A cookie whose session is over counts as none.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	token, found := m.sessionCookie(x)
	if found != auth.Accepted {
		if found == auth.Rejected {
			return auth.Result{Outcome: found, Code: auth.CodeRepeated}
		}
		return auth.Result{Outcome: found}
	}
	s, result := m.session(token)
	if s == nil {
		return result
	}
	p.Subject, p.Claims, p.Expires = s.subject, s.claims, s.expires
	if m.config.NeedsToken() {
		p.Token = s.access
	}
	return auth.Result{Outcome: auth.Accepted}
}

// Challenge implements auth.Method. It tells scripts, which are not redirected,
// that their user must log in.
func (m *Method) Challenge() string { return `OpenIDConnect realm="gatehouse"` }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) {
	c := &m.needs.Cookies
	for _, place := range []auth.Credential{c.Session, c.PlainSession, c.Login, c.PlainLogin} {
		place.Strip(x)
	}
	if f := m.config.Forward; f != nil {
		x.Request.Header.Del(f.Name) // nobody but the method puts a token there
	}
}

// Forward implements auth.Forwarder.
func (m *Method) Forward(x *exchange.Exchange) {
	f := m.config.Forward
	if f == nil || x.Principal.Token == "" {
		return
	}
	value := x.Principal.Token
	if f.Scheme != "" {
		value = x.Arena.Concat(f.Scheme, " ", value)
	}
	x.Request.Header.Set(f.Name, value)
}

// Serve implements auth.Interactive.
func (m *Method) Serve(x *exchange.Exchange) bool {
	p := &m.config.Paths
	switch x.Request.Path {
	case p.Callback:
		if allowed(x, "GET") {
			m.callback(x)
		}
	case p.Logout:
		if allowed(x, "GET", "POST") {
			m.logout(x)
		}
	case p.Backchannel:
		if allowed(x, "POST") {
			m.backchannel(x)
		}
	default:
		return false
	}
	x.Response.Header.Add("Cache-Control", "no-store")
	x.Response.Header.Add("Referrer-Policy", "no-referrer") // the callback's URL is nobody else's
	return true
}

// allowed reports whether x has one of the methods; if not, it is answered 405.
func allowed(x *exchange.Exchange, methods ...string) bool {
	if slices.Contains(methods, x.Request.Method) {
		return true
	}
	x.Reply(405, CodeMethod, "this path takes "+strings.Join(methods, " and ")+" only")
	x.Response.Header.Add("Allow", strings.Join(methods, ", "))
	return false
}

// unavailable answers for a provider or store that fails: it is not the caller's
// fault, and passes.
func unavailable(x *exchange.Exchange, code string) {
	x.Reply(503, code, "logging in does not work at the moment; try again later")
	x.RetryAfter(retryAfter)
}
