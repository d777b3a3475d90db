package introspect

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// verdict is what an answer comes to. Requests share it, so it does not change.
type verdict struct {
	code    string // why the token is not accepted, whatever the time; empty: it is
	subject string
	claims  map[string]any // the answer
	from    int64          // Unix seconds; 0: not told
	expires int64          // the same
}

// cause is why the token is not accepted at now; empty: it is. The times are
// looked at each time, for a clock can be wrong when the answer comes.
func (v *verdict) cause(now int64) string {
	switch {
	case v.code != "":
		return v.code
	case v.expires != 0 && now >= v.expires:
		return auth.CodeTokenInactive
	case v.from > now+leeway:
		return auth.CodeTokenEarly
	}
	return ""
}

// result fills in who calls.
func (v *verdict) result(now int64, p *exchange.Principal) auth.Result {
	if code := v.cause(now); code != "" {
		return auth.Result{Outcome: auth.Rejected, Code: code}
	}
	p.Subject, p.Claims = v.subject, v.claims
	return auth.Result{Outcome: auth.Accepted}
}

// faulty finds fault with answers that say something of the server: after some of
// them it is left alone. What it, or a firewall before it, refuses may be the token,
// which anybody can make up, and the tokens of others must not wait for that.
func faulty(a *remote.Answer) error {
	if a.Status/100 == 4 && a.Status != http.StatusUnauthorized && a.Status != http.StatusTooManyRequests {
		return nil
	}
	_, err := read(a)
	return err
}

// read takes an answer apart: a JSON object in UTF-8 that says whether the token
// is active (RFC 7662, section 2.2).
func read(a *remote.Answer) (map[string]any, error) {
	switch {
	case a.Status == http.StatusBadRequest, a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return nil, fmt.Errorf("%w: it answered %d", errRefused, a.Status)
	case a.Status >= 500:
		return nil, fmt.Errorf("introspection: the server answered %d", a.Status)
	case a.Status != http.StatusOK:
		return nil, fmt.Errorf("%w: it answered %d", errInvalid, a.Status)
	}
	var document map[string]any
	if !utf8.Valid(a.Content) || json.Unmarshal(a.Content, &document) != nil {
		return nil, fmt.Errorf("%w: it is no JSON object", errInvalid)
	}
	if _, ok := document["active"].(bool); !ok {
		return nil, fmt.Errorf("%w: it does not say whether the token is active", errInvalid)
	}
	return document, nil
}

// assumed is the answer that makes claims those of an active token.
func assumed(claims map[string]any) map[string]any {
	out := maps.Clone(claims)
	if out == nil {
		out = map[string]any{}
	}
	out["active"] = true
	return out
}

// judge checks what an answer says of a token. An error says that it cannot be
// understood.
func (s *Server) judge(document map[string]any) (*verdict, error) {
	if document["active"] != true {
		return &verdict{code: auth.CodeTokenInactive}, nil
	}
	expires, ok := seconds(document, "exp")
	if !ok {
		return nil, fmt.Errorf("%w: exp is no number", errInvalid)
	}
	from, ok := seconds(document, "nbf")
	if !ok {
		return nil, fmt.Errorf("%w: nbf is no number", errInvalid)
	}
	v := &verdict{claims: document, from: from, expires: expires}
	for _, name := range []string{"sub", "username", "client_id"} {
		text, is := document[name].(string)
		if _, there := document[name]; there && !is {
			return nil, fmt.Errorf("%w: %s is no text", errInvalid, name)
		}
		if v.subject == "" {
			v.subject = text
		}
	}
	switch {
	case !s.kind(document):
		v.code = auth.CodeTokenType
	case s.t.Issuer != "" && document["iss"] != nil && document["iss"] != s.t.Issuer:
		v.code = auth.CodeTokenIssuer
	case len(s.t.Audiences) > 0 && !s.audience(document["aud"]):
		v.code = auth.CodeTokenAudience
	}
	if v.code != "" {
		return &verdict{code: v.code}, nil
	}
	return v, nil
}

// leeway is how far the server's clock may be ahead, in seconds.
const leeway = 30

// seconds reads a time that may be missing, as Unix seconds; 0: it is.
func seconds(document map[string]any, name string) (int64, bool) {
	switch n := document[name].(type) {
	case nil:
		return 0, true
	case float64:
		if math.IsNaN(n) || n < 0 {
			return 0, false
		}
		return max(1, int64(min(n, 1<<40))), true // 0 would read as missing
	}
	return 0, false
}

// kind reports whether the token is an access token of a type that is taken. One
// that is bound to a key, such as type DPoP, is no bearer token; and some servers
// call a refresh token active too.
func (s *Server) kind(document map[string]any) bool {
	if use, there := document["token_use"]; there && use != "access_token" && use != "access" {
		return false
	}
	told, there := document["token_type"]
	text, is := told.(string)
	switch {
	case len(s.t.TokenTypes) > 0:
		return is && slices.ContainsFunc(s.t.TokenTypes, func(t string) bool { return mem.EqualFold(t, text) })
	case !there || told == nil:
		return true
	}
	return is && mem.EqualFold(text, "Bearer")
}

func (s *Server) audience(aud any) bool {
	switch a := aud.(type) {
	case string:
		return slices.Contains(s.t.Audiences, a)
	case []any:
		return slices.ContainsFunc(a, func(one any) bool {
			text, is := one.(string)
			return is && slices.Contains(s.t.Audiences, text)
		})
	}
	return false
}

// life is how long v is good: a token that counts until its exp at most, even
// while nobody can be asked.
func (s *Server) life(v *verdict, now int64) remote.Life {
	if v.cause(now) != "" {
		return remote.Life{Fresh: min(negativeTTL, s.t.TTL)}
	}
	out := remote.Life{Fresh: s.t.TTL, Spare: s.t.Spare}
	if v.expires != 0 {
		left := time.Duration(min(v.expires-now, int64(1<<31))) * time.Second
		out.Fresh = min(out.Fresh, left)
		out.Spare = min(out.Spare, left-out.Fresh)
	}
	return out
}
