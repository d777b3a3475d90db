// Package claims allows requests by what is known of the caller: the claims of a
// token, or an API key's scopes and plan, compared with plain lists.
//
// proxy/guard builds one Rule per table.AuthRule that has Claims. It says what
// most policies need without an expression; proxy/auth/cel says the rest.
package claims

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Rule allows when every condition holds.
type Rule struct{ conditions []condition }

type condition struct {
	claim  string // a.b.c
	values []value
	match  table.ClaimMatch
	words  bool // a string is a list of words
}

// value is one that is wanted. A claim may be a string, a number or a boolean.
type value struct {
	text    string
	number  float64
	numeric bool
	truth   any // bool, or nil
}

// wordClaims are those that RFC 9068 and RFC 8693 make a list of words in one
// string; scp is what some issuers call it.
var wordClaims = []string{"scope", "scp"}

// New checks t.
func New(t []table.ClaimCondition) (*Rule, error) {
	if len(t) == 0 {
		return nil, errors.New("claims: no claim is named")
	}
	r := &Rule{}
	for i, from := range t {
		if from.Claim == "" || len(from.Values) == 0 {
			return nil, fmt.Errorf("claims[%d]: %q is no claim's name, or no value is given", i, from.Claim)
		}
		c := condition{claim: from.Claim, match: from.Match}
		c.words = slices.Contains(wordClaims, c.claim[strings.LastIndexByte(c.claim, '.')+1:])
		for _, text := range from.Values {
			v := value{text: text}
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				v.number, v.numeric = n, true
			}
			if text == "true" || text == "false" {
				v.truth = text == "true"
			}
			c.values = append(c.values, v)
		}
		r.conditions = append(r.conditions, c)
	}
	return r, nil
}

// Authorize implements auth.Rule. A claim that is missing, or of another type,
// has none of the values.
func (r *Rule) Authorize(x *exchange.Exchange) auth.Result {
	for i := range r.conditions {
		if !r.conditions[i].holds(x.Principal.Claims) {
			return auth.Result{Outcome: auth.Rejected, Code: auth.CodeClaim}
		}
	}
	return auth.Result{Outcome: auth.Accepted}
}

func (c *condition) holds(claims map[string]any) bool {
	have := find(claims, c.claim)
	for i := range c.values {
		has := c.values[i].in(have, c.words)
		switch {
		case has && c.match == table.ClaimAny:
			return true
		case has && c.match == table.ClaimNone, !has && c.match == table.ClaimAll:
			return false
		}
	}
	return c.match != table.ClaimAny
}

// find follows a path such as realm_access.roles through nested objects. A claim
// whose own name has dots in it, such as https://example.com/roles, is found by
// the longest name there is.
func find(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for at := strings.LastIndexByte(path, '.'); at > 0; at = strings.LastIndexByte(path[:at], '.') {
		if inner, ok := claims[path[:at]].(map[string]any); ok {
			return find(inner, path[at+1:])
		}
	}
	return nil
}

// in reports whether have is the value, or a list that holds it.
func (v *value) in(have any, words bool) bool {
	switch h := have.(type) {
	case string:
		return h == v.text || words && word(h, v.text)
	case float64:
		return v.numeric && h == v.number
	case bool:
		return v.truth == h
	case []any:
		for _, e := range h {
			if v.in(e, false) {
				return true
			}
		}
	case []string:
		return slices.Contains(h, v.text)
	}
	return false
}

// word reports whether text stands between blanks in list.
func word(list, text string) bool {
	for list != "" {
		var w string
		w, list, _ = strings.Cut(list, " ")
		if w == text {
			return true
		}
	}
	return false
}
