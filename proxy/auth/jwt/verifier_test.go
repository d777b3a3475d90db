package jwt

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What another method got from the issuer is judged as what a caller sends.
func TestVerifier(t *testing.T) {
	who, other := newIssuer(t), newIssuer(t)
	ring := who.keyring()
	v, err := NewVerifier(&table.JWT{Issuer: "https://issuer", Audiences: []string{"orders"}}, ring, func() time.Time { return time.Unix(now, 0) })
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	is := func(typ string, header, change m, want string) {
		t.Helper()
		header["kid"] = "e"
		got, code := v.Verify(mint(t, "ES256", who.ec, header, claims(t, change)), typ)
		if code != want || (want == "") != (got["sub"] == "ann") {
			t.Errorf("%v %v, typ %q: %q %v, want %q", header, change, typ, code, got, want)
		}
	}
	is("", m{}, nil, "")
	is("", m{"typ": "jwt"}, nil, "")
	is("logout+jwt", m{}, nil, "")
	is("logout+jwt", m{"typ": "JWT"}, nil, "")
	is("logout+jwt", m{"typ": "Logout+JWT"}, nil, "")
	is("logout+jwt", m{"typ": "at+jwt"}, nil, auth.CodeJWTMalformed)
	is("", m{"typ": "at+jwt"}, nil, auth.CodeJWTMalformed)
	is("", m{}, m{"iss": "https://else"}, auth.CodeJWTIssuer)
	is("", m{}, m{"aud": "shop"}, auth.CodeJWTAudience)
	is("", m{}, m{"aud": nil}, auth.CodeJWTAudience)
	is("", m{}, m{"exp": now}, auth.CodeJWTExpired)
	is("", m{}, m{"nbf": now + 1}, auth.CodeJWTNotYetValid)
	is("", m{}, m{"pad": strings.Repeat("x", maxBrought)}, auth.CodeJWTMalformed)

	good := claims(t, nil)
	for name, c := range map[string]struct{ token, want, signed string }{
		"good":                  {mint(t, "ES256", who.ec, m{"kid": "e"}, good), "", ""},
		"not asked for":         {mint(t, "HS256", ring.keys[3].Public, m{"kid": "h"}, good), auth.CodeJWTAlgorithm, auth.CodeJWTAlgorithm},
		"signed by another":     {mint(t, "ES256", other.ec, m{"kid": "e"}, good), auth.CodeJWTSignature, auth.CodeJWTSignature},
		"signed by nobody":      {mint(t, "ES256", who.ec, m{"kid": "x"}, good), auth.CodeJWTKey, auth.CodeJWTKey},
		"no token":              {"x.y", auth.CodeJWTMalformed, auth.CodeJWTMalformed},
		"content of no base64":  {strings.Replace(mint(t, "ES256", who.ec, m{"kid": "e"}, good), ".", ".?", 1), auth.CodeJWTMalformed, auth.CodeJWTMalformed},
		"content of no claims":  {mint(t, "ES256", who.ec, m{"kid": "e"}, "x"), auth.CodeJWTMalformed, ""},
		"content of much later": {mint(t, "ES256", who.ec, m{"kid": "e"}, claims(t, m{"exp": now})), auth.CodeJWTExpired, ""},
	} {
		if _, code := v.Verify(c.token, ""); code != c.want {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
		if content, code := v.Signed(c.token); code != c.signed || (code == "") != (len(content) > 0) {
			t.Errorf("%s, its signature alone: %q, want %q", name, code, c.signed)
		}
	}
	ring.version = 0
	is("", m{}, nil, auth.CodeKeySet)
	if _, err := NewVerifier(&table.JWT{}, ring, nil); err == nil {
		t.Error("an issuer without a name was taken")
	}
}

// renewed is a key set that becomes another when a key is missed.
type renewed struct {
	keyring
	next  []auth.Key
	again bool
	after time.Duration
}

func (r *renewed) Miss(string) (bool, time.Duration) {
	r.misses++
	r.keys = r.next
	return r.again, r.after
}

// A key that is missing is looked for in newer sets; when that cannot be told yet, the
// token is not refused.
func TestMiss(t *testing.T) {
	who, other := newIssuer(t), newIssuer(t)
	token := mint(t, "ES256", who.ec, map[string]any{"kid": "e"}, claims(t, nil))
	has, lacks := who.keyring().keys, other.keyring().keys[:1]
	is := func(r renewed, outcome auth.Outcome, code string, retry time.Duration, misses int) {
		t.Helper()
		r.keyring = keyring{keys: lacks, version: 1}
		if got, _ := authenticate(method(t, &r, nil), token); got.Outcome != outcome || got.Code != code || got.RetryAfter != retry || r.misses != misses {
			t.Errorf("%+v after %d misses", got, r.misses)
		}
	}
	is(renewed{next: has, again: true}, auth.Accepted, "", 0, 1)
	is(renewed{next: lacks, again: true}, auth.Unavailable, auth.CodeKeySet, retryNoKeys, maxLooks)
	is(renewed{next: has, after: 7 * time.Second}, auth.Unavailable, auth.CodeKeySet, 7*time.Second, 1)
	is(renewed{next: has}, auth.Rejected, auth.CodeJWTKey, 0, 1)
}

// Audiences that are not asked for are not looked at.
func TestNoAudience(t *testing.T) {
	who := newIssuer(t)
	m := method(t, who.keyring(), func(c *table.JWT) { c.Audiences = nil })
	for _, aud := range []any{nil, "else", []string{"else"}} {
		if r, _ := authenticate(m, mint(t, "ES256", who.ec, map[string]any{"kid": "e"}, claims(t, map[string]any{"aud": aud}))); r.Outcome != auth.Accepted {
			t.Errorf("%v: %+v", aud, r)
		}
	}
}
