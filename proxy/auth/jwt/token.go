package jwt

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// parsed is what a token says, before anybody believes it.
type parsed struct {
	algorithm string
	typ       string // without application/
	keyID     string
	hasKeyID  bool
	issuer    string
	subject   string
	audiences []string
	expires   int64 // Unix seconds
	notBefore int64 // 0: none
	issued    int64 // 0: none
	claims    map[string]any

	version uint64        // of the keys it was verified with
	after   time.Duration // when to ask again, where the keys cannot tell yet
}

// parse takes a token in compact serialization apart: three parts, JSON objects
// in UTF-8 with the types RFC 7519 gives the claims we look at, an expiry. A
// critical extension (crit) is refused, since we know none. parse allocates; it
// never fails otherwise than by false.
func parse(token string) (*parsed, bool) {
	t, payload, ok := parseHead(token)
	if !ok || !object(payload, &t.claims) || !t.registered() {
		return nil, false
	}
	return t, true
}

// parseHead reads a token's header alone. payload is still encoded.
func parseHead(token string) (t *parsed, payload string, ok bool) {
	head, rest, ok := strings.Cut(token, ".")
	if !ok {
		return nil, "", false
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") || signature == "" {
		return nil, "", false
	}
	if _, err := decode(signature); err != nil || strings.ContainsAny(token, "\r\n") {
		return nil, "", false
	}
	t = &parsed{}
	// A map, not a struct: encoding/json takes "ALG" for a field named alg.
	var header map[string]json.RawMessage
	if !object(head, &header) || !t.header(header) {
		return nil, "", false
	}
	return t, payload, true
}

// decode is strict base64url: no padding, no stray bits (RFC 7515, section 2).
func decode(part string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(part) }

func object[T any](part string, into *map[string]T) bool {
	b, err := decode(part)
	return err == nil && utf8.Valid(b) && json.Unmarshal(b, into) == nil && *into != nil
}

func (t *parsed) header(h map[string]json.RawMessage) bool {
	if _, critical := h["crit"]; critical {
		return false
	}
	if !text(h, "alg", &t.algorithm) || t.algorithm == "" {
		return false
	}
	_, t.hasKeyID = h["kid"]
	if !text(h, "kid", &t.keyID) {
		return false
	}
	if !text(h, "typ", &t.typ) {
		return false
	}
	const prefix = "application/"
	if len(t.typ) > len(prefix) && mem.EqualFold(t.typ[:len(prefix)], prefix) {
		t.typ = t.typ[len(prefix):]
	}
	return true
}

// text reads a member that is a string if it is there at all.
func text(h map[string]json.RawMessage, name string, into *string) bool {
	raw, there := h[name]
	return !there || len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}

// isToken reports whether typ may be that of a token to get in with: an ID token
// or access token (RFC 9068), not a logout token or the like (RFC 8725, section 3.11).
func isToken(typ string) bool {
	return typ == "" || mem.EqualFold(typ, "JWT") || mem.EqualFold(typ, "at+jwt")
}

// registered reads the claims of RFC 7519, section 4.1, into t.
func (t *parsed) registered() bool {
	var ok bool
	if t.issuer, ok = stringClaim(t.claims, "iss"); !ok {
		return false
	}
	if t.subject, ok = stringClaim(t.claims, "sub"); !ok {
		return false
	}
	switch aud := t.claims["aud"].(type) {
	case nil:
	case string:
		t.audiences = []string{aud}
	case []any:
		for _, a := range aud {
			s, ok := a.(string)
			if !ok {
				return false
			}
			t.audiences = append(t.audiences, s)
		}
	default:
		return false
	}
	if t.notBefore, ok = timeClaim(t.claims, "nbf", math.Ceil); !ok {
		return false
	}
	if t.issued, ok = timeClaim(t.claims, "iat", math.Ceil); !ok {
		return false
	}
	_, there := t.claims["exp"]
	t.expires, ok = timeClaim(t.claims, "exp", math.Floor)
	return ok && there
}

func stringClaim(claims map[string]any, name string) (string, bool) {
	v, there := claims[name]
	if !there {
		return "", true
	}
	s, ok := v.(string)
	return s, ok
}

// timeClaim reads a NumericDate, rounded to the stricter second.
func timeClaim(claims map[string]any, name string, round func(float64) float64) (int64, bool) {
	v, there := claims[name]
	if !there {
		return 0, true
	}
	f, ok := v.(float64)
	const year9999 = 253402300799
	if !ok || f < 0 || f > year9999 {
		return 0, false
	}
	return int64(round(f)), true
}
