// Package jwt accepts signed JSON Web Tokens (RFC 7519), as strictly as RFC 8725
// advises.
//
// proxy/guard builds one Method per table.JWT. The keys come from auth.Keys;
// what was verified once is remembered in a Cache that all methods share, since
// verifying a signature costs more than forwarding a request.
package jwt

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of PS signatures
	_ "crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds of a token.
const (
	maxToken      = 16 << 10
	maxCandidates = 8 // keys tried for a token
)

// retryNoKeys is when to come back while there is no key set yet.
const retryNoKeys = 2 * time.Second

// asymmetric is what is allowed if a policy lists no algorithms.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// symmetric is what is allowed besides, if a policy lists it.
var symmetric = []string{"HS256", "HS384", "HS512"}

// Method verifies the tokens of one issuer.
type Method struct {
	config     *table.JWT // identity in the cache
	algorithms []string
	keys       auth.Keys
	from       auth.Credential
	cache      *Cache
	clock      auth.Clock
}

// Needs is what a Method works with.
type Needs struct {
	Keys  auth.Keys
	From  auth.Credential
	Cache *Cache
	Clock auth.Clock
}

// New checks t. Algorithms it lists must be known ones; "none" never is.
func New(t *table.JWT, n Needs) (*Method, error) {
	if t.Issuer == "" {
		return nil, errors.New("jwt: issuer is empty; name who issues the tokens")
	}
	if t.Leeway < 0 {
		return nil, fmt.Errorf("jwt: leeway is %v; use 0 or more", t.Leeway)
	}
	algorithms := t.Algorithms
	if len(algorithms) == 0 {
		algorithms = asymmetric
	}
	for _, a := range algorithms {
		if !slices.Contains(asymmetric, a) && !slices.Contains(symmetric, a) {
			return nil, fmt.Errorf("jwt: algorithm %q is not known; use some of %v", a, asymmetric)
		}
	}
	return &Method{t, algorithms, n.Keys, n.From, n.Cache, n.Clock}, nil
}

// Authenticate implements auth.Method. A token that was verified before is
// looked up, without allocation.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	token, found := m.from.Find(x)
	switch {
	case found == auth.Absent:
		return auth.Result{Outcome: auth.Absent}
	case found != auth.Accepted:
		return rejected(auth.CodeRepeated)
	case len(token) > maxToken:
		return rejected(auth.CodeJWTTooLong)
	}
	_, version := m.keys.Keys()
	if version == 0 {
		return auth.Result{Outcome: auth.Unavailable, Code: auth.CodeKeySet, RetryAfter: retryNoKeys}
	}
	now := m.clock.At(x).Unix()
	if e := m.cache.get(m.config, token, version, now); e != nil {
		p.Subject, p.Claims, p.Token, p.Expires = e.subject, e.claims, token, e.until-m.leeway()
		return auth.Result{Outcome: auth.Accepted}
	}
	t, code := m.verify(token, now)
	switch code {
	case "":
	case auth.CodeKeySet:
		return auth.Result{Outcome: auth.Unavailable, Code: code, RetryAfter: t.after}
	default:
		return rejected(code)
	}
	e := &entry{
		config: m.config, version: t.version, subject: t.subject, claims: t.claims,
		from: max(t.notBefore, t.issued) - m.leeway(), until: t.expires + m.leeway(),
	}
	m.cache.put(e, token, now)
	p.Subject, p.Claims, p.Token, p.Expires = e.subject, e.claims, token, t.expires
	return auth.Result{Outcome: auth.Accepted}
}

func rejected(code string) auth.Result { return auth.Result{Outcome: auth.Rejected, Code: code} }

func (m *Method) leeway() int64 { return int64(m.config.Leeway / time.Second) }

// verify judges a token that is not in the cache. Who issued it is looked at
// first: it costs nothing, and another issuer's tokens do not cause key fetches.
func (m *Method) verify(token string, now int64) (*parsed, string) {
	t, ok := parse(token)
	switch {
	case !ok || !isToken(t.typ):
		return nil, auth.CodeJWTMalformed
	case !slices.Contains(m.algorithms, t.algorithm):
		return nil, auth.CodeJWTAlgorithm
	case t.issuer != m.config.Issuer:
		return nil, auth.CodeJWTIssuer
	}
	if code := m.signature(token, t); code != "" {
		return t, code
	}
	if code := m.claims(t, now); code != "" {
		return nil, code
	}
	return t, ""
}

// maxLooks is how often the keys are looked at for one token: those in force, those
// of a fetch that was under way, and those of one for it.
const maxLooks = 3

// signature verifies with the keys in force, and again with newer ones if the key
// is not among them. t has their version afterwards, or when to ask again.
func (m *Method) signature(token string, t *parsed) string {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.algorithm)})
	if err != nil {
		return auth.CodeJWTMalformed
	}
	for range maxLooks {
		keys, version := m.keys.Keys()
		t.version = version
		code, missing := m.try(token, t, signed, keys)
		if missing == "" {
			return code
		}
		again, after := m.keys.Miss(missing)
		switch {
		case again:
		case after > 0:
			t.after = after
			return auth.CodeKeySet
		default:
			return code
		}
	}
	t.after = retryNoKeys
	return auth.CodeKeySet
}

// try finds the key and verifies with it. A key is used only with an algorithm it
// is for; a token without a kid is tried with all that fit. missing is what names
// the key that a newer set may have.
func (m *Method) try(token string, t *parsed, signed *jose.JSONWebSignature, keys []auth.Key) (code, missing string) {
	tried, known := 0, false
	for i := range keys {
		k := &keys[i]
		if t.hasKeyID && k.ID != t.keyID {
			continue
		}
		known = true
		if !slices.Contains(k.Algorithms, t.algorithm) {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		if _, err := signed.Verify(k.Public); err == nil && saltFits(token, t.algorithm, k.Public) {
			return "", ""
		}
	}
	switch {
	case !known && t.hasKeyID && t.keyID != "":
		return auth.CodeJWTKey, t.keyID
	case !known:
		return auth.CodeJWTKey, token
	case tried == 0:
		return auth.CodeJWTAlgorithm, ""
	case !t.hasKeyID:
		return auth.CodeJWTSignature, token
	}
	return auth.CodeJWTSignature, ""
}

// saltFits reports whether a PS signature has the salt that RFC 7518, section
// 3.5 asks for, as long as the hash; go-jose takes any length.
func saltFits(token, algorithm string, public any) bool {
	hash, pss := map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}[algorithm]
	if !pss {
		return true
	}
	key, ok := public.(*rsa.PublicKey)
	end := strings.LastIndexByte(token, '.')
	signature, err := decode(token[end+1:])
	if !ok || err != nil {
		return false
	}
	h := hash.New()
	h.Write(mem.Bytes(token[:end]))
	return rsa.VerifyPSS(key, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

func (m *Method) claims(t *parsed, now int64) string {
	leeway := m.leeway()
	switch {
	case now >= t.expires+leeway:
		return auth.CodeJWTExpired
	case t.notBefore > now+leeway || t.issued > now+leeway:
		return auth.CodeJWTNotYetValid
	case len(m.config.Audiences) > 0 && !slices.ContainsFunc(t.audiences, m.wanted):
		return auth.CodeJWTAudience
	}
	return ""
}

// Assume judges claims as if a signature over them had been verified. It is for
// operators who ask what would happen; claims without exp never expire.
func (m *Method) Assume(claims map[string]any, p *exchange.Principal) auth.Result {
	t := &parsed{claims: maps.Clone(claims)}
	if _, there := t.claims["exp"]; !there {
		t.claims["exp"] = float64(m.clock.Now().Add(time.Hour).Unix())
	}
	switch {
	case !t.registered():
		return rejected(auth.CodeJWTMalformed)
	case t.issuer != m.config.Issuer:
		return rejected(auth.CodeJWTIssuer)
	}
	if code := m.claims(t, m.clock.Now().Unix()); code != "" {
		return rejected(code)
	}
	p.Subject, p.Claims = t.subject, t.claims
	return auth.Result{Outcome: auth.Accepted}
}

func (m *Method) wanted(audience string) bool { return slices.Contains(m.config.Audiences, audience) }

// Challenge implements auth.Method (RFC 6750, section 3).
func (m *Method) Challenge() string { return `Bearer realm="gatehouse"` }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) { m.from.Strip(x) }
