package expr

import (
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types/ref"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// knowing is a request about whom document is known, as metadata.account.
func knowing(t testing.TB, document string) *exchange.Exchange {
	t.Helper()
	v, err := Fact([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Facts: []exchange.Fact{{Name: "account", Value: v}}}
	x.Principal.Subject = "ann"
	return x
}

func TestFacts(t *testing.T) {
	e := env(t)
	x := knowing(t, `{"tier":"gold","n":3,"ok":true,"none":null,"roles":["a","b"],"deep":{"er":[{"x":1.5}]},"in":"word"}`)
	for text, want := range map[string]bool{
		"metadata.account.tier == 'gold'":                                    true,
		"metadata['account']['tier'] == 'gold'":                              true,
		"metadata.account.n == 3 && metadata.account.n > 2":                  true,
		"metadata.account.ok":                                                true,
		"metadata.account.none == null":                                      true,
		"'b' in metadata.account.roles && size(metadata.account.roles) == 2": true,
		"metadata.account.deep.er[0].x == 1.5":                               true,
		"has(metadata.account) && has(metadata.account.tier)":                true,
		"has(metadata.other)":                                                false,
		"has(metadata.account.other)":                                        false,
		"metadata.?other.tier.orValue('none') == 'none'":                     true,
		"metadata.account.roles.exists(r, r == 'a')":                         true,
		"size(metadata) == 1 && metadata.all(name, name == 'account')":       true,
		"metadata.account['in'] == 'word'":                                   true,
	} {
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Bool(x); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"metadata.other.tier == 'gold'", "metadata.account.nope == 1", "metadata.account.tier > 3"} {
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Bool(x); got || err == nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestFactIsJSON(t *testing.T) {
	for _, document := range []string{"", "{", "<html>", "\"\xff\"", "1 2", strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat("[", 60000)} {
		if v, err := Fact([]byte(document)); err == nil {
			t.Errorf("%.20q: %v", document, v)
		}
	}
	for _, document := range []string{"null", "1", `"text"`, "[]", "{}", strings.Repeat("[", 32) + strings.Repeat("]", 32)} {
		if _, err := Fact([]byte(document)); err != nil {
			t.Errorf("%.20q: %v", document, err)
		}
	}
}

func TestReads(t *testing.T) {
	e := env(t)
	for text, want := range map[string]string{
		"request.method == 'GET'": "",
		"metadata.a == 1":         "a",
		"metadata.a.b == 1 && metadata['c'] == 2 && metadata.a == 3": "a c",
		"has(metadata.a) && metadata.?d.e.orValue(1) == 1":           "a d",
		"metadata[?'f'].hasValue()":                                  "f",
		"metadata[request.path] == 1":                                "…",
		"metadata.a == 1 && size(metadata) == 1":                     "a …",
		"auth.metadata.tier == 'gold'":                               "",
	} {
		names, more := e.Reads(text)
		slices.Sort(names)
		if more {
			names = append(names, "…")
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Looking into a fact costs nothing, however deep.
func TestFactDoesNotAllocate(t *testing.T) {
	x := knowing(t, `{"plan":{"tier":"gold"},"roles":["a","b"]}`)
	p, err := env(t).Compile("metadata.account.plan.tier == 'gold'", Bool)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if ok, err := p.Bool(x); !ok || err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A fact is JSON that can be written again, or none.
func FuzzFact(f *testing.F) {
	for _, s := range []string{`{"a":[1,true,null,"x",{"b":1e3}]}`, "null", "[", "1e999", `{"a":1,"a":2}`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		v, err := Fact(document)
		if err != nil {
			return
		}
		if _, is := v.(ref.Val); !is {
			t.Errorf("%q gives %T", document, v)
		}
	})
}
