package claims

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

const token = `{"sub":"ann","scope":"orders.read orders.write","groups":["ops","dev"],"level":3,"email_verified":true,
	"realm_access":{"roles":["admin"],"deep":{"er":"x"}},"https://example.com/roles":["boss"],"https://example.com":{"com/roles":"no"},"a.b":{"c":"one"},"a":{"b":{"c":"two"}},"none":null}`

func caller(t testing.TB, text string) *exchange.Exchange {
	t.Helper()
	x := &exchange.Exchange{}
	if err := json.Unmarshal([]byte(text), &x.Principal.Claims); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestAuthorize(t *testing.T) {
	x := caller(t, token)
	is := func(want bool, conditions ...table.ClaimCondition) {
		t.Helper()
		r, err := New(conditions)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Authorize(x)
		if (got.Outcome == auth.Accepted) != want || !want && got.Code != auth.CodeClaim {
			t.Errorf("%v: %+v", conditions, got)
		}
	}
	has := func(claim string, values ...string) table.ClaimCondition {
		return table.ClaimCondition{Claim: claim, Values: values, Match: table.ClaimAny}
	}
	match := func(m table.ClaimMatch, c table.ClaimCondition) table.ClaimCondition { c.Match = m; return c }
	is(true, has("sub", "bob", "ann"))
	is(false, has("sub", "an"))
	is(true, has("scope", "orders.write"))
	is(false, has("scope", "orders"))
	is(true, has("scope", "orders.read orders.write"))
	is(false, has("sub", "a"), has("scope", "orders.read"))
	is(true, has("groups", "dev"), has("level", "3"), has("email_verified", "true"))
	is(false, has("email_verified", "false"))
	is(false, has("level", "true"))
	is(true, match(table.ClaimAll, has("groups", "dev", "ops")))
	is(false, match(table.ClaimAll, has("groups", "dev", "root")))
	is(true, match(table.ClaimNone, has("groups", "root")))
	is(false, match(table.ClaimNone, has("groups", "root", "ops")))
	is(true, match(table.ClaimNone, has("missing", "x")))
	is(false, has("missing", "x"))
	is(false, match(table.ClaimAll, has("missing", "x")))
	is(true, has("realm_access.roles", "admin"))
	is(true, has("realm_access.deep.er", "x"))
	is(false, has("realm_access.deep", "x"))
	is(true, has("https://example.com/roles", "boss"))
	is(true, has("a.b.c", "one")) // the longer name first
	is(false, has("a.b.c", "two"))
	is(false, has("none", "null"), has("none", ""))
	is(false, has("...", "x"))

	x = &exchange.Exchange{} // nobody was asked who they are
	is(false, has("sub", "ann"))
	x.Principal.Claims = map[string]any{"scopes": []string{"orders.read"}, "plan": "gold"} // an API key
	is(true, has("scopes", "orders.read"), has("plan", "gold"))
	is(false, has("scopes", "orders.write"))
}

func TestNewRefuses(t *testing.T) {
	for _, c := range [][]table.ClaimCondition{nil, {{Claim: "", Values: []string{"x"}}}, {{Claim: "x"}}} {
		if _, err := New(c); err == nil {
			t.Errorf("%v was taken", c)
		}
	}
}

func TestAllocs(t *testing.T) {
	x := caller(t, token)
	r, err := New([]table.ClaimCondition{{Claim: "realm_access.roles", Values: []string{"admin"}}, {Claim: "scope", Values: []string{"orders.write"}}, {Claim: "level", Values: []string{"3"}}})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { r.Authorize(x) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
