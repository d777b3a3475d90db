package mint

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const start = 1_800_000_000

type stage struct {
	*Owner
	t     testing.TB
	clock atomic.Int64 // seconds after start
}

func newStage(t testing.TB) *stage {
	t.Helper()
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t}
	if s.Owner, err = NewOwner(env, func() time.Time { return time.Unix(start+s.clock.Load(), 0) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *stage) minter(claims ...table.ClaimExpr) *Minter {
	s.t.Helper()
	m, err := s.Minter(&table.MintedToken{Issuer: "https://gateway", Audiences: []string{"orders"}, TTL: 5 * time.Minute, Claims: claims}, "Bearer")
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func caller(subject string, claims map[string]any) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Principal.Subject, x.Principal.Claims = subject, claims
	return x
}

func (s *stage) token(m *Minter, x *exchange.Exchange) string {
	s.t.Helper()
	v, r := m.Value(x)
	if r.Outcome != auth.Accepted {
		s.t.Fatalf("%+v", r)
	}
	token, ok := strings.CutPrefix(v, "Bearer ")
	if !ok {
		s.t.Fatalf("%q", v)
	}
	return token
}

// verified is the payload of a token as a backend verifies it by the key set.
func (s *stage) verified(token string) string {
	s.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(s.KeySet(), &set); err != nil {
		s.t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		s.t.Fatal(err)
	}
	if typ := signed.Signatures[0].Header.ExtraHeaders[jose.HeaderType]; typ != "JWT" {
		s.t.Errorf("typ %v", typ)
	}
	keys := set.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 || !keys[0].IsPublic() {
		s.t.Fatalf("keys %s for %s", s.KeySet(), token)
	}
	payload, err := signed.Verify(keys[0].Key)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(payload)
}

func TestTokens(t *testing.T) {
	s := newStage(t)
	m := s.minter(table.ClaimExpr{Name: "m", CEL: "auth.claims.map"}, table.ClaimExpr{Name: "none", CEL: "auth.claims.none"}, table.ClaimExpr{Name: "n", CEL: "[dyn(1), dyn(2.5), dyn(true), dyn('a')]"})
	x := caller("ann\r\n\"é\xff", map[string]any{"map": map[string]any{"b": 1.0, "a": []any{"x", nil}}})
	first := s.token(m, x)
	want := `{"iss":"https://gateway","aud":["orders"],"sub":"ann\u000d\u000a\"é` + "\uFFFD" + `","m":{"a":["x",null],"b":1},"n":[1,2.5,true,"a"],"iat":1800000000,"exp":1800000300}`
	if got := s.verified(first); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	s.clock.Store(239)
	if s.token(m, x) != first {
		t.Error("a second token for the same caller")
	}
	if other := s.token(m, caller("bob", nil)); other == first || !strings.Contains(s.verified(other), `"sub":"bob","n"`) {
		t.Error("another caller's token")
	}
	elsewhere, err := s.Minter(&table.MintedToken{Issuer: "https://gateway", Audiences: []string{"shop"}, TTL: 5 * time.Minute}, "Bearer")
	if err != nil {
		t.Fatal(err)
	}
	s.token(s.minter(), caller("eve", nil))
	if got := s.verified(s.token(elsewhere, caller("eve", nil))); !strings.Contains(got, `"aud":["shop"],"sub":"eve"`) {
		t.Errorf("a token for another audience: %s", got)
	}
	s.clock.Store(241)
	if again := s.token(m, x); again == first || !strings.Contains(s.verified(again), `"exp":1800000541`) {
		t.Error("a token that is about to run out")
	}
	// Claims that cannot be, and those that are too large.
	for _, x := range []*exchange.Exchange{caller(strings.Repeat("x", maxClaims), nil), caller("x", map[string]any{"map": map[string]any{"x": func() {}}})} {
		if _, r := m.Value(x); r.Outcome != auth.Rejected || r.Code != auth.CodeCredentialUnusable {
			t.Errorf("%+v", r)
		}
	}
}

// No token goes to a backend whose clock would find it made in the future, or run out.
func TestClockJumps(t *testing.T) {
	s := newStage(t)
	m, x := s.minter(), caller("ann", nil)
	for _, at := range []int64{0, 7200, -7200, 0, 10, 9} {
		s.clock.Store(at)
		var c struct{ Iat, Exp int64 }
		if err := json.Unmarshal([]byte(s.verified(s.token(m, x))), &c); err != nil {
			t.Fatal(err)
		}
		if now := start + at; c.Iat > now || c.Exp <= now {
			t.Errorf("at %+d: made at %+d, good until %+d", at, c.Iat-start, c.Exp-start)
		}
	}
}

// Replicas with the same secrets have the same keys, and know the next before it signs.
func TestKeys(t *testing.T) {
	s, other := newStage(t), newStage(t)
	current, previous, next := strings.Repeat("c", 32), strings.Repeat("p", 32), strings.Repeat("n", 32)
	for _, o := range []*stage{s, other} {
		if err := o.SetKeys(current, previous, next); err != nil {
			t.Fatal(err)
		}
	}
	m, x := s.minter(), caller("ann", nil)
	before := s.token(m, x)
	other.verified(before)
	if err := s.SetKeys(next, current, strings.Repeat("m", 32)); err != nil {
		t.Fatal(err)
	}
	after := s.token(m, x)
	if after == before {
		t.Error("a new key does not sign")
	}
	other.verified(after)
	s.verified(before)
	if s.SetKeys() == nil || s.SetKeys("short") == nil {
		t.Error("no key, or a short one, is taken")
	}
	s.verified(after)
	if strings.Contains(string(s.KeySet()), `"d"`) {
		t.Errorf("a private key is published: %s", s.KeySet())
	}
}

func TestErrors(t *testing.T) {
	s := newStage(t)
	good := table.MintedToken{Issuer: "i", Audiences: []string{"a"}, TTL: time.Minute}
	for want, change := range map[string]func(*table.MintedToken){
		"set issuer":                   func(t *table.MintedToken) { t.Issuer = "" },
		"a ttl of at most 1h":          func(t *table.MintedToken) { t.TTL = 2 * time.Hour },
		"the gateway itself sets":      func(t *table.MintedToken) { t.Claims = []table.ClaimExpr{{Name: "exp", CEL: "1"}} },
		"claim a: 1:1: there is no x;": func(t *table.MintedToken) { t.Claims = []table.ClaimExpr{{Name: "a", CEL: "x"}} },
		"subject: it comes to a map":   func(t *table.MintedToken) { t.Subject = "request.headers" },
	} {
		c := good
		change(&c)
		if _, err := s.Minter(&c, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestKeptTokenDoesNotAllocate(t *testing.T) {
	s := newStage(t)
	m, x := s.minter(), caller("ann", nil)
	s.token(m, x)
	if n := testing.AllocsPerRun(100, func() { x.Arena.Reset(); m.Value(x) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMethod(b *testing.B) {
	s := newStage(b)
	for name, m := range map[string]*Minter{"subject": s.minter(), "claims": s.minter(table.ClaimExpr{Name: "r", CEL: "auth.claims.roles"})} {
		b.Run("credential/jwt cached by "+name, func(b *testing.B) {
			x := caller("ann", map[string]any{"roles": []any{"a", "b"}})
			b.ReportAllocs()
			for b.Loop() {
				x.Arena.Reset()
				if _, r := m.Value(x); r.Outcome != auth.Accepted {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("credential/jwt signed", func(b *testing.B) {
		m := s.minter()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.sign(s.keys.Load(), `,"sub":"ann"`); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Whatever a caller is called, a token says that, and nothing else.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{"ann", `","admin":true,"x":"`, "\\", "\x00\x7f\r\n", "é\xff\u2028"} {
		f.Add(s)
	}
	s := newStage(f)
	m := s.minter()
	f.Fuzz(func(t *testing.T, subject string) {
		s.t = t
		v, r := m.Value(caller(subject, nil))
		if r.Outcome != auth.Accepted {
			return
		}
		var claims map[string]any
		if err := json.Unmarshal([]byte(s.verified(strings.TrimPrefix(v, "Bearer "))), &claims); err != nil {
			t.Fatal(err)
		}
		want := 5
		if subject == "" {
			want = 4
		}
		if got, _ := claims["sub"].(string); len(claims) != want || got != strings.ToValidUTF8(subject, "\uFFFD") && len(got) < len(subject) {
			t.Fatalf("%q: %v", subject, claims)
		}
	})
}
