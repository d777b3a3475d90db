package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// workload is a policy and requests that it lets pass, by turns.
type workload struct {
	auth     *table.Auth
	requests []*exchange.Exchange
	free     bool // of allocations, once it has seen each request
	aged     bool // the clock goes on between two requests, so that nothing is remembered
}

// few is a number of tokens that a cache of two places does not hold.
const few = 64

// algorithms are those whose cost is told apart.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA, jose.HS256}

// bench has keys of each algorithm, and a clock.
type bench struct {
	*Builder
	clock   int64
	signers map[jose.SignatureAlgorithm]jose.Signer
	keys    *table.APIKeys
}

// newBench makes one that remembers so many tokens.
func newBench(tb testing.TB, tokens int) *bench {
	tb.Helper()
	s := &bench{clock: now, signers: map[jose.SignatureAlgorithm]jose.Signer{}}
	b, err := New(Config{Now: func() time.Time { return time.Unix(s.clock, 0) }, Tokens: tokens})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Close)
	s.Builder = b
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	secret := []byte(strings.Repeat("s", 32))
	var set jose.JSONWebKeySet
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.ES256: ec, jose.RS256: rs, jose.EdDSA: ed} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: string(alg)})
		s.signer(tb, alg, jose.JSONWebKey{Key: key, KeyID: string(alg)})
	}
	s.signer(tb, jose.HS256, jose.JSONWebKey{Key: secret, KeyID: "a"})
	document, err := json.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	b.SetKeySets([]*table.KeySet{{ID: "issuer", Inline: document}, {ID: "shared", Shared: []table.SharedKey{{ID: "a", Secret: secret}}}})
	s.keys = &table.APIKeys{ID: "keys"}
	for i := range 10_000 {
		s.keys.Keys = append(s.keys.Keys, &table.APIKey{Secret: fmt.Sprint("shop/k", i), Hash: sha256.Sum256(fmt.Append(nil, "ghk_", i)), Subject: "acme", Scopes: []string{"orders.read"}})
	}
	return s
}

func (s *bench) signer(tb testing.TB, alg jose.SignatureAlgorithm, key jose.JSONWebKey) {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	s.signers[alg] = signer
}

// tokens are n requests with a token each, of some 600 bytes.
func (s *bench) tokens(tb testing.TB, alg jose.SignatureAlgorithm, n int) (out []*exchange.Exchange) {
	tb.Helper()
	for i := range n {
		signed, err := s.signers[alg].Sign(fmt.Appendf(nil,
			`{"iss":"https://issuer","aud":"shop","sub":"ann","exp":1900000000,"n":%d,"scope":"orders.read orders.write","groups":["ops","orders"],"level":3,"pad":%q}`, i, strings.Repeat("x", 200)))
		if err != nil {
			tb.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, request("GET /orders/7", "user-agent: Mozilla/5.0", "accept: */*", "authorization: Bearer "+token))
	}
	return out
}

// one is a policy of a single method.
func one(m table.AuthMethod) *table.Auth {
	m.Name = "m"
	return &table.Auth{Methods: []table.AuthMethod{m}}
}

// bearer is a method that takes the tokens of an algorithm.
func bearer(alg jose.SignatureAlgorithm) table.AuthMethod {
	t := &table.JWT{Issuer: "https://issuer", Audiences: []string{"shop"}, KeySet: "issuer"}
	if alg == jose.HS256 {
		t.KeySet, t.Algorithms = "shared", []string{"HS256"}
	}
	return table.AuthMethod{JWT: t}
}

func basicly(tb testing.TB, cost int) table.AuthMethod {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), cost)
	if err != nil {
		tb.Fatal(err)
	}
	return table.AuthMethod{Basic: &table.Basic{ID: "users", Users: []table.BasicUser{{Name: "ann", Hash: hash}}}}
}

// signedRequest covers what a policy asks for by default.
func signedRequest(key string) *exchange.Exchange {
	x := request("GET /orders/7?page=1")
	x.Request.Scheme, x.Request.Authority = "https", "shop.example"
	params := fmt.Sprintf(`("@method" "@authority" "@path" "@query");created=%d;keyid="a"`, now)
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte("\"@method\": GET\n\"@authority\": shop.example\n\"@path\": /orders/7\n\"@query\": ?page=1\n\"@signature-params\": " + params))
	x.Request.Header.Add("signature-input", "s="+params)
	x.Request.Header.Add("signature", "s=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
	return x
}

// workloads are every method that asks nobody outside, remembered and not, and the
// rules after it. Those that do ask, and sessions, are measured in their own
// packages, by the same name of the benchmark.
func (s *bench) workloads(tb testing.TB) map[string]workload {
	tb.Helper()
	plain := []*exchange.Exchange{request("GET /orders/7", "user-agent: Mozilla/5.0", "accept: */*")}
	keyed := []*exchange.Exchange{request("GET /orders/7", "user-agent: Mozilla/5.0", "accept: */*", "x-api-key: ghk_5000")}
	named := []*exchange.Exchange{request("GET /orders/7", annBasic)}
	certified := request("GET /orders/7")
	id := &url.URL{Scheme: "spiffe", Host: "shop.example", Path: "/ns/shop/sa/orders"}
	certified.Conn.Client = exchange.NewClient([]*x509.Certificate{{Subject: pkix.Name{CommonName: "orders"}, URIs: []*url.URL{id}, NotAfter: time.Unix(now+1000, 0)}})
	certified.Vouched = true
	secret := strings.Repeat("k", 32)
	ruled := func(rules ...table.AuthRule) *table.Auth {
		a := one(bearer(jose.ES256))
		a.Rules = rules
		return a
	}
	out := map[string]workload{
		"anonymous":    {auth: one(table.AuthMethod{Anonymous: true}), requests: plain, free: true},
		"apiKey":       {auth: one(table.AuthMethod{APIKeys: s.keys}), requests: keyed, free: true},
		"basic/cached": {auth: one(basicly(tb, bcrypt.MinCost)), requests: named, free: true},
		"clientCertificate": {auth: one(table.AuthMethod{ClientCertificate: &table.ClientCertificate{Match: []table.CertificateMatch{
			{SAN: &table.SAN{Type: table.SANDNS, Value: "*.else.example"}}, {SAN: &table.SAN{Type: table.SANURI, Value: "spiffe://shop.example/*"}},
		}}}), requests: []*exchange.Exchange{certified}, free: true},
		"hmac": {auth: one(table.AuthMethod{HMAC: &table.HMAC{
			ID: "a", Components: []string{"@method", "@authority", "@path", "@query"}, MaxAge: time.Minute, Keys: []*table.HMACKey{{ID: "a", Key: table.Secret(secret)}},
		}}), requests: []*exchange.Exchange{signedRequest(secret)}},
		"rules/cidrs": {auth: &table.Auth{Rules: []table.AuthRule{{Name: "a", CIDRs: &table.CIDRs{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}}}, requests: plain, free: true},
		"rules/cel":   {auth: &table.Auth{Rules: []table.AuthRule{{Name: "a", CEL: "request.method == 'GET'"}}}, requests: plain, free: true},
		"rules/jwt ES256 cached and claims": {auth: ruled(table.AuthRule{Name: "a", Claims: []table.ClaimCondition{
			{Claim: "groups", Values: []string{"ops"}}, {Claim: "scope", Values: []string{"orders.read"}},
		}}), requests: s.tokens(tb, jose.ES256, 1), free: true},
		"rules/jwt ES256 cached and three cel": {auth: ruled(
			table.AuthRule{Name: "a", CEL: "request.path.startsWith('/orders/')"}, table.AuthRule{Name: "b", CEL: "'ops' in auth.claims.groups"},
			table.AuthRule{Name: "c", CEL: "request.method == 'GET' || auth.claims.level >= 3"},
		), requests: s.tokens(tb, jose.ES256, 1), free: true},
	}
	for _, alg := range algorithms {
		out["jwt/"+string(alg)+"/cached"] = workload{auth: one(bearer(alg)), requests: s.tokens(tb, alg, 1), free: true}
	}
	return out
}

// check asks p about one of its requests, as it came in.
func check(tb testing.TB, p *Policy, x *exchange.Exchange, fields exchange.Header) {
	x.Arena.Reset()
	x.Request.Header, x.Request.Reserved, x.Principal = append(x.Request.Header[:0], fields...), nil, exchange.Principal{}
	if !p.Check(x) {
		tb.Fatalf("refused: %d %s", x.Response.Status, x.Response.Code)
	}
}

// fieldsOf are copies of the requests' fields: a policy takes credentials away.
func (w *workload) fieldsOf() (out []exchange.Header) {
	for _, x := range w.requests {
		out = append(out, append(exchange.Header{}, x.Request.Header...))
	}
	return out
}

// BenchmarkMethod is what one request pays for a policy: the credential found and
// taken away, who is calling, and the rules.
func BenchmarkMethod(b *testing.B) {
	run := func(s *bench, name string, w workload) {
		p, err := s.Build(w.auth)
		if err != nil {
			b.Fatal(err)
		}
		fields := w.fieldsOf()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if w.aged {
					s.clock += int64(time.Hour / time.Second)
				}
				n := i % len(w.requests)
				check(b, p, w.requests[n], fields[n])
			}
		})
	}
	s := newBench(b, 0)
	list := s.workloads(b)
	for _, name := range slices.Sorted(maps.Keys(list)) {
		run(s, name, list[name])
	}
	forgetful := newBench(b, 2)
	for _, alg := range algorithms {
		run(forgetful, "jwt/"+string(alg)+"/first", workload{auth: one(bearer(alg)), requests: forgetful.tokens(b, alg, few)})
	}
	run(newBench(b, 2), "basic/first, bcrypt 10", workload{auth: one(basicly(b, 10)), requests: []*exchange.Exchange{request("GET /", annBasic)}, aged: true})
}
