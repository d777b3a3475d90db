package opa

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// parts are those of the input that cost something to make, and the path, and
// whether a policy reads them.
type parts struct{ path, headers, query, claims bool }

// read finds out which parts of the input a policy reads.
func read(module *ast.Module) (p parts) {
	var look func(t *ast.Term) bool
	look = func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Var:
			if v == "input" {
				p.take("", "")
			}
		case ast.Ref:
			if len(v) == 0 || v[0].Value != ast.Value(ast.Var("input")) {
				return false
			}
			p.take(static(v, 1), static(v, 2))
			for _, inner := range v[1:] {
				ast.WalkTerms(inner, look)
			}
			return true
		}
		return false
	}
	ast.WalkTerms(module, look)
	return p
}

// static is a ref's member of this number where that does not depend on the
// request; else empty.
func static(r ast.Ref, i int) string {
	if i < len(r) {
		if s, is := r[i].Value.(ast.String); is {
			return string(s)
		}
	}
	return ""
}

// take notes that input.first.second is read; an empty name is any.
func (p *parts) take(first, second string) {
	is := func(a, b string) bool {
		return (first == "" || first == a) && (first == "" || second == "" || second == b)
	}
	p.path = p.path || is("request", "path")
	p.headers = p.headers || is("request", "headers")
	p.query = p.query || is("request", "query")
	p.claims = p.claims || is("auth", "claims") || is("auth", "metadata")
}

// input is the request as policies see it, by the names that expressions have for
// it. It is false where a parameter of the query is repeated: the policy and the
// backend might go by different ones.
func (p *parts) input(x *exchange.Exchange) (*ast.Term, bool) {
	q := &x.Request
	request := []([2]*ast.Term){
		text("method", q.Method), text("scheme", q.Scheme), text("host", q.Host), text("path", q.Path),
	}
	if p.headers {
		request = append(request, item("headers", headers(q.Header)))
	}
	if p.query {
		parameters, ok := parameters(x)
		if !ok {
			return nil, false
		}
		request = append(request, item("query", parameters))
	}
	caller := []([2]*ast.Term){text("method", x.Principal.Method), text("subject", x.Principal.Subject)}
	if p.claims {
		claims := map[string]any{}
		if x.Principal.Claims != nil {
			claims = x.Principal.Claims
		}
		v, err := ast.InterfaceToValue(claims)
		if err != nil {
			return nil, false
		}
		caller = append(caller, item("claims", v))
		m, is := claims["metadata"]
		if !is {
			m = map[string]any{}
		}
		if v, err = ast.InterfaceToValue(m); err != nil {
			return nil, false
		}
		caller = append(caller, item("metadata", v))
	}
	port := 0
	if x.Conn != nil {
		port = int(x.Conn.Peer.Port())
	}
	source := ast.NewObject(text("address", q.ClientIP.Unmap().String()), [2]*ast.Term{ast.InternedTerm("port"), ast.InternedTerm(port)})
	route := ast.NewObject(text("name", x.Trace.Route), text("rule", x.Trace.Rule), text("listener", x.Trace.Listener))
	return ast.NewTerm(ast.NewObject(
		item("request", ast.NewObject(request...)), item("source", source), item("auth", ast.NewObject(caller...)), item("route", route),
	)), true
}

func item(name string, v ast.Value) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(name), ast.NewTerm(v)}
}

func text(name, value string) [2]*ast.Term {
	return [2]*ast.Term{ast.InternedTerm(name), ast.StringTerm(strings.Clone(value))}
}

// headers has the fields by name in lower case; repeated ones are one, joined with
// ", " (RFC 9110, section 5.3).
func headers(h exchange.Header) ast.Value {
	all := make(map[string]string, len(h))
	for i := range h {
		if h[i].Name == "" {
			continue
		}
		name := strings.ToLower(h[i].Name)
		if before, there := all[name]; there {
			all[name] = before + ", " + h[i].Value
		} else {
			all[name] = strings.Clone(h[i].Value)
		}
	}
	return object(all)
}

// parameters has the decoded parameters of the query; false if one is repeated.
func parameters(x *exchange.Exchange) (ast.Value, bool) {
	all := map[string]string{}
	for rest := x.Request.RawQuery; rest != ""; {
		var key, value string
		key, value, rest = exchange.CutParameter(rest)
		name := strings.Clone(x.DecodeParameter(key))
		if _, twice := all[name]; twice {
			return nil, false
		}
		all[name] = strings.Clone(x.DecodeParameter(value))
	}
	return object(all), true
}

func object(all map[string]string) ast.Value {
	out := make([][2]*ast.Term, 0, len(all))
	for name, value := range all {
		out = append(out, [2]*ast.Term{ast.StringTerm(name), ast.StringTerm(value)})
	}
	return ast.NewObject(out...)
}
