// Package guard assembles authentication methods and authorization rules into
// one Policy per table.Auth, and runs it.
//
// proxy/router calls Build at swap; the proxy calls Check on each request of a
// guarded rule, and Shadow for a policy that is only watched. The methods and
// rules are the leaves of proxy/auth; expressions are proxy/expr's. What has to
// outlive a table, key sets and caches, belongs to the Builder.
package guard

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/apikey"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/basic"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/extauth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/grant"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/introspect"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/jwt"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/kubernetes"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/metadata"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/mint"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/oidc"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/sessions"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Config is what a Builder is made from. The zero value serves.
type Config struct {
	Now       func() time.Time                                 // time.Now when nil
	Transport http.RoundTripper                                // fetches key sets and tokens; a plain one when nil
	Trusted   func(peer netip.Addr) bool                       // proxies whose X-Forwarded-Proto and -Host are believed; nobody when nil
	Report    func(keySet string, left keyset.Left, err error) // of each fetch of a key set, from the background; may be nil
	Tokens    int                                              // verified tokens remembered; 8192 when 0
	Upstreams *upstream.Set                                    // where services that are asked are found; nil: at URLs only
	Cluster   Cluster                                          // whose API server is asked about tokens and rights

	Memory    Memory   // that what is kept may take
	Operators net.Addr // the socket that listens for operators, which no policy's URL is to lead to; may be nil

	Asked        func(service, outcome string)                                // counts requests a service was asked about; may be nil
	Introspected func(server, outcome string)                                 // counts tokens an authorization server was asked about; may be nil
	Reviewed     func(review, outcome string)                                 // counts tokens and rights the cluster was asked about; may be nil
	Watched      func(x *exchange.Exchange, policy, cause string) (keep bool) // told what a rule in shadow would have refused; whether to keep how x was judged; may be nil
	Fetched      func(service, outcome string)                                // counts requests that needed facts from a service; may be nil
	Granted      func(service, outcome string)                                // counts tokens a token endpoint was asked for; may be nil
}

// Memory is how many bytes what a Builder keeps may take.
type Memory struct {
	Sessions int // login sessions; 512 MiB when 0
	Answers  int // answers of each kind of service; 32 MiB when 0
}

// Cluster is how a Kubernetes API server is reached; without URL there is none.
type Cluster struct {
	URL       string
	Transport http.RoundTripper // with the gateway's own credentials
}

// Builder makes policies, and owns what they share across tables. Its methods
// are called at swap, one at a time.
type Builder struct {
	clock  auth.Clock
	env    *expr.Env
	keys   *keyset.KeySets
	tokens *jwt.Cache
	hashes *basic.Checker
	jwts   generations[string, *table.JWT] // by content, so that equal checks share what they verified
	api    generations[*table.APIKeys, *apikey.Index]
	uses   keyUses
	users  generations[*table.Basic, *basic.Users]
	logins logins

	watched func(x *exchange.Exchange, policy, cause string) (keep bool)

	asking
	vouching
	introspection introspection
	regos         generations[[32]byte, rego] // by content
}

// asking is the services that decide, or know what decides.
type asking struct {
	external *extauth.Owner
	services generations[[32]byte, service] // by content, so that equal ones share a bound on calls
	cluster  *kubernetes.Owner
	facts    *metadata.Owner
	steps    generations[[32]byte, fetcher] // by content and policy: one knows whether its service rests
}

// service is an extauth.Service, or why there is none.
type service struct {
	*extauth.Service
	err error
}

// idle is how many idle connections are kept to one host.
const idle = 64

// New makes a Builder. Close it.
func New(c Config) (*Builder, error) {
	clock := auth.Clock(c.Now)
	c.Now = clock.Now
	env, err := expr.New()
	if err != nil {
		return nil, err
	}
	if c.Tokens == 0 {
		c.Tokens = 8192
	}
	if c.Trusted == nil {
		c.Trusted = func(netip.Addr) bool { return false }
	}
	if c.Transport == nil {
		c.Transport = remote.NewTransport(idle, c.Operators)
	}
	if c.Watched == nil {
		c.Watched = func(*exchange.Exchange, string, string) bool { return false }
	}
	mints, err := mint.NewOwner(env, c.Now)
	if err != nil {
		return nil, err
	}
	return &Builder{
		clock: clock, env: env, watched: c.Watched, tokens: jwt.NewCache(c.Tokens), hashes: basic.NewChecker(c.Now),
		logins: newLogins(c),
		keys:   keyset.New(keyset.Config{Transport: c.Transport, Through: c.through(), Report: c.Report}),
		asking: asking{
			external: extauth.NewOwner(extauth.Config{Through: c.through(), Env: env, Trusted: c.Trusted, Now: c.Now, Bytes: c.Memory.Answers, Asked: c.Asked, Operators: c.Operators}),
			cluster:  kubernetes.NewOwner(kubernetes.Config{URL: c.Cluster.URL, Transport: c.Cluster.Transport, Env: env, Now: c.Now, Asked: c.Reviewed}),
			facts:    metadata.NewOwner(metadata.Config{Through: c.through(), Transport: c.Transport, Env: env, Now: c.Now, Bytes: c.Memory.Answers, Asked: c.Fetched}),
		},
		introspection: introspection{owner: introspect.NewOwner(introspect.Config{
			Through: c.through(), Transport: c.Transport, Now: c.Now, Bytes: c.Memory.Answers, Asked: c.Introspected,
		})},
		vouching: vouching{mints: mints, grants: grant.NewOwner(grant.Config{Transport: c.Transport, Now: c.Now, Bytes: c.Memory.Answers, Asked: c.Granted})},
	}, nil
}

// through returns the way to backends by their ID; nil when there are none.
func (c *Config) through() func(id string, http2 bool) http.RoundTripper {
	if c.Upstreams == nil {
		return nil
	}
	return func(id string, http2 bool) http.RoundTripper {
		return remote.Through(c.Upstreams.Backend(id, ""), http2)
	}
}

// SetKeySets begins a table: its key sets replace those of the one before, and
// new ones are fetched in the background.
func (b *Builder) SetKeySets(sets []*table.KeySet) {
	b.keys.Set(sets)
	b.jwts.next()
	b.api.next()
	b.users.next()
	b.logins.methods.next()
	b.services.next()
	b.introspection.servers.next()
	b.regos.next()
	b.steps.next()
	b.granted.next()
	b.minted.next()
}

// External returns the service that t asks.
func (b *Builder) External(t *table.ExternalAuth) (*extauth.Service, error) {
	s := b.services.get(table.Sum(t), func() service {
		s, err := b.external.Service(t)
		return service{s, err}
	})
	return s.Service, s.err
}

// Retain ends what t, which serves from now on, has no use for.
func (b *Builder) Retain(t *table.Table) { b.logins.retain(t) }

// KeySets calls f with every key set and what it has. It may be called at any time.
func (b *Builder) KeySets(f func(id string, left keyset.Left)) { b.keys.Each(f) }

// Kept is what was fetched for each key set. It may be called at any time.
func (b *Builder) Kept() []keyset.Kept { return b.keys.Kept() }

// Restore makes key sets that have fetched nothing go by what others have. It may
// be called at any time.
func (b *Builder) Restore(kept []keyset.Kept) error { return b.keys.Restore(kept) }

// KeysUsed calls f with the Secrets of the API keys that were used last, a
// thousand at most, and when. It may be called at any time.
func (b *Builder) KeysUsed(f func(secret string, at time.Time)) { b.uses.each(f) }

// Logins calls f with every event of logins and how often it happened, by the
// names of oidc.Event. It may be called at any time.
func (b *Builder) Logins(f func(event string, n uint64)) {
	b.logins.cache.Events(func(e oidc.Event, n uint64) { f(e.String(), n) })
}

// Sessions is what the sessions kept in memory come to. It may be called at any time.
func (b *Builder) Sessions() sessions.Figures { return b.logins.memory.Figures() }

// Expressions returns the environment policies' expressions are compiled in.
func (b *Builder) Expressions() *expr.Env { return b.env }

// Close stops what runs in the background.
func (b *Builder) Close() {
	b.keys.Close()
	b.logins.close()
	b.external.Close()
	b.introspection.owner.Close()
	b.cluster.Close()
	b.facts.Close()
	b.grants.Close()
	b.mints.Close()
}

// generations keeps what the current table and the one before it use, by identity
// of the table's part, or by its content.
type generations[K comparable, V any] struct {
	now, before map[K]V
}

func (g *generations[K, V]) next() { g.before, g.now = g.now, nil }

func (g *generations[K, V]) get(k K, build func() V) V {
	v, ok := g.now[k]
	if ok {
		return v
	}
	if v, ok = g.before[k]; !ok {
		v = build()
	}
	if g.now == nil {
		g.now = map[K]V{}
	}
	g.now[k] = v
	return v
}
