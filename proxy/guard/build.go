package guard

import (
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/anonymous"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/apikey"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/basic"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/cel"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/cidrs"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/claims"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/credential"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/httpsig"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/introspect"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/jwt"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/mtls"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/oidc"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds of a policy: sources are bits of a uint64, as methods are, and
// headers are computed into an array.
const (
	maxSources = 64
	maxHeaders = 64
	maxAsked   = 4 // services, one after the other
	maxSteps   = 16
)

// Build makes a policy. An error names the part that cannot be used; the router
// then closes the rule, for a policy is used whole or not at all.
func (b *Builder) Build(a *table.Auth) (*Policy, error) {
	p := &Policy{replies: replies{closed: a.Closed, unauthenticated: a.Unauthenticated, denied: a.Denied}, public: a.Public, now: b.clock.Now, watched: b.watched}
	p.forward = a.ForwardCredentials
	if len(a.Sources) > maxSources || len(a.Headers) > maxHeaders || len(a.Credentials) > maxCredentials {
		return nil, fmt.Errorf("%d policies, %d headers and %d credentials meet on one rule; use at most %d, %d and %d",
			len(a.Sources), len(a.Headers), len(a.Credentials), maxSources, maxHeaders, maxCredentials)
	}
	for _, s := range a.Sources {
		p.sources = append(p.sources, source{policy: s.Policy})
	}
	if a.Closed != nil {
		return p, nil
	}
	c := compiler{Builder: b, policy: p}
	if len(a.Sources) == 0 { // then there is one that applies
		p.gates = 1
	}
	for i, s := range a.Sources {
		if p.sources[i].when = c.conditions(s.When, s.Policy); len(s.When) == 0 {
			p.gates |= 1 << i
		} else {
			p.gating = true
		}
	}
	if a.Public != nil {
		c.source(a.Public.Source, "public")
	}
	for i := range a.Methods {
		c.method(&a.Methods[i])
	}
	for i := range a.Metadata {
		c.metadata(&a.Metadata[i])
	}
	for cost := range 3 { // what takes a call comes last
		for i := range a.Rules {
			if costs(&a.Rules[i]) == cost {
				c.rule(&a.Rules[i])
			}
		}
	}
	for i := range a.Headers {
		c.header(&a.Headers[i])
	}
	for i := range a.Credentials {
		c.credential(&a.Credentials[i])
	}
	c.requirement(a.Require)
	p.judging = len(p.facts)+len(p.rules)+len(p.headers) > 0
	p.needs.findings = p.needs.findings || len(p.facts)+len(p.headers)+len(p.vouchers) > 0
	if c.err != nil {
		return nil, c.err
	}
	return p, nil
}

// costs ranks rules by what asking them takes: nothing but time, a call that is
// often kept, a call.
func costs(t *table.AuthRule) int {
	switch {
	case t.External != nil:
		return 2
	case t.Kubernetes != nil:
		return 1
	}
	return 0
}

// compiler builds one policy's parts and keeps the first error.
type compiler struct {
	*Builder
	policy *Policy
	asked  int // rules that ask a service
	err    error
}

func (c *compiler) fail(what string, err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (c *compiler) source(i int, what string) int {
	if i < 0 || i >= max(1, len(c.policy.sources)) {
		c.fail(what, fmt.Errorf("source %d of %d", i, len(c.policy.sources)))
		return 0
	}
	return i
}

func (c *compiler) conditions(when []string, what string) []*expr.Program {
	var out []*expr.Program
	for i, text := range when {
		p, err := c.env.Compile(text, expr.Bool)
		c.fail(fmt.Sprintf("%s: when[%d]", what, i), err)
		out = append(out, p)
	}
	return out
}

func (c *compiler) method(t *table.AuthMethod) {
	what := "method " + t.Name
	m := method{name: t.Name, source: c.source(t.Source, what), when: c.conditions(t.When, what), anonymous: t.Anonymous}
	from := t.From
	if len(from) == 0 {
		from = defaultFrom(t)
	}
	places := &credential.Places{}
	if !t.Anonymous && t.ClientCertificate == nil && t.HMAC == nil { // those stand nowhere in a request
		var err error
		places, err = credential.New(from)
		c.fail(what, err)
		if err != nil {
			return
		}
	}
	var err error
	m.method, err = c.leaf(t, places, from)
	c.fail(what, err)
	if err != nil {
		return
	}
	if o := t.OIDC; o != nil && o.Forward != nil && !strings.EqualFold(o.Forward.Name, "authorization") { // which may be another method's credential
		c.policy.identities = append(c.policy.identities, strings.ToLower(o.Forward.Name))
	}
	m.interactive, _ = m.method.(auth.Interactive)
	c.policy.serving = c.policy.serving || m.interactive != nil
	m.forwarder, _ = m.method.(auth.Forwarder)
	c.policy.forwarding = c.policy.forwarding || m.forwarder != nil
	m.challenge = m.method.Challenge()
	m.refused = m.challenge
	if strings.HasPrefix(m.challenge, "Bearer ") {
		m.refused += `, error="invalid_token"` // RFC 6750, section 3.1
	}
	m.needs = t.String()
	c.policy.methods = append(c.policy.methods, m)
}

// defaultFrom is where a method's credential stands if the policy does not say.
func defaultFrom(t *table.AuthMethod) []table.CredentialSource {
	switch {
	case t.APIKeys != nil:
		return []table.CredentialSource{{Header: "X-API-Key"}}
	case t.Basic != nil:
		return []table.CredentialSource{{Header: "Authorization", Scheme: "Basic"}}
	case t.OIDC != nil:
		n := oidc.NamesOf(t.OIDC)
		return []table.CredentialSource{{Cookie: n.Session}, {Cookie: n.PlainSession}}
	}
	return []table.CredentialSource{{Header: "Authorization", Scheme: "Bearer"}}
}

func (c *compiler) leaf(t *table.AuthMethod, places *credential.Places, from []table.CredentialSource) (auth.Method, error) {
	switch {
	case t.Unavailable != "":
		return unavailable{places}, nil
	case t.Anonymous:
		return anonymous.New(), nil
	case t.APIKeys != nil:
		index := c.api.get(t.APIKeys, func() *apikey.Index { return c.uses.index(t.APIKeys) })
		return apikey.New(index, places, from[0], c.clock), nil
	case t.Basic != nil:
		users := c.users.get(t.Basic, func() *basic.Users { return basic.NewUsers(t.Basic) })
		return basic.New(users, places, c.hashes), nil
	case t.ClientCertificate != nil:
		return mtls.New(t.ClientCertificate, c.clock)
	case t.JWT != nil:
		keys := c.keys.Get(t.JWT.KeySet)
		if keys == nil {
			return nil, fmt.Errorf("the table has no key set %q", t.JWT.KeySet)
		}
		checks := c.jwts.get(fmt.Sprintf("%q", *t.JWT), func() *table.JWT { return t.JWT })
		return jwt.New(checks, jwt.Needs{Keys: keys, From: places, Cache: c.tokens, Clock: c.clock})
	case t.OIDC != nil:
		keys := c.keys.Get(t.OIDC.KeySet)
		if keys == nil {
			return nil, fmt.Errorf("the table has no key set %q", t.OIDC.KeySet)
		}
		return c.logins.method(t.OIDC, keys)
	case t.Introspection != nil:
		s, err := c.introspection.server(t.Introspection)
		return introspect.New(s, places), err
	case t.HMAC != nil:
		return httpsig.New(t.HMAC, c.clock.Now)
	case t.Kubernetes != nil:
		return c.cluster.Method(t.Kubernetes, places), nil
	}
	return nil, fmt.Errorf("it is of no kind; set jwt, apiKeys, basic, clientCertificate, oidc, introspection, kubernetes, hmac or anonymous")
}

func (c *compiler) rule(t *table.AuthRule) {
	what := "rule " + t.Name
	r := rule{name: t.Name, source: c.source(t.Source, what), when: c.conditions(t.When, what), shadow: t.Shadow, needs: t.String()}
	var err error
	switch {
	case t.Unavailable != "":
		r.rule = unavailable{}
	case t.External != nil:
		r.rule, err = c.external(t)
		if c.asked++; c.asked > maxAsked {
			c.fail(what, fmt.Errorf("more than %d rules ask a service; use fewer", maxAsked))
		}
	case t.Kubernetes != nil:
		r.rule, err = c.cluster.Rule(t.Kubernetes)
	case t.OPA != nil:
		r.rule, err = c.rego(t.OPA)
	case t.CIDRs != nil:
		r.rule, err = cidrs.New(t.CIDRs)
	case t.Claims != nil:
		r.rule, err = claims.New(t.Claims)
	case t.CEL != "":
		r.rule, err = cel.New(c.env, t.CEL)
	default:
		err = fmt.Errorf("it is of no kind; set cel, cidrs, claims, kubernetes, opa or external")
	}
	c.fail(what, err)
	c.policy.rules = append(c.policy.rules, r)
	c.policy.needs.findings = c.policy.needs.findings || t.Shadow || t.External != nil
}

// external makes a rule that asks a service. What that alone tells the backend is
// nobody else's where when spares it the question; a rule in shadow tells nothing.
func (c *compiler) external(t *table.AuthRule) (auth.Rule, error) {
	s, err := c.External(t.External)
	if err != nil {
		return nil, err
	}
	if !t.Shadow {
		c.policy.identities = append(c.policy.identities, s.Own()...)
	}
	return s, nil
}

func (c *compiler) header(t *table.HeaderExpr) {
	what := "header " + t.Name
	h := header{name: strings.ToLower(t.Name), value: t.Value, source: c.source(t.Source, what)}
	if t.Name == "" || reserved(h.name) {
		c.fail(what, fmt.Errorf("the gateway itself sets this header; choose another name"))
	}
	if t.CEL != "" {
		var err error
		h.expr, err = c.env.Compile(t.CEL, expr.String)
		c.fail(what, err)
	}
	c.policy.headers = append(c.policy.headers, h)
	c.policy.identities = append(c.policy.identities, h.name)
}

func (c *compiler) requirement(text string) {
	names := make([]string, len(c.policy.methods))
	for i, m := range c.policy.methods {
		names[i] = m.name
		if !m.anonymous {
			c.policy.order = append(c.policy.order, i)
		}
	}
	for i, m := range c.policy.methods {
		if m.anonymous {
			c.policy.order = append(c.policy.order, i)
		}
	}
	if c.policy.requires = text; text == "" {
		c.policy.requires, c.policy.any = strings.Join(names, " || "), true
	}
	if c.policy.any && len(names) == 1 && c.policy.public == nil && !c.policy.gating {
		m := &c.policy.methods[0]
		c.policy.sole = len(m.when) == 0 && c.policy.gates>>m.source&1 != 0
	}
	var err error
	c.policy.require, err = table.ParseRequire(text, names)
	c.fail("policy", err)
	help := helpful(c.policy.require, len(names))
	for i := range c.policy.methods {
		if m := &c.policy.methods[i]; help>>i&1 == 0 {
			m.challenge, m.refused, m.needs = "", "", ""
		}
	}
}

// helpful is the set of those of n methods that a caller can be told to satisfy:
// whose yes makes r true where it was not. One that r does not name is none, nor
// one that must not accept. Where there is none, or there are too many to try
// every set of them, all are.
func helpful(r table.Requirement, n int) (out uint64) {
	const most = 8
	for i := 0; n <= most && i < n; i++ {
		for others := uint64(0); others>>n == 0; others++ {
			with, without := others|1<<i, others&^(1<<i)
			if r.Decide(without, ^without) != table.True && r.Decide(with, ^with) == table.True {
				out |= 1 << i
			}
		}
	}
	if out == 0 {
		return ^out
	}
	return out
}
