package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-dev/gatehouse/controllers/rules"
)

// check evaluates the rules, which the schema names, on an object. Both are YAML.
func check(t *testing.T, all []rules.Rule, schema, object string) (faults []string) {
	t.Helper()
	var s, o map[string]any
	for text, to := range map[string]*map[string]any{schema: &s, object: &o} {
		if err := yaml.Unmarshal([]byte(text), to); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	text, err := json.Marshal(s) // as schemas are read: all numbers are floating
	if err != nil {
		t.Fatal(err)
	}
	s = nil
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, f := range rules.NewSet(all).Check(s, o) {
		faults = append(faults, strings.Join(f.At, "/")+": "+f.Message)
	}
	return faults
}

// one is a schema whose field spec is of a kind and has the first rule.
func one(of string) string {
	return "{properties: {spec: {" + of + ", x-kubernetes-validations: [0]}}}"
}

func TestRules(t *testing.T) {
	const object = "properties: {a: {type: integer}, b: {type: string}, n: {type: number}, namespace: {type: string}, x-y.z/w__v: {type: string}}"
	const text, texts = "type: string", "type: array, items: {type: string}"
	for _, tc := range []struct{ rule, of, value, fault string }{
		{"self.a > 3", object, "{a: 4}", ""},
		{"self.a > 3", object, "{a: 3}", "spec: no"},
		{"self.a % 2 == 0", object, "{a: 4.0}", ""},
		{"self.n * 0.5 == 1.0", object, "{n: 2}", ""},
		{"self.b == 'c'", object, "{a: 3}", "spec: no such key: b evaluating rule: no"},
		{"!has(self.b)", object, "{b: null}", "spec: no"},
		{"self.a == 'c'", object, "{a: c}", ""},
		{"self.a.startsWith('c')", object, "{a: 1}", "spec: 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: no"},
		{"self.__namespace__ == 'c'", object, "{namespace: c}", ""},
		{"self.x__dash__y__dot__z__slash__w__underscores__v == 'c'", object, "{x-y.z/w__v: c}", ""},
		{"self['in'] == 'c' && self['a.b'] == 'd'", "additionalProperties: {type: string}", "{in: c, a.b: d}", ""},
		{"self.all(k, self[k].size() > 0)", "additionalProperties: {type: string}", "{in: ''}", "spec: no"},
		{"self == 'a'", text, "null", ""},
		{"self.all(a, self.exists_one(b, a == b))", texts, "[a, b, a]", "spec: no"},
		{"duration(self) <= duration('1h')", text, "61m", "spec: no"},
		{"duration(self) <= duration('1h')", text, "59m59s", ""},
		{"self.matches('^a+$')", text, "ab", "spec: no"},
		{"isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() == 'a.example:8443'", text, "'https://a.example:8443/b?c#d'", ""},
		{"isURL(self)", text, "a.example", "spec: no"},
		{"url(self).getHost() == ''", text, "a.example", `spec: URL parse error during conversion from string: parse "a.example": invalid URI for request evaluating rule: no`},
		{"self.all(a, isIP(a))", texts, `[192.0.2.1, "2001:db8::1"]`, ""},
		{"self.exists(a, isIP(a))", texts, `["::ffff:192.0.2.1", "fe80::1%eth0", 192.0.2.1/32, a]`, "spec: no"},
		{"self.all(a, isCIDR(a))", texts, `[192.0.2.0/24, "2001:db8::/32"]`, ""},
		{"self.exists(a, isCIDR(a))", texts, `["::ffff:192.0.2.0/120", 192.0.2.1, a]`, "spec: no"},
		{"quantity(self).compareTo(quantity('1Mi')) == 0", text, "1024Ki", ""},
		{"quantity(self).isGreaterThan(quantity('0'))", text, "0Mi", "spec: no"},
		{"quantity(self).isGreaterThan(quantity('0'))", text, "much", "spec: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' evaluating rule: no"},
		{"type(self.a) == string ? quantity(self.a).isGreaterThan(quantity('1')) : self.a > 1", "properties: {a: {x-kubernetes-int-or-string: true}}", "{a: 2}", ""},
		{"!format.dns1123Label().validate(self).hasValue()", text, "a-1", ""},
		{"!format.dns1123Label().validate(self).hasValue()", text, "a.b", "spec: no"},
		{"self.lowerAscii().split('/')[0].substring(1) == 'b'", text, "AB/c", ""},
	} {
		faults := check(t, []rules.Rule{{Rule: tc.rule, Message: " no\n"}}, one(tc.of), "{spec: "+tc.value+"}")
		if got := strings.Join(faults, "\n"); got != tc.fault {
			t.Errorf("%s of %s: %q, want %q", tc.rule, tc.value, got, tc.fault)
		}
	}
}

// TestPlaces: every part of an object is checked by its own rules, and a fault says which it is.
func TestPlaces(t *testing.T) {
	all := []rules.Rule{{Rule: "self.size() < 2", Message: "too many"}, {Rule: " !has(self.a) "}}
	const schema = `
x-kubernetes-validations: [1]
properties:
  a: {type: string}
  list: {x-kubernetes-validations: [0], items: {x-kubernetes-validations: [1], properties: {a: {type: string}}}}
  map: {x-kubernetes-validations: [0], additionalProperties: {x-kubernetes-validations: [1, 0], properties: {a: {type: string}, b: {type: string}}}}
`
	got := check(t, all, schema, "{a: b, list: [{}, {a: c}], map: {x: {a: d}, y.z: {a: e, b: f}}, unknown: {a: g}}")
	want := []string{
		": failed rule: !has(self.a)", "list: too many", "list/1: failed rule: !has(self.a)",
		"map: too many", "map/x: failed rule: !has(self.a)", "map/y.z: failed rule: !has(self.a)", "map/y.z: too many",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestCosts: neither one rule nor all of an object's run for ever.
func TestCosts(t *testing.T) {
	all := []rules.Rule{{Rule: "self.contains(self)", Message: "never"}, {Rule: "self == ''", Message: "not empty"}}
	got := check(t, all, "{properties: {spec: {x-kubernetes-validations: [0, 1]}}}", "{spec: "+strings.Repeat("a", 11_000)+"}")
	if want := []string{"spec: 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: never"}; !slices.Equal(got, want) {
		t.Errorf("one rule: %q", got)
	}

	var parts strings.Builder
	for i := range 100 {
		_, _ = fmt.Fprintf(&parts, "p%02d: %s, ", i, strings.Repeat("a", 9_000))
	}
	got = check(t, all, "{additionalProperties: {x-kubernetes-validations: [0]}}", "{"+parts.String()+"}")
	if want := []string{"p12: validation failed due to running out of cost budget, no further validation rules will be run"}; !slices.Equal(got, want) {
		t.Errorf("all rules: %q", got)
	}
}

// TestForget: what was given up is made again.
func TestForget(t *testing.T) {
	s := rules.NewSet([]rules.Rule{{Rule: "self == 'a'"}})
	schema := map[string]any{"properties": map[string]any{"spec": map[string]any{rules.Key: []any{0.0}}}}
	for range 3 {
		if faults := s.Check(schema, map[string]any{"spec": "b"}); len(faults) != 1 {
			t.Errorf("got %v", faults)
		}
		s.Forget()
	}
}

// TestUncompiled: a rule that is none is a fault of whatever has the part.
func TestUncompiled(t *testing.T) {
	got := check(t, []rules.Rule{{Rule: "self.unheardOf()"}}, one("type: string"), "{spec: a}")
	if len(got) != 1 || !strings.HasPrefix(got[0], "spec: rule compile error: ") {
		t.Errorf("got %q", got)
	}
}
