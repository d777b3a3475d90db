package expr

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// differ says how an expression's answers to x differ, given directly and by the
// library; "" if they do not.
func differ(p *Program, kind Kind, x *exchange.Exchange) string {
	run := func(p *Program) (string, bool, error) {
		if kind == Bool {
			v, err := p.Bool(x)
			return fmt.Sprint(v), err == nil, err
		}
		return p.Field(x)
	}
	slow := *p
	slow.test, slow.read = nil, nil
	text, ok, err := run(p)
	wantText, wantOK, wantErr := run(&slow)
	if text != wantText || ok != wantOK || fmt.Sprint(err) != fmt.Sprint(wantErr) {
		return fmt.Sprintf("%q, %v, %v; the library has %q, %v, %v", text, ok, err, wantText, wantOK, wantErr)
	}
	return ""
}

// dice writes expressions and requests.
type dice struct{ *rand.Rand }

func (d dice) one(of ...string) string { return of[d.IntN(len(of))] }

func (d dice) text() string {
	return d.one("'GET'", "'acme'", "'orders.read'", "''", "'a'", "' '", "'/v1'", "request.method", "request.path", "request.host", "request.scheme",
		"request.headers['x-tenant']", "request.headers.accept", "request.headers.nope", "request.query.limit", "request.query.two",
		"request.query['a b']", "auth.method", "auth.subject", "auth.claims.scope", "auth.claims.tenant", "auth.claims['level']", "auth.claims.address.country",
		"auth.claims.nope.deeper", "auth.claims.none", "auth.metadata.tier", "auth.metadata.nope", "route.name", "route.rule", "route.listener", "source.address",
		"string(source.port)", "(true ? auth.claims.tenant : 'x')")
}

func (d dice) number() string { return d.one("3", "0", "-1", "3.0", "2.5", "3u", "9007199254740993") }

func (d dice) container() string {
	return d.one("['GET', 'acme', 'a']", "[]", "['a', request.method]", "auth.claims.groups", "auth.claims.scope.split(' ')", "auth.claims.nope.split(' ')",
		"request.path.split('/')", "request.path.split('')", "request.headers", "request.query", "auth.claims", "auth.claims.address", "auth.claims.nope", "auth.claims.level", "auth.metadata")
}

func (d dice) claim() string {
	return d.one("auth.claims.level", "auth.claims.admin", "auth.claims.scope", "auth.claims.none", "auth.claims.nope", "auth.claims.groups", "auth.claims.address.zip", "auth.claims['tenant']")
}

func (d dice) condition(depth int) string {
	if depth > 0 && d.IntN(3) > 0 {
		a, b := d.condition(depth-1), d.condition(depth-1)
		switch d.IntN(7) {
		case 0, 1:
			return "(" + a + " && " + b + ")"
		case 2, 3:
			return "(" + a + " || " + b + ")"
		case 4:
			return "!(" + a + ")"
		case 5:
			return "(" + a + " ? " + b + " : " + d.condition(depth-1) + ")"
		}
		return "[1].exists(i, " + a + " && i == 1)"
	}
	switch d.IntN(10) {
	case 0, 1:
		return d.text() + d.one(" == ", " != ") + d.text()
	case 2:
		return d.text() + d.one(".startsWith(", ".endsWith(", ".contains(", ".matches(") + d.text() + ")"
	case 3:
		return d.text() + " in " + d.container()
	case 4:
		return "has(" + d.one("request.headers.accept", "request.headers.nope", "request.query.limit", "request.query.two", "request.query.nope", "auth.claims.scope",
			"auth.claims.nope", "auth.claims.nope.deeper", "auth.claims.address.country", "auth.claims.level.deeper", "auth.metadata.tier", "auth.metadata.nope") + ")"
	case 5:
		return d.claim() + d.one(" == ", " != ", " < ", " <= ", " > ", " >= ") + d.number()
	case 6:
		return d.number() + d.one(" == ", " != ", " < ", " <= ", " > ", " >= ") + d.claim()
	case 7:
		return d.claim() + d.one(" == ", " != ") + d.one("true", "false", "null", "'a'", "auth.claims.admin", "auth.claims['tenant']")
	case 8:
		return d.claim()
	}
	return d.one("true", "false", "request.method == 'GET'")
}

func (d dice) value(depth int) any {
	switch d.IntN(9) {
	case 0:
		return nil
	case 1:
		return d.IntN(2) == 0
	case 2:
		return []float64{-1, 0, 2.5, 3, 4, 1 << 53, 1e300}[d.IntN(7)]
	case 3:
		return []string{"a", "acme"}[:d.IntN(3)]
	case 4:
		if depth > 0 {
			list := []any{}
			for range d.IntN(3) {
				list = append(list, d.value(depth-1))
			}
			return list
		}
	case 5:
		if depth > 0 {
			return map[string]any{"country": d.value(depth - 1), "a": 1.0}
		}
	case 6:
		return int64(3)
	}
	return d.one("a", "acme", "GET", "", "orders.read orders.write", "a a", "IT")
}

func (d dice) request() *exchange.Exchange {
	x := request()
	x.Request.Method = d.one("GET", "POST")
	x.Request.Path = d.one("/v1/orders", "/", "/a")
	x.Request.RawQuery = d.one("", "limit=10&a%20b=GET&two=1&two=2", "two=a&limit=&limit=a", "limit=%41cme")
	if d.IntN(3) == 0 {
		x.Request.Header = exchange.Header{{Name: "x-tenant", Value: d.one("acme", "a", "")}}
	}
	if d.IntN(8) == 0 {
		x.Principal = exchange.Principal{}
		return x
	}
	x.Principal.Claims = map[string]any{}
	for _, name := range []string{"scope", "tenant", "level", "address", "none", "groups", "admin"} {
		if d.IntN(4) > 0 {
			x.Principal.Claims[name] = d.value(2)
		}
	}
	switch d.IntN(3) {
	case 0:
		x.Principal.Claims["metadata"] = map[string]string{"tier": d.one("gold", "acme", "a")}
	case 1:
		x.Principal.Claims["metadata"] = map[string]any{"tier": d.value(1)}
	}
	return x
}

// What is answered directly is what the library answers, errors included.
func TestDirectIsTheLibrary(t *testing.T) {
	e, d := env(t), dice{rand.New(rand.NewPCG(1, 2))}
	direct, sure := 0, 0
	for range 1200 {
		text, kind := d.condition(3), Bool
		if d.IntN(5) == 0 {
			text, kind = d.text(), String
		}
		p, err := e.Compile(text, kind)
		if err != nil {
			continue // types that can never fit
		}
		for range 8 {
			x := d.request()
			if how := differ(p, kind, x); how != "" {
				t.Fatalf("%s\nfor claims %v: %s", text, x.Principal.Claims, how)
			}
			if p.test != nil {
				direct++
				if _, is := p.test(x); is {
					sure++
				}
			}
		}
	}
	if direct < 2000 || sure < direct/4 {
		t.Errorf("%d runs of conditions that can be answered directly, %d were: the test tests little", direct, sure)
	}
}

func FuzzDirect(f *testing.F) {
	e := env(f)
	f.Add("request.headers['x-tenant'] == 'acme' && request.method == 'GET'", "acme", "/v1?two=1&two=2", `{"groups":["a","b"]}`)
	f.Add("'a' in auth.claims.groups || auth.claims.level >= 3", "", "/", `{"level":2.5}`)
	f.Add("'orders.read' in auth.claims.scope.split(' ') && !has(auth.claims.nope)", "", "/", `{"scope":"a orders.read"}`)
	f.Add("auth.claims.a.b ? request.path.startsWith(auth.claims.c) : request.query.x != ''", "a", "/a?x=%31", `{"a":{"b":true},"c":null}`)
	f.Fuzz(func(t *testing.T, text, header, target, claims string) {
		for _, kind := range []Kind{Bool, String} {
			p, err := e.Compile(text, kind)
			if err != nil || strings.Contains(text, "context.now") { // a cost limit is met by the library alone
				continue
			}
			x := request()
			x.Request.Header[0].Value = header
			x.Request.Path, x.Request.RawQuery, _ = strings.Cut(target, "?")
			x.Principal.Claims = nil
			if json.Unmarshal([]byte(claims), &x.Principal.Claims) != nil {
				return
			}
			if how := differ(p, kind, x); how != "" {
				t.Errorf("%s: %s", text, how)
			}
		}
	})
}
