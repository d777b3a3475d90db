package jwt

import (
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxBrought is the longest token a Verifier looks at: it comes from the issuer,
// which is trusted further than a caller.
const maxBrought = 64 << 10

// Verifier judges tokens that another method got from the issuer, by the same
// checks as a Method. Nothing is remembered.
type Verifier struct{ method *Method }

// NewVerifier checks t as New does.
func NewVerifier(t *table.JWT, keys auth.Keys, now func() time.Time) (*Verifier, error) {
	m, err := New(t, Needs{Keys: keys, Clock: now})
	if err != nil {
		return nil, err
	}
	return &Verifier{m}, nil
}

// Verify returns a token's claims, or the cause why it is not accepted:
// auth.CodeKeySet while there are no keys, or may be newer ones. typ is a type it may have beside none
// and JWT; it may be empty.
func (v *Verifier) Verify(token, typ string) (claims map[string]any, code string) {
	if _, version := v.method.keys.Keys(); version == 0 {
		return nil, auth.CodeKeySet
	}
	if len(token) > maxBrought {
		return nil, auth.CodeJWTMalformed
	}
	t, ok := parse(token)
	switch {
	case !ok, t.typ != "" && !mem.EqualFold(t.typ, "JWT") && (typ == "" || !mem.EqualFold(t.typ, typ)):
		return nil, auth.CodeJWTMalformed
	case !slices.Contains(v.method.algorithms, t.algorithm):
		return nil, auth.CodeJWTAlgorithm
	case t.issuer != v.method.config.Issuer:
		return nil, auth.CodeJWTIssuer
	}
	if code := v.method.signature(token, t); code != "" {
		return nil, code
	}
	if code := v.method.claims(t, v.method.clock.Now().Unix()); code != "" {
		return nil, code
	}
	return t.claims, ""
}

// Signed judges a token's form and signature alone, and returns its content or
// why it is refused: whether that holds claims, and which, is not looked at.
func (v *Verifier) Signed(token string) (content []byte, code string) {
	t, payload, ok := parseHead(token)
	content, err := decode(payload)
	switch {
	case !ok || err != nil:
		return nil, auth.CodeJWTMalformed
	case !slices.Contains(v.method.algorithms, t.algorithm):
		return nil, auth.CodeJWTAlgorithm
	}
	if code := v.method.signature(token, t); code != "" {
		return nil, code
	}
	return content, ""
}
