package guard

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// told is a policy's steps, one a line.
func told(steps []exchange.Step) string {
	var out []string
	for _, s := range steps {
		out = append(out, strings.Join(strings.Fields(s.Part+" "+s.Name+" "+s.Policy), " ")+": "+strings.TrimSpace(s.Outcome+" "+s.Code))
	}
	return strings.Join(out, "\n")
}

func TestSteps(t *testing.T) {
	s := newStage(t)
	rules := &table.Auth{
		Sources: []table.Source{{Policy: "AuthPolicy shop/a"}, {Policy: "AuthPolicy infra/b", When: []string{"request.path.startsWith('/x')"}}},
		Methods: []table.AuthMethod{s.apiKey("keys"), s.basic("people"), s.jwt("staff")},
		Require: "keys || people",
		Rules: []table.AuthRule{
			{Name: "first", CEL: "true"},
			{Name: "other", Source: 1, CEL: "false"},
			{Name: "posts", When: []string{"request.method == 'POST'"}, CEL: "false"},
			{Name: "reads", CEL: "request.path != '/no'"},
			{Name: "then", CEL: "true"},
		},
	}
	p := s.build(t, rules)
	is := func(want string, lines ...string) {
		t.Helper()
		x := request(lines...)
		if steps, _ := p.Explain(x); told(steps) != strings.TrimSpace(want) {
			t.Errorf("%v explained:\n%s\nwant:%s", lines, told(steps), want)
		}
		if p.Check(x) != (x.Trace.Steps == nil) || x.Trace.Steps != nil && told(x.Trace.Steps) != strings.TrimSpace(want) {
			t.Errorf("%v checked:\n%s\nwant:%s", lines, told(x.Trace.Steps), want)
		}
	}
	is(`
policy AuthPolicy shop/a: applies
policy AuthPolicy infra/b: does not apply
method keys AuthPolicy shop/a: rejected api_key_unknown
method people AuthPolicy shop/a: rejected basic_invalid
method staff AuthPolicy shop/a: not tried
requirement keys || people: not met api_key_unknown
rule first AuthPolicy shop/a: not tried
rule other AuthPolicy infra/b: not tried
rule posts AuthPolicy shop/a: not tried
rule reads AuthPolicy shop/a: not tried
rule then AuthPolicy shop/a: not tried`, "GET /", wrongKey, wrongAnn)
	is(`
policy AuthPolicy shop/a: applies
policy AuthPolicy infra/b: does not apply
method keys AuthPolicy shop/a: no credential
method people AuthPolicy shop/a: accepted
method staff AuthPolicy shop/a: not tried
requirement keys || people: met
rule first AuthPolicy shop/a: allowed
rule other AuthPolicy infra/b: does not apply
rule posts AuthPolicy shop/a: does not apply
rule reads AuthPolicy shop/a: denied forbidden_by_rule
rule then AuthPolicy shop/a: not tried`, "GET /no", annBasic)
	is(`
policy AuthPolicy shop/a: applies
policy AuthPolicy infra/b: does not apply
method keys AuthPolicy shop/a: accepted
method people AuthPolicy shop/a: not tried
method staff AuthPolicy shop/a: not tried
requirement keys || people: met
rule first AuthPolicy shop/a: allowed
rule other AuthPolicy infra/b: does not apply
rule posts AuthPolicy shop/a: does not apply
rule reads AuthPolicy shop/a: allowed
rule then AuthPolicy shop/a: allowed`, "GET /", goodKey)
}

// The cause of what failed names what the policy says, and nothing of the request's.
func TestStepsTellCauses(t *testing.T) {
	s := newStage(t)
	is := func(want string, a *table.Auth) {
		t.Helper()
		var got []string
		x := request("GET /?twice=1&twice=2", "x-secret: planted", goodKey)
		allowed := s.build(t, a).Check(x)
		for _, s := range x.Trace.Steps {
			if s.Cause != "" {
				if s.When != "" {
					s.Cause = "when " + s.When + ": " + s.Cause
				}
				got = append(got, s.Part+" "+s.Name+": "+s.Cause)
			}
		}
		if text := strings.Join(got, "\n"); allowed || text != want || strings.Contains(text, "planted") {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
	}
	rule := func(cel string) *table.Auth { return &table.Auth{Rules: []table.AuthRule{{Name: "r", CEL: cel}}} }
	is("rule r: no such key: scope", rule("auth.claims.scope == 'x'"))
	is("rule r: no such key: x-none", rule("request.headers['x-none'] == 'x'"))
	is("rule r: no such key", rule("auth.claims[request.headers['x-secret']] == 'x'"))
	is("rule r: type conversion error: a value cannot be converted as the expression asks", rule("int(request.headers['x-secret']) == 1"))
	is("rule r: a value of the request is not what the expression takes", rule("timestamp(request.headers['x-secret']) < context.now"))
	is("rule r: query parameter is there more than once", rule("request.query.twice == '1'"))
	is("rule r: division by zero", rule("1 / (size(request.method) - 3) == 1"))
	is("rule r: index out of bounds", rule("request.path.split('/')[size(request.path) + 6] == ''"))
	is("rule r: when request.path == '/' && auth.claims.none == 'x': no such key: none",
		&table.Auth{Rules: []table.AuthRule{{Name: "r", When: []string{"true", "request.path == '/' &&\n auth.claims.none == 'x'"}, CEL: "true"}}})
	is("policy : when auth.claims.none == 'x': no such key: none", &table.Auth{Sources: []table.Source{{When: []string{"auth.claims.none == 'x'"}}}})
	keys := s.apiKey("keys")
	keys.When = []string{"request.headers['x-none'] == 'x'"}
	is("method keys: when request.headers['x-none'] == 'x': no such key: x-none", &table.Auth{Methods: []table.AuthMethod{keys}})
	is("header x-a: division by zero", &table.Auth{Headers: []table.HeaderExpr{{Name: "X-A", CEL: "string(1 / size(auth.subject))"}}})
	rego := func(policy string) *table.Auth {
		return &table.Auth{Rules: []table.AuthRule{{Name: "r", OPA: &table.OPA{Policy: "package shop\n" + policy}}}}
	}
	is("rule r: 2:10: eval_builtin_error: to_number", rego(`allow if to_number(input.request.headers["x-secret"]) == 1`))
	is("rule r: the rule comes to something that is neither true, false, nor an object of which allow is one of them", rego(`allow := "yes"`))
	is("rule r: a query parameter is there more than once", rego(`allow if input.request.query.twice == "1"`))
}

// What would have passed is what is missing yet of what is asked for.
func TestStepsNeed(t *testing.T) {
	s := newStage(t)
	p := s.build(t, &table.Auth{
		Methods: []table.AuthMethod{s.apiKey("keys"), s.basic("people"), s.jwt("staff"), s.jwt("unused")},
		Require: "(keys || people) && staff",
		Rules:   []table.AuthRule{{Name: "reads", CEL: "request.path != '/no'"}},
	})
	is := func(want string, lines ...string) {
		t.Helper()
		var got []string
		steps, _ := p.Explain(request(lines...))
		for _, s := range steps {
			if s.Needs != "" {
				got = append(got, s.Name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %v, want %s", lines, got, want)
		}
	}
	bearer := "Authorization: Bearer " + s.token(t, noClaims)
	is("keys people staff reads", "GET /")
	is("people staff reads", "GET /", goodKey)
	is("", "GET /", goodKey, bearer)
	is("reads", "GET /no", goodKey, bearer)
}

func TestStepsOfFaults(t *testing.T) {
	s := newStage(t)
	is := func(want string, a *table.Auth, lines ...string) {
		t.Helper()
		x := request(lines...)
		if s.build(t, a).Check(x) || told(x.Trace.Steps) != strings.TrimSpace(want) {
			t.Errorf("%v:\n%s\nwant:%s", lines, told(x.Trace.Steps), want)
		}
	}
	source := []table.Source{{Policy: "AuthPolicy shop/a"}}
	is(`
policy AuthPolicy shop/a: broken policy_closed`, &table.Auth{Sources: source, Closed: &table.Reply{Status: 500}}, "GET /")
	is(`
policy AuthPolicy shop/a: failed rule_error
policy AuthPolicy shop/b: not tried
method keys AuthPolicy shop/a: not tried
requirement keys: not tried`, &table.Auth{Sources: []table.Source{{Policy: "AuthPolicy shop/a", When: []string{"auth.claims.none == 'x'"}}, {Policy: "AuthPolicy shop/b"}}, Methods: []table.AuthMethod{s.apiKey("keys")}}, "GET /")
	is(`
policy AuthPolicy shop/a: applies
method keys AuthPolicy shop/a: unavailable auth_unavailable
requirement keys: unavailable auth_unavailable`, &table.Auth{Sources: source, Methods: []table.AuthMethod{{Name: "keys", APIKeys: s.keys, Unavailable: "the Secret is gone"}}}, "GET /", goodKey)
	is(`
policy AuthPolicy shop/a: applies
rule bad AuthPolicy shop/a: failed rule_error`, &table.Auth{Sources: source, Rules: []table.AuthRule{{Name: "bad", CEL: "auth.claims.none == 'x'"}}}, "GET /")
	is(`
policy AuthPolicy shop/a: applies
header x-a AuthPolicy shop/a: failed identity_header_unusable`, &table.Auth{Sources: source, Headers: []table.HeaderExpr{{Name: "X-A", CEL: "string(1 / size(auth.subject))"}}}, "GET /")
}

func TestAssuming(t *testing.T) {
	s := newStage(t)
	p := s.build(t, &table.Auth{Methods: []table.AuthMethod{s.jwt("staff")}, Rules: []table.AuthRule{{Name: "writers", CEL: "auth.claims.scope == 'write'"}}})
	is := func(want string, claims map[string]any) {
		t.Helper()
		if got := outcome(p.Assuming(claims), request("GET /", "authorization: Bearer rubbish")); got != want {
			t.Errorf("%v: %s, want %s", claims, got, want)
		}
	}
	is(`401 jwt_malformed | Bearer realm="gatehouse", error="invalid_token"`, nil)
	is("staff ann", map[string]any{"iss": "https://issuer", "sub": "ann", "scope": "write"})
	is("403 forbidden_by_rule", map[string]any{"iss": "https://issuer", "sub": "ann", "scope": "read"})
	is(`401 jwt_issuer_invalid | Bearer realm="gatehouse", error="invalid_token"`, map[string]any{"iss": "https://else", "scope": "write"})
	is(`401 jwt_expired | Bearer realm="gatehouse", error="invalid_token"`, map[string]any{"iss": "https://issuer", "exp": 1.0})
	is(`401 jwt_malformed | Bearer realm="gatehouse", error="invalid_token"`, map[string]any{"iss": 7.0})
}
