package guard

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/credential"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/jwt"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/oidc"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/sessions"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// rememberedSessions is how many sessions requests find without asking a store
// and opening what it has.
const rememberedSessions = 8192

// logins is what oidc methods share across tables.
type logins struct {
	now     func() time.Time
	trusted func(netip.Addr) bool
	calls   http.RoundTripper // to providers
	cache   *oidc.Cache
	memory  *sessions.Memory
	methods generations[loginKey, *oidc.Method] // by content: a method has calls under way, and knows whether its provider rests
	redis   map[[32]byte]*shared
}

type loginKey struct {
	config [32]byte
	keys   *keyset.KeySet
}

// shared is a session store.
type shared struct {
	store  *sessions.Redis
	unused bool // the last table did not have it
}

func newLogins(c Config) logins {
	return logins{
		now: c.Now, trusted: c.Trusted, calls: c.Transport, cache: oidc.NewCache(rememberedSessions),
		memory: sessions.NewMemory(c.Now, c.Memory.Sessions), redis: map[[32]byte]*shared{},
	}
}

// retain closes the stores that two tables in a row do not have: one table of
// grace, for requests under way.
func (l *logins) retain(t *table.Table) {
	if len(l.redis) == 0 {
		return
	}
	used := map[[32]byte]bool{}
	seen := map[*table.Auth]bool{}
	for _, listener := range t.Listeners {
		for _, h := range listener.Hosts {
			for _, r := range h.Rules {
				for _, a := range []*table.Auth{r.Action.Auth, r.Action.ShadowAuth} {
					if a != nil && !seen[a] {
						seen[a] = true
						stores(a, used)
					}
				}
			}
		}
	}
	for id, s := range l.redis {
		switch {
		case used[id]:
			s.unused = false
		case s.unused:
			s.store.Close()
			delete(l.redis, id)
		default:
			s.unused = true
		}
	}
}

func stores(a *table.Auth, into map[[32]byte]bool) {
	for _, m := range a.Methods {
		if m.OIDC != nil && m.OIDC.Session.Redis != nil {
			into[table.Sum(m.OIDC.Session.Redis)] = true
		}
	}
}

func (l *logins) close() {
	for _, s := range l.redis {
		s.store.Close()
	}
	if t, ok := l.calls.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// method makes the oidc method of t, or finds the one that does the same.
func (l *logins) method(t *table.OIDC, keys *keyset.KeySet) (*oidc.Method, error) {
	store, err := l.store(t.Session.Redis)
	if err != nil {
		return nil, err
	}
	verifier, err := jwt.NewVerifier(&table.JWT{Issuer: t.Issuer, Audiences: []string{t.ClientID}, Leeway: t.Leeway}, keys, l.now)
	if err != nil {
		return nil, err
	}
	m := l.methods.get(loginKey{table.Sum(t), keys}, func() *oidc.Method {
		var m *oidc.Method
		m, err = oidc.New(t, oidc.Needs{
			Tokens: verifier, Metadata: keys.Metadata, Store: store, Cache: l.cache, Cookies: cookies(t),
			Transport: l.calls, Trusted: l.trusted, Now: l.now,
		})
		return m
	})
	if err == nil && m == nil {
		err = fmt.Errorf("the login cannot be used") // said in full when it was first built
	}
	return m, err
}

func (l *logins) store(t *table.Redis) (oidc.Store, error) {
	if t == nil {
		return l.memory, nil
	}
	id := table.Sum(t)
	s := l.redis[id]
	if s == nil {
		store, err := sessions.NewRedis(t)
		if err != nil {
			return nil, err
		}
		s = &shared{store: store}
		l.redis[id] = s
	}
	s.unused = false
	return s.store, nil
}

func cookies(t *table.OIDC) oidc.Cookies {
	n := oidc.NamesOf(t)
	place := func(name string) auth.Credential {
		p, err := credential.New([]table.CredentialSource{{Cookie: name}})
		if err != nil {
			p = &credential.Places{}
		}
		return p
	}
	return oidc.Cookies{
		Session: place(n.Session), PlainSession: place(n.PlainSession), Login: place(n.Login), PlainLogin: place(n.PlainLogin),
	}
}
