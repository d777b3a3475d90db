// Package mint signs JSON Web Tokens for backends (RFC 7519), so that a backend
// need trust nobody but the gateway, and learns who calls.
//
// proxy/guard owns one Owner, and makes a Minter of each table.MintedToken: an
// auth.Voucher. The keys are the replicas' own: the control half keeps them in a
// Secret and changes them, and the admin server hands out the public ones. What is
// signed once is kept by proxy/remote's Cache until it is about to run out.
package mint

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxKept   = 8192    // tokens, of all policies
	maxClaims = 4 << 10 // bytes of one token's claims about the caller
	maxTTL    = time.Hour
	ahead     = time.Minute // before it runs out a token is not used any more; a fifth of its life if that is less
)

// registered are the claims that the gateway sets itself.
var registered = []string{"iss", "aud", "sub", "exp", "iat", "nbf"}

// Owner holds the keys, and the tokens that Minters share.
type Owner struct {
	keys  atomic.Pointer[ring]
	cache *remote.Cache[token]
	env   *expr.Env
	now   func() time.Time
}

// ring is the keys in force. It does not change.
type ring struct {
	id     string // of the key that signs
	signer jose.Signer
	public []byte // a JWK set of all
}

// NewOwner makes an Owner that signs with a key of its own until it is given
// others. Close it.
func NewOwner(env *expr.Env, now func() time.Time) (*Owner, error) {
	o := &Owner{env: env, now: now, cache: remote.NewCache[token](remote.CacheConfig{Size: maxKept, MaxKey: 2 * maxClaims, Now: now})}
	if err := o.SetKeys(rand.Text()); err != nil {
		o.cache.Close()
		return nil, err
	}
	return o, nil
}

// token is one that was signed.
type token struct {
	field       string // what the header has: scheme and token
	made, until int64  // its iat and exp
}

// Close ends what is under way.
func (o *Owner) Close() { o.cache.Close() }

// SetKeys replaces the keys: the first signs, all are published. Each is a secret
// of at least 16 bytes, which a P-256 key is derived from.
func (o *Owner) SetKeys(secrets ...string) error {
	if len(secrets) == 0 {
		return errors.New("mint: there is no key")
	}
	r, set := &ring{}, jose.JSONWebKeySet{}
	for i, secret := range secrets {
		key, err := derive(secret)
		if err != nil {
			return fmt.Errorf("mint: key %d: %w", i, err)
		}
		public := jose.JSONWebKey{Key: &key.PublicKey, Algorithm: string(jose.ES256), Use: "sig"}
		thumb, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return fmt.Errorf("mint: key %d: %w", i, err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumb) // RFC 7638
		set.Keys = append(set.Keys, public)
		if i == 0 {
			r.id = public.KeyID
			r.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: r.id}}, (&jose.SignerOptions{}).WithType("JWT"))
			if err != nil {
				return fmt.Errorf("mint: %w", err)
			}
		}
	}
	var err error
	if r.public, err = json.Marshal(set); err != nil {
		return fmt.Errorf("mint: %w", err)
	}
	o.keys.Store(r)
	return nil
}

// derive makes of a secret the same key on every replica.
func derive(secret string) (*ecdsa.PrivateKey, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("it has %d bytes; use 32 random ones", len(secret))
	}
	for i := 0; ; i++ { // one in four billion is no scalar of the curve
		sum := sha256.Sum256([]byte("gatehouse signing key " + strconv.Itoa(i) + " " + secret))
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:]); err == nil {
			return key, nil
		}
	}
}

// KeySet is the public keys, a JWK set (RFC 7517). Nobody writes to it.
func (o *Owner) KeySet() []byte { return o.keys.Load().public }

// Minter makes the tokens of one policy.
type Minter struct {
	owner   *Owner
	t       *table.MintedToken
	id      string // before every key
	scheme  string // before the token
	head    []byte // the claims that are the same in all its tokens
	subject *expr.Program
	claims  []claim
}

type claim struct {
	name  []byte // as a member has it: ,"role":
	value *expr.Program
}

// Minter checks t and makes it ready. The tokens are written behind scheme.
func (o *Owner) Minter(t *table.MintedToken, scheme string) (*Minter, error) {
	if t.Issuer == "" || len(t.Audiences) == 0 || t.TTL <= 0 || t.TTL > maxTTL {
		return nil, errors.New("jwt: set issuer, audiences, and a ttl of at most 1h")
	}
	sum := table.Sum(t)
	m := &Minter{owner: o, t: t, id: hex.EncodeToString(sum[:8]) + scheme + " "}
	if scheme != "" {
		m.scheme = scheme + " "
	}
	m.head = append(expr.AppendText([]byte(`{"iss":`), t.Issuer), `,"aud":`...)
	audiences, err := json.Marshal(t.Audiences)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	m.head = append(m.head, audiences...)
	if t.Subject != "" {
		if m.subject, err = o.env.Compile(t.Subject, expr.String); err != nil {
			return nil, fmt.Errorf("jwt: subject: %w", err)
		}
	}
	for _, c := range t.Claims {
		if slices.Contains(registered, c.Name) {
			return nil, fmt.Errorf("jwt: the gateway itself sets the claim %s; choose another name", c.Name)
		}
		p, err := o.env.Compile(c.CEL, expr.JSON)
		if err != nil {
			return nil, fmt.Errorf("jwt: claim %s: %w", c.Name, err)
		}
		m.claims = append(m.claims, claim{append(expr.AppendText([]byte(","), c.Name), ':'), p})
	}
	return m, nil
}

// Value implements auth.Voucher.
func (m *Minter) Value(x *exchange.Exchange) (string, auth.Result) {
	keys := m.owner.keys.Load()
	subject := x.Principal.Subject
	size := len(m.id) + len(keys.id) + 2*len(subject) + 64 + 128*len(m.claims)
	b := append(append(append(x.Arena.Alloc(size)[:0], m.id...), keys.id...), ' ')
	begins := len(b)
	b, ok := m.about(x, b, subject)
	if !ok || len(b)-begins > maxClaims {
		return "", auth.Result{Outcome: auth.Rejected, Code: auth.CodeCredentialUnusable}
	}
	key := mem.String(b)
	if v, ok := m.owner.cache.Get(key); ok {
		if now := m.owner.now().Unix(); v.made <= now && now < v.until {
			return v.field, auth.Result{Outcome: auth.Accepted}
		}
		m.owner.cache.Drop(key) // the clock has jumped
	}
	about := strings.Clone(key[begins:]) // the signing may outlive the request
	v, err := m.owner.cache.Load(context.Background(), key, func(context.Context) (token, remote.Life, error) {
		v, err := m.sign(keys, about)
		return v, remote.Life{Fresh: m.t.TTL - min(ahead, m.t.TTL/5)}, err
	})
	if err != nil {
		return "", auth.Result{Outcome: auth.Unavailable, Code: auth.CodeCredential, RetryAfter: time.Second}
	}
	return v.field, auth.Result{Outcome: auth.Accepted}
}

// about appends the claims about the caller: `,"sub":"ann","role":"admin"`.
func (m *Minter) about(x *exchange.Exchange, b []byte, subject string) ([]byte, bool) {
	there := subject != ""
	if m.subject != nil {
		var err error
		if subject, there, err = m.subject.String(x); err != nil {
			return b, false
		}
	}
	if there {
		b = expr.AppendText(append(b, `,"sub":`...), subject)
	}
	for i := range m.claims {
		before := len(b)
		var ok bool
		var err error
		if b, ok, err = m.claims[i].value.AppendJSON(append(b, m.claims[i].name...), x); err != nil {
			return b, false
		}
		if !ok {
			b = b[:before]
		}
	}
	return b, true
}

// sign makes a token that is good from now on.
func (m *Minter) sign(keys *ring, about string) (token, error) {
	made := m.owner.now().Unix()
	t := token{made: made, until: made + int64(m.t.TTL/time.Second)}
	payload := append(append(slices.Clip(m.head), about...), `,"iat":`...)
	payload = append(strconv.AppendInt(payload, t.made, 10), `,"exp":`...)
	payload = append(strconv.AppendInt(payload, t.until, 10), '}')
	signed, err := keys.signer.Sign(payload)
	if err != nil {
		return t, fmt.Errorf("mint: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return t, fmt.Errorf("mint: %w", err)
	}
	t.field = m.scheme + text
	return t, nil
}
