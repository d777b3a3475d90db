package opa

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request() *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{Peer: netip.MustParseAddrPort("198.51.100.7:4000")}}
	x.Request = exchange.Request{
		Method: "GET", Scheme: "https", Authority: "a.example", Host: "a.example", Path: "/orders/5", RawQuery: "page=2&q=a%20b", ClientIP: netip.MustParseAddr("192.0.2.1"),
	}
	x.Request.Header.Add("X-Team", "ops")
	x.Request.Header.Add("x-team", "dev")
	x.Principal = exchange.Principal{Method: "staff", Subject: "ann", Claims: map[string]any{"groups": []any{"ops"}, "level": 5.0, "metadata": map[string]string{"tier": "gold"}}}
	x.Trace.Route, x.Trace.Rule, x.Trace.Listener = "HTTPRoute shop/orders", "read", "shop/edge/http"
	return x
}

// module is a policy with these lines.
func module(lines ...string) string { return "package shop\n\n" + strings.Join(lines, "\n") + "\n" }

func compile(t testing.TB, c table.OPA) *Policy {
	t.Helper()
	p, err := Compile(&c)
	if err != nil {
		t.Fatalf("%s: %v", c.Policy, err)
	}
	return p
}

// The input is the request, by the names that expressions have for it.
func TestInput(t *testing.T) {
	for _, condition := range []string{
		`input.request.method == "GET"`, `input.request.scheme == "https"`, `input.request.host == "a.example"`, `input.request.path == "/orders/5"`,
		`input.request.headers["x-team"] == "ops, dev"`, `input.request.query.page == "2"`, `input.request.query.q == "a b"`, `input.request["query"].page == "2"`,
		`input.source.address == "192.0.2.1"`, `input.source.port == 4000`,
		`input.auth.method == "staff"`, `input.auth.subject == "ann"`, `"ops" in input.auth.claims.groups`, `input.auth.claims.level > 4`, `input.auth.metadata.tier == "gold"`,
		`input.route.name == "HTTPRoute shop/orders"`, `input.route.rule == "read"`, `input.route.listener == "shop/edge/http"`,
		`some part in ["headers", "query"]; input.request[part]["page"] == "2"`, `object.get(input, ["request", "query", "page"], "") == "2"`,
		`some name; input[name].claims.level == 5`, `x := input; x.request.headers["x-team"] == "ops, dev"`, `input == input`,
		`not input.request.headers["x-none"]`, `count(input.request.headers) == 1`, `startswith(input.request.path, "/orders/")`,
		`time.now_ns() > 0`, `input.request.path == sprintf("/orders/%d", [input.auth.claims.level])`,
	} {
		p := compile(t, table.OPA{Policy: module("allow if { " + condition + " }")})
		if r := p.Authorize(request()); r.Outcome != auth.Accepted {
			t.Errorf("%s: %+v", condition, r)
		}
	}
	p := compile(t, table.OPA{Policy: "package shop\nimport input.request as q\nallow if q.headers[\"x-team\"]"})
	if r := p.Authorize(request()); r.Outcome != auth.Accepted {
		t.Errorf("an import: %+v", r)
	}
	// What costs something is made for those alone who read it.
	for condition, want := range map[string]parts{
		`input.request.path == "/"`:                    {path: true},
		`input.request.headers.a`:                      {headers: true},
		`input.auth.claims.a == input.request.query.b`: {query: true, claims: true},
		`input.auth.metadata.a`:                        {claims: true},
		`input.request`:                                {path: true, headers: true, query: true},
		`input.request.headers[input.auth.claims.a]`:   {headers: true, claims: true},
		`walk(input, [_, "x"])`:                        {path: true, headers: true, query: true, claims: true},
	} {
		if p := compile(t, table.OPA{Policy: module("allow if " + condition)}); p.reads != want {
			t.Errorf("%s: %+v", condition, p.reads)
		}
	}
}

func TestDecisions(t *testing.T) {
	for policy, want := range map[string]string{
		"allow := true":                                               "ok",
		"default allow := false":                                      auth.CodeRego,
		"allow if input.request.method == \"POST\"":                   auth.CodeRego, // undefined
		"allow := {\"allow\": true}":                                  "ok",
		"allow := {\"allow\": false}":                                 auth.CodeRego,
		"allow := {\"allow\": \"yes\"}":                               auth.CodeRuleError,
		"allow := {\"reason\": \"x\"}":                                auth.CodeRuleError,
		"allow := \"true\"":                                           auth.CodeRuleError,
		"allow := 1":                                                  auth.CodeRuleError,
		"allow contains \"x\"":                                        auth.CodeRuleError,
		"allow if not to_number(input.request.path)":                  auth.CodeRuleError, // a failing function is no false
		"allow if { 1 / 0 }":                                          "",                 // found when it is compiled, or else an error
		"allow := false if true\nallow := true if input.request.path": auth.CodeRuleError,
		"allow if { some i in numbers.range(1, 100000000); i < 0 }":   auth.CodeRegoTime,
		"allow if count([x | some i, j in numbers.range(1, 100000); x := i * j]) == 0": auth.CodeRegoTime,
	} {
		p, err := Compile(&table.OPA{Policy: module(policy)})
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", policy, err)
			}
			continue
		}
		start := time.Now()
		r := p.Authorize(request())
		got := r.Code
		if r.Outcome == auth.Accepted {
			got = "ok"
		}
		if got != want && (want != "" || got != auth.CodeRuleError) {
			t.Errorf("%s: %q, want %q", policy, got, want)
		}
		if d := time.Since(start); d > 2*lastTime {
			t.Errorf("%s took %v", policy, d)
		}
	}
	p := compile(t, table.OPA{Policy: module(`verdict := {"allow": false, "reason": sprintf("no orders\nfor %s", [input.auth.subject])}`), Query: "data.shop.verdict"})
	if r := p.Authorize(request()); r.Code != auth.CodeRego || r.Answer.Detail != "no orders for ann" {
		t.Errorf("%+v", r)
	}
	p = compile(t, table.OPA{Policy: module(`allow := {"allow": false, "reason": "` + strings.Repeat("xä", maxReason) + `"}`)})
	if r := p.Authorize(request()); r.Answer == nil || len(r.Answer.Detail) > maxReason {
		t.Errorf("%+v", r.Answer)
	}
}

// A repeated parameter fails the policies that read the query, and no others.
func TestRepeatedParameter(t *testing.T) {
	x := request()
	x.Request.RawQuery = "a=1&%61=2"
	if r := compile(t, table.OPA{Policy: module(`allow if not input.request.query.a == "3"`)}).Authorize(x); r.Code != auth.CodeRuleError {
		t.Errorf("%+v", r)
	}
	if r := compile(t, table.OPA{Policy: module(`allow if input.request.path`)}).Authorize(x); r.Outcome != auth.Accepted {
		t.Errorf("%+v", r)
	}
}

func TestData(t *testing.T) {
	c := table.OPA{Policy: module(`allow if input.auth.subject in data.teams.ops`), Data: []byte(`{"teams":{"ops":["ann","bob"]}}`)}
	p := compile(t, c)
	if r := p.Authorize(request()); r.Outcome != auth.Accepted {
		t.Errorf("%+v", r)
	}
	x := request()
	x.Principal.Subject = "eve"
	if r := p.Authorize(x); r.Code != auth.CodeRego {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{`[]`, `null`, `{`, `1`, `{"shop":{"allow":true}}`} {
		c.Data = []byte(bad)
		if _, err := Compile(&c); err == nil {
			t.Errorf("data %s is taken", bad)
		}
	}
}

func TestFaults(t *testing.T) {
	for policy, want := range map[string]string{
		"":                               "the policy is empty; it begins",
		"# nothing":                      "the policy is empty; it begins",
		"allow := true":                  "1:1: package expected",
		"package shop\n":                 "the policy has no rule data.shop.allow",
		module("allow if {"):             "4:0: unexpected eof",
		module("allow if x == 1"):        "3:10: var x is unsafe",
		module("allow { true }"):         "3:1: `if` keyword is required before rule body",
		module("allow if nothing.at(1)"): "3:10: undefined function nothing.at",
		module(`allow if http.send({"method": "get", "url": "http://a"}).status_code == 200`): "3:10: http.send is refused",
		module(`allow if net.lookup_ip_addr("a")`):                                            "3:10: net.lookup_ip_addr is refused",
		module(`allow if opa.runtime().env.PATH`):                                             "3:10: opa.runtime is refused",
		module(`allow if json.match_schema({}, {"$ref": "file:///etc/passwd"})[0]`):           "json.match_schema is refused",
		module(`allow if rego.parse_module("p", input.request.path)`):                         "rego.parse_module is refused",
		module(`allow if json.verify_schema({"$ref": "http://a"})[0]`):                        "json.verify_schema is refused",
		module("f(x) := f(x)", "allow if f(1)"):                                               "recursive",
		module("allow if 1 == \"a\""):                                                         "match error",
		"package a\nimport data.b\n" + strings.Repeat("# x\n", 100_000):                       "use at most",
		module("allow if {" + strings.Repeat("[", 200_000) + "}"):                             "",
	} {
		_, err := Compile(&table.OPA{Policy: policy})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", policy, err, want)
		}
	}
	for _, query := range []string{"allow", "data.shop.none", "input.x", "data.shop[x]", "data.other.allow", "data", "data.shop", "x y"} {
		if _, err := Compile(&table.OPA{Policy: module("allow := true"), Query: query}); err == nil {
			t.Errorf("query %s is taken", query)
		}
	}
}

// One policy serves all requests at once.
func TestConcurrent(t *testing.T) {
	p := compile(t, table.OPA{Policy: module(`allow if input.request.path in data.paths`), Data: []byte(`{"paths":["/even"]}`)})
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			for i := range 200 {
				x := request()
				x.Request.Path = map[bool]string{true: "/even", false: fmt.Sprint("/", i)}[(g+i)%2 == 0]
				if r := p.Authorize(x); (r.Outcome == auth.Accepted) != ((g+i)%2 == 0) {
					t.Errorf("%s: %+v", x.Request.Path, r)
				}
			}
		})
	}
	running.Wait()
}

const usual = `package shop

default allow := false

allow if {
	input.request.method == "GET"
	startswith(input.request.path, "/orders/")
	"ops" in input.auth.claims.groups
}

allow if input.auth.subject in data.admins
`

// TestBudget: what an evaluation allocates is known, and does not grow unseen.
func TestBudget(t *testing.T) {
	p, x := compile(t, table.OPA{Policy: usual, Data: []byte(`{"admins":["eve"]}`)}), request()
	const budget = 200
	if n := testing.AllocsPerRun(100, func() { p.Authorize(x) }); n > budget {
		t.Errorf("%v allocations, budget %d", n, budget)
	}
}

func BenchmarkMethod(b *testing.B) {
	p, x := compile(b, table.OPA{Policy: usual, Data: []byte(`{"admins":["eve"]}`)}), request()
	b.Run("rules/opa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r := p.Authorize(x); r.Outcome != auth.Accepted {
				b.Fatal("refused")
			}
		}
	})
}

// Evaluations that take long do so in turn, and keep no others waiting.
func TestTurns(t *testing.T) {
	p := compile(t, table.OPA{Policy: module(
		`allow if input.request.method == "GET"`,
		`allow if { input.request.method == "POST"; some x in numbers.range(1, 1000); some y in numbers.range(1, 1000); x + y < 0 }`,
	)})
	post := request()
	post.Request.Method = "POST"
	for range cap(p.turns) {
		p.turns <- struct{}{} // as many as may are at it
	}
	if r := p.Authorize(request()); r.Outcome != auth.Accepted {
		t.Errorf("one that takes no time: %+v", r)
	}
	done := make(chan auth.Result)
	go func() { done <- p.Authorize(post) }()
	select {
	case r := <-done:
		t.Fatalf("one more is done: %+v", r)
	case <-time.After(3 * maxTime):
	}
	<-p.turns
	if r := <-done; r.Code != auth.CodeRegoTime {
		t.Errorf("%+v", r)
	}
	p.turns <- struct{}{} // it has given its turn back
	begun := time.Now()
	if r := p.Authorize(post); r.Code != auth.CodeRegoTime || time.Since(begun) < lastTime {
		t.Errorf("one whose turn does not come: %+v after %v", r, time.Since(begun))
	}
	if len(p.turns) != cap(p.turns) {
		t.Errorf("%d turns are taken", len(p.turns))
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(&table.OPA{Policy: usual}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzCompile: no policy panics, when it is compiled or evaluated, or takes much
// longer than its time.
func FuzzCompile(f *testing.F) {
	f.Add(usual)
	f.Add(module(`allow if http.send({})`))
	f.Add(module(`allow := {"allow": false, "reason": "x"}`))
	f.Add(module(`allow if { some i in numbers.range(1, 1000000000); i < 0 }`))
	f.Fuzz(func(t *testing.T, policy string) {
		p, err := Compile(&table.OPA{Policy: policy})
		if err != nil {
			return
		}
		start := time.Now()
		p.Authorize(request())
		if d := time.Since(start); d > 2*lastTime {
			t.Fatalf("%v", d)
		}
	})
}

// A policy allows a path only if it does so for what backends may read it as.
func TestVeiledPath(t *testing.T) {
	for policy, want := range map[string]auth.Outcome{
		`allow if not startswith(input.request.path, "/admin")`:          auth.Rejected,
		`allow if startswith(input.request.path, "/admin")`:              auth.Rejected,
		`allow if { some k; startswith(input[k].path, "//") }`:           auth.Rejected,
		`allow if not startswith(input.request.path, "/administrators")`: auth.Accepted,
		`allow if input.request.method == "GET"`:                         auth.Accepted,
	} {
		x := request()
		x.Request.Path, x.Request.Unveiled = "//admin", "/admin"
		if r := compile(t, table.OPA{Policy: module(policy)}).Authorize(x); r.Outcome != want || x.Request.Path != "//admin" {
			t.Errorf("%s: %+v; the path is %s then", policy, r, x.Request.Path)
		}
		x.Request.Unveiled, x.Request.Unscripted = "", "/admin"
		if r := compile(t, table.OPA{Policy: module(policy)}).Authorize(x); r.Outcome != want {
			t.Errorf("%s, by a script: %+v", policy, r)
		}
	}
	x := request()
	x.Request.Path, x.Request.Unscripted = "/index.php/admin", "/admin"
	const allow = `allow if not startswith(input.request.path, "/admin")`
	if r := compile(t, table.OPA{Policy: module(allow), Data: []byte(`{"paths": ["/index.php/a"]}`)}).Authorize(x); r.Outcome != auth.Accepted {
		t.Errorf("of data that name the script: %+v", r)
	}
}
