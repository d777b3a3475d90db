package expr

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func TestAppendJSON(t *testing.T) {
	env, err := New()
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	x.Principal.Claims = map[string]any{"n": 3.0, "list": []any{"a", 1.5, nil, true}, "deep": map[string]any{"z": 1.0, "a": map[string]any{}}, "odd": func() {}}
	for text, want := range map[string]string{
		"auth.claims.n":                     "3",
		"auth.claims.list":                  `["a",1.5,null,true]`,
		"auth.claims.deep":                  `{"a":{},"z":1}`,
		"auth.claims.none":                  "nothing",
		"auth.claims.?none":                 "nothing",
		"auth.claims.?n":                    "3",
		"null":                              "nothing",
		"{'b': dyn(1u), 'a': dyn([true])}":  `{"a":[true],"b":1}`,
		"'a\"\\n\\u2028'":                   "\"a\\\"\\u000a\u2028\"",
		"timestamp('2026-01-02T03:04:05Z')": `"2026-01-02T03:04:05Z"`,
		"duration('90s')":                   `"90s"`,
		"auth.claims.odd":                   "fails",
		"{1: 2}":                            "fails",
		"0.0 / 0.0":                         "fails",
	} {
		p, err := env.Compile(text, JSON)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b, ok, err := p.AppendJSON(nil, x)
		got := string(b)
		switch {
		case err != nil:
			got = "fails"
		case !ok:
			got = "nothing"
		case !json.Valid(b):
			t.Errorf("%s: %s is no JSON", text, b)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if err := env.Check("int", JSON); err == nil {
		t.Error("a type has no JSON")
	}
}

// Claims may be nested deeper than is written.
func TestDeepJSON(t *testing.T) {
	p, err := env(t).Compile("auth.claims.deep", JSON)
	if err != nil {
		t.Fatal(err)
	}
	x, deep := &exchange.Exchange{}, any(1.0)
	for depth := 1; depth <= maxJSON+1; depth++ {
		deep = []any{deep}
		x.Principal.Claims = map[string]any{"deep": deep}
		if _, ok, err := p.AppendJSON(nil, x); ok != (depth <= maxJSON) || ok == (err != nil) {
			t.Errorf("%d deep: %v, %v", depth, ok, err)
		}
	}
}
