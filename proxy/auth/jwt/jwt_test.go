package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

const now = 1_800_000_000

// keyring is a key set in memory.
type keyring struct {
	keys    []auth.Key
	version uint64
	misses  int
}

func (k *keyring) Keys() ([]auth.Key, uint64) { return k.keys, k.version }

func (k *keyring) Miss(string) (bool, time.Duration) {
	k.misses++
	return false, 0
}

// place is the one place tokens stand in here.
type place struct{}

func (place) Find(x *exchange.Exchange) (string, auth.Outcome) {
	v, ok := x.Request.Header.Get("token")
	switch {
	case !ok:
		return "", auth.Absent
	case x.Request.Header.Count("token") > 1:
		return "", auth.Rejected
	}
	return v, auth.Accepted
}
func (place) Strip(x *exchange.Exchange) { x.Request.Header.Del("token") }

// issuer holds one private key of each kind.
type issuer struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{r, e, d}
}

func (i *issuer) keyring() *keyring {
	return &keyring{version: 1, keys: []auth.Key{
		{ID: "r", Algorithms: []string{"RS256", "PS256"}, Public: &i.rsa.PublicKey},
		{ID: "e", Algorithms: []string{"ES256"}, Public: &i.ec.PublicKey},
		{ID: "d", Algorithms: []string{"EdDSA"}, Public: i.ed.Public()},
		{ID: "h", Algorithms: []string{"HS256"}, Public: []byte(strings.Repeat("k", 32))},
	}}
}

// mint signs a payload with header members besides alg.
func mint(t testing.TB, alg string, key any, header map[string]any, payload string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	for k, v := range header {
		opts.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// claims is a good payload with changes; a nil change removes.
func claims(t testing.TB, change map[string]any) string {
	t.Helper()
	c := map[string]any{"iss": "https://issuer", "sub": "ann", "aud": "orders", "exp": now + 60, "scope": "read write"}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func method(t testing.TB, k auth.Keys, change func(*table.JWT)) *Method {
	t.Helper()
	c := &table.JWT{Issuer: "https://issuer", Audiences: []string{"orders", "shop"}, Leeway: 30 * time.Second}
	if change != nil {
		change(c)
	}
	m, err := New(c, Needs{k, place{}, NewCache(64), func() time.Time { return time.Unix(now, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func authenticate(m *Method, tokens ...string) (auth.Result, exchange.Principal) {
	x := &exchange.Exchange{Start: m.clock.Now()}
	for _, token := range tokens {
		x.Request.Header.Add("Token", token)
	}
	var p exchange.Principal
	return m.Authenticate(x, &p), p
}

func TestClaims(t *testing.T) {
	who := newIssuer(t)
	m := method(t, who.keyring(), nil)
	is := func(change map[string]any, want string) {
		t.Helper()
		token := mint(t, "ES256", who.ec, map[string]any{"kid": "e"}, claims(t, change))
		for range 2 { // the second time from the cache, if it was accepted
			r, p := authenticate(m, token)
			if r.Code != want || (want == "") != (r.Outcome == auth.Accepted) {
				t.Errorf("%v: %+v, want %q", change, r, want)
			}
			if want == "" && (p.Subject == "" || p.Claims["scope"] != "read write") {
				t.Errorf("%v: principal %+v", change, p)
			}
		}
	}
	type c = map[string]any
	is(nil, "")
	is(c{"aud": []string{"other", "shop"}}, "")
	is(c{"exp": now - 29}, "")
	is(c{"exp": now + 0.5}, "")
	is(c{"nbf": now + 30, "iat": now + 30}, "")
	is(c{"exp": now - 30}, auth.CodeJWTExpired)
	is(c{"exp": 1}, auth.CodeJWTExpired)
	is(c{"exp": nil}, auth.CodeJWTMalformed)
	is(c{"exp": "1900000000"}, auth.CodeJWTMalformed)
	is(c{"exp": -1}, auth.CodeJWTMalformed)
	is(c{"exp": 1e300}, auth.CodeJWTMalformed)
	is(c{"nbf": now + 31}, auth.CodeJWTNotYetValid)
	is(c{"nbf": now + 30.5}, auth.CodeJWTNotYetValid)
	is(c{"iat": now + 31}, auth.CodeJWTNotYetValid)
	is(c{"iat": true}, auth.CodeJWTMalformed)
	is(c{"iss": "https://issuer/"}, auth.CodeJWTIssuer)
	is(c{"iss": nil}, auth.CodeJWTIssuer)
	is(c{"iss": 1}, auth.CodeJWTMalformed)
	is(c{"sub": 1}, auth.CodeJWTMalformed)
	is(c{"aud": nil}, auth.CodeJWTAudience)
	is(c{"aud": "Orders"}, auth.CodeJWTAudience)
	is(c{"aud": []string{}}, auth.CodeJWTAudience)
	is(c{"aud": 1}, auth.CodeJWTMalformed)
	is(c{"aud": []any{"orders", 1}}, auth.CodeJWTMalformed)
}

func TestKeysAndAlgorithms(t *testing.T) {
	who, other := newIssuer(t), newIssuer(t)
	ring := who.keyring()
	secret := ring.keys[3].Public
	open := method(t, ring, nil)
	es := method(t, ring, func(c *table.JWT) { c.Algorithms = []string{"ES256"} })
	hs := method(t, ring, func(c *table.JWT) { c.Algorithms = []string{"HS256"} })
	good := claims(t, nil)
	is := func(m *Method, alg string, key any, kid, want string) {
		t.Helper()
		header := map[string]any{}
		if kid != "" {
			header["kid"] = kid
		}
		if r, _ := authenticate(m, mint(t, alg, key, header, good)); r.Code != want {
			t.Errorf("%s kid %q: %q, want %q", alg, kid, r.Code, want)
		}
	}
	is(open, "ES256", who.ec, "e", "")
	is(open, "ES256", who.ec, "", "")
	is(open, "RS256", who.rsa, "r", "")
	is(open, "PS256", who.rsa, "r", "")
	is(open, "EdDSA", who.ed, "d", "")
	is(hs, "HS256", secret, "h", "")

	is(open, "HS256", secret, "h", auth.CodeJWTAlgorithm) // not written out
	is(es, "RS256", who.rsa, "r", auth.CodeJWTAlgorithm)
	is(open, "RS512", who.rsa, "r", auth.CodeJWTAlgorithm) // the key is not for it
	is(hs, "HS256", secret, "r", auth.CodeJWTAlgorithm)    // key confusion
	is(open, "ES256", who.ec, "r", auth.CodeJWTAlgorithm)
	is(open, "ES256", other.ec, "e", auth.CodeJWTSignature)
	is(open, "ES256", other.ec, "", auth.CodeJWTSignature)
	is(open, "RS256", other.rsa, "r", auth.CodeJWTSignature)
	is(open, "ES256", who.ec, "E", auth.CodeJWTKey)
	is(open, "ES256", other.ec, "new", auth.CodeJWTKey)
	if ring.misses != 3 {
		t.Errorf("%d misses, want 3: two unknown key ids and one signature without", ring.misses)
	}
	// A PS signature's salt is as long as the hash (RFC 7518, section 3.5).
	input := strings.TrimRight(mint(t, "PS256", who.rsa, map[string]any{"kid": "r"}, good), "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
	sum := crypto.SHA256.New()
	sum.Write([]byte(strings.TrimSuffix(input, ".")))
	for salt, want := range map[int]string{rsa.PSSSaltLengthEqualsHash: "", rsa.PSSSaltLengthAuto: auth.CodeJWTSignature, 20: auth.CodeJWTSignature} {
		signature, err := rsa.SignPSS(rand.Reader, who.rsa, crypto.SHA256, sum.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := authenticate(open, input+base64.RawURLEncoding.EncodeToString(signature)); r.Code != want {
			t.Errorf("salt length %d: %q, want %q", salt, r.Code, want)
		}
	}
	// The public key as an HMAC secret, the classic.
	is(hs, "HS256", who.ec.X.FillBytes(make([]byte, 32)), "e", auth.CodeJWTAlgorithm)
}

// Without a kid so many keys are tried and no more, however many there are.
func TestCandidates(t *testing.T) {
	who, other := newIssuer(t), newIssuer(t)
	token := mint(t, "ES256", who.ec, nil, claims(t, nil))
	for before, want := range map[int]string{maxCandidates - 1: "", maxCandidates: auth.CodeJWTSignature} {
		ring := &keyring{version: 1}
		for range before {
			ring.keys = append(ring.keys, auth.Key{ID: "o", Algorithms: []string{"ES256"}, Public: &other.ec.PublicKey})
		}
		ring.keys = append(ring.keys, auth.Key{ID: "e", Algorithms: []string{"ES256"}, Public: &who.ec.PublicKey})
		if r, _ := authenticate(method(t, ring, nil), token); r.Code != want {
			t.Errorf("behind %d keys: %q, want %q", before, r.Code, want)
		}
	}
}

func TestForm(t *testing.T) {
	who := newIssuer(t)
	m := method(t, who.keyring(), nil)
	is := func(name, token, want string) {
		t.Helper()
		if r, _ := authenticate(m, token); r.Outcome != auth.Rejected || r.Code != want {
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
	b64 := base64.RawURLEncoding.EncodeToString
	// raw signs any header and payload with the EC key, as jose would not.
	raw := func(header, payload string) string {
		input := b64([]byte(header)) + "." + b64([]byte(payload))
		h := crypto.SHA256.New()
		h.Write([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, who.ec, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return input + "." + b64(sig)
	}
	good := claims(t, nil)
	token := raw(`{"alg":"ES256","kid":"e"}`, good)
	if r, _ := authenticate(m, token); r.Outcome != auth.Accepted {
		t.Fatalf("the good one: %+v", r)
	}
	parts := strings.Split(token, ".")
	for _, typ := range []string{"JWT", "jwt", "at+jwt", "application/at+JWT"} {
		if r, _ := authenticate(m, raw(`{"alg":"ES256","kid":"e","typ":"`+typ+`"}`, good)); r.Outcome != auth.Accepted {
			t.Errorf("typ %s: %+v", typ, r)
		}
	}
	is("empty parts", "..", auth.CodeJWTMalformed)
	is("one part", "abc", auth.CodeJWTMalformed)
	is("two parts", parts[0]+"."+parts[1], auth.CodeJWTMalformed)
	is("four parts", token+".x", auth.CodeJWTMalformed)
	is("encrypted", token+"..x", auth.CodeJWTMalformed)
	is("no signature", parts[0]+"."+parts[1]+".", auth.CodeJWTMalformed)
	is("padding", token+"=", auth.CodeJWTMalformed)
	is("padded payload", parts[0]+"."+parts[1]+"=."+parts[2], auth.CodeJWTMalformed)
	is("line break", parts[0]+"."+parts[1]+".\n"+parts[2], auth.CodeJWTMalformed)
	is("two in one", token+", "+token, auth.CodeJWTMalformed)
	is("none", b64([]byte(`{"alg":"none"}`))+"."+parts[1]+"."+parts[2], auth.CodeJWTAlgorithm)
	is("None", b64([]byte(`{"alg":"None"}`))+"."+parts[1]+"."+parts[2], auth.CodeJWTAlgorithm)
	is("unsigned none", b64([]byte(`{"alg":"none"}`))+"."+parts[1]+".", auth.CodeJWTMalformed)
	is("no alg", raw(`{"kid":"e"}`, good), auth.CodeJWTMalformed)
	is("ALG", raw(`{"ALG":"ES256","kid":"e"}`, good), auth.CodeJWTMalformed)
	is("crit", raw(`{"alg":"ES256","kid":"e","crit":["exp"]}`, good), auth.CodeJWTMalformed)
	is("b64", raw(`{"alg":"ES256","kid":"e","b64":false,"crit":["b64"]}`, good), auth.CodeJWTMalformed)
	is("kid a number", raw(`{"alg":"ES256","kid":1}`, good), auth.CodeJWTMalformed)
	is("kid null", raw(`{"alg":"ES256","kid":null}`, good), auth.CodeJWTMalformed)
	is("alg a number", raw(`{"alg":1,"kid":"e"}`, good), auth.CodeJWTMalformed)
	is("typ a number", raw(`{"alg":"ES256","kid":"e","typ":1}`, good), auth.CodeJWTMalformed)
	is("logout token", raw(`{"alg":"ES256","kid":"e","typ":"logout+jwt"}`, good), auth.CodeJWTMalformed)
	is("another application's type", raw(`{"alg":"ES256","kid":"e","typ":"application-JWT"}`, good), auth.CodeJWTMalformed)
	is("another tree of types", raw(`{"alg":"ES256","kid":"e","typ":"simulation//JWT"}`, good), auth.CodeJWTMalformed)
	is("header null", raw(`null`, good), auth.CodeJWTMalformed)
	is("header twice", raw(`{"alg":"ES256"}{}`, good), auth.CodeJWTMalformed)
	is("broken key inside", raw(`{"alg":"ES256","kid":"x","jwk":{}}`, good), auth.CodeJWTMalformed)
	own, err := json.Marshal(jose.JSONWebKey{Key: &who.ec.PublicKey, KeyID: "own"})
	if err != nil {
		t.Fatal(err)
	}
	is("own key inside", raw(`{"alg":"ES256","kid":"own","jwk":`+string(own)+`}`, good), auth.CodeJWTKey)
	is("payload a list", raw(`{"alg":"ES256","kid":"e"}`, `[]`), auth.CodeJWTMalformed)
	is("payload no UTF-8", raw(`{"alg":"ES256","kid":"e"}`, strings.Replace(good, "ann", "a\xffn", 1)), auth.CodeJWTMalformed)
	is("payload changed", parts[0]+"."+b64([]byte(strings.Replace(good, "ann", "bob", 1)))+"."+parts[2], auth.CodeJWTSignature)
	is("too long", token+strings.Repeat("A", 64<<10-len(token)), auth.CodeJWTTooLong)
	many := `{` + strings.Repeat(`"claim":1,`, 500) + good[1:]
	for n := range 500 {
		many = strings.Replace(many, `"claim":1`, fmt.Sprintf(`"claim-%d":1`, n), 1)
	}
	if r, p := authenticate(m, raw(`{"alg":"ES256","kid":"e"}`, many)); r.Outcome != auth.Accepted || p.Claims["claim-499"] != 1.0 {
		t.Errorf("500 claims: %+v", r)
	}

	if r, _ := authenticate(m, token, token); r.Code != auth.CodeRepeated {
		t.Errorf("sent twice: %+v", r)
	}
	if r, _ := authenticate(m); r.Outcome != auth.Absent {
		t.Errorf("not sent: %+v", r)
	}
}

func TestCache(t *testing.T) {
	who := newIssuer(t)
	ring := who.keyring()
	m := method(t, ring, nil)
	clock := time.Unix(now, 0)
	m.clock = func() time.Time { return clock }
	token := mint(t, "ES256", who.ec, map[string]any{"kid": "e"}, claims(t, nil))
	is := func(what, want string) {
		t.Helper()
		if r, _ := authenticate(m, token); r.Code != want {
			t.Errorf("%s: %q, want %q", what, r.Code, want)
		}
	}
	cached := func() bool { return m.cache.get(m.config, token, ring.version, clock.Unix()) != nil }
	is("first", "")
	if !cached() {
		t.Fatal("not remembered")
	}
	// With the keys gone but the version unchanged only the cache can say yes.
	keys := ring.keys
	ring.keys = nil
	is("second", "")
	ring.version++
	is("after the key set changed", auth.CodeJWTKey)
	ring.keys = keys
	is("with the keys back", "")
	clock = time.Unix(now+60+30, 0)
	is("at exp and leeway", auth.CodeJWTExpired)
	clock = time.Unix(now+60+29, 0)
	is("a second before", "")

	ring.version = 0
	if r, _ := authenticate(m, token); r.Outcome != auth.Unavailable || r.Code != auth.CodeKeySet || r.RetryAfter == 0 {
		t.Errorf("no key set: %+v", r)
	}
	// Another method's checks are not this one's.
	ring.version = 2
	other, err := New(&table.JWT{Issuer: "https://issuer", Audiences: []string{"else"}}, Needs{ring, place{}, m.cache, m.clock})
	if err != nil {
		t.Fatal(err)
	}
	clock = time.Unix(now, 0)
	if r, _ := authenticate(other, token); r.Code != auth.CodeJWTAudience {
		t.Errorf("another audience: %+v", r)
	}
}

// A token that is remembered is judged by the clock as a new one is.
func TestClockJumps(t *testing.T) {
	who := newIssuer(t)
	m := method(t, who.keyring(), nil)
	clock := int64(now)
	m.clock = func() time.Time { return time.Unix(clock, 0) }
	for name, times := range map[string]map[string]any{"nbf": {"nbf": now}, "iat": {"iat": now}, "both": {"nbf": now - 100, "iat": now}} {
		token := mint(t, "ES256", who.ec, map[string]any{"kid": "e"}, claims(t, times))
		for _, c := range []struct {
			at   int64
			want string
		}{
			{now, ""},
			{now - 30, ""},
			{now - 31, auth.CodeJWTNotYetValid},
			{now, ""},
			{now + 89, ""},
			{now + 90, auth.CodeJWTExpired},
			{now + 1e9, auth.CodeJWTExpired},
			{now, ""},
			{0, auth.CodeJWTNotYetValid},
			{now, ""},
		} {
			clock = c.at
			if r, _ := authenticate(m, token); r.Code != c.want {
				t.Errorf("%s, at %+d: %q, want %q", name, c.at-now, r.Code, c.want)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(3)
	if len(c.slots) != 4 {
		t.Fatalf("%d places", len(c.slots))
	}
	config := &table.JWT{}
	for i := range 1000 {
		token := strings.Repeat("x", i)
		c.put(&entry{config: config, version: 1, until: 10}, token, 0)
		if c.get(config, token, 1, 0) == nil {
			t.Fatalf("%d: not there right after it was put", i)
		}
	}
	long := strings.Repeat("x", maxCached+1)
	c.put(&entry{config: config, version: 1, until: 10}, long, 0)
	if c.get(config, long, 1, 0) != nil {
		t.Error("an overlong token was kept")
	}
}

func TestNew(t *testing.T) {
	fails := func(c table.JWT, want string) {
		t.Helper()
		if _, err := New(&c, Needs{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	fails(table.JWT{}, "issuer is empty")
	fails(table.JWT{Issuer: "a", Leeway: -1}, "leeway")
	fails(table.JWT{Issuer: "a", Algorithms: []string{"none"}}, `"none" is not known`)
	fails(table.JWT{Issuer: "a", Algorithms: []string{"RS1"}}, `"RS1" is not known`)
}

func cachedRequest(t testing.TB) (*Method, *exchange.Exchange) {
	who := newIssuer(t)
	m := method(t, who.keyring(), nil)
	x := &exchange.Exchange{Start: m.clock.Now()}
	x.Request.Header.Add("Token", mint(t, "RS256", who.rsa, map[string]any{"kid": "r"}, claims(t, map[string]any{"pad": strings.Repeat("x", 300)})))
	if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
		t.Fatalf("%+v", r)
	}
	return m, x
}

func TestCachedAllocates(t *testing.T) {
	m, x := cachedRequest(t)
	if n := testing.AllocsPerRun(100, func() { m.Authenticate(x, &x.Principal) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCached(b *testing.B) {
	m, x := cachedRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Authenticate(x, &x.Principal)
	}
}

func BenchmarkVerifyES256(b *testing.B) {
	who := newIssuer(b)
	ring := who.keyring()
	m := method(b, ring, nil)
	token := mint(b, "ES256", who.ec, map[string]any{"kid": "e"}, claims(b, nil))
	b.ReportAllocs()
	for b.Loop() {
		m.verify(token, now)
	}
}

// What is taken says the same to another implementation, if that takes it at all.
func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.eyJpc3MiOiJodHRwczovL2lzc3VlciIsImV4cCI6MX0.AAAA")
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		p, ok := parse(token)
		if !ok {
			return
		}
		if p.algorithm == "" || p.expires < 0 || p.claims == nil {
			t.Fatalf("%q: %+v", token, p)
		}
		if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "= \r\n+/") {
			t.Fatalf("%q was taken", token)
		}
		theirs, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(p.algorithm)})
		if err != nil {
			return
		}
		head := theirs.Signatures[0].Header
		var claims map[string]any
		if err := json.Unmarshal(theirs.UnsafePayloadWithoutVerification(), &claims); err != nil {
			t.Fatalf("%q: %v", token, err)
		}
		if head.Algorithm != p.algorithm || head.KeyID != p.keyID || !reflect.DeepEqual(claims, p.claims) {
			t.Fatalf("%q is %+v of %v to another, here %+v", token, head, claims, p)
		}
	})
}
