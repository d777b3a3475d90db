package expr

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// readerOf makes a reader of a constant, a variable or a key of one; nil where the
// library has to be asked.
func readerOf(e ast.Expr) reader {
	switch e.Kind() {
	case ast.LiteralKind:
		s, is := e.AsLiteral().(types.String)
		if !is {
			return nil
		}
		return func(*exchange.Exchange) (string, bool) { return string(s), true }
	case ast.IdentKind:
		return variableReader(e.AsIdent())
	}
	if from, name, is := key(e); is && from.Kind() == ast.IdentKind {
		switch from.AsIdent() {
		case "request.headers":
			return func(x *exchange.Exchange) (string, bool) { return (&headers{x: x}).value(name) }
		case "request.query":
			return func(x *exchange.Exchange) (string, bool) {
				v, n := x.Query(name)
				return v, n == 1
			}
		}
	}
	return memberReader(e)
}

// memberReader makes a reader of a claim.
func memberReader(e ast.Expr) reader {
	from, name, is := key(e)
	if !is {
		return nil
	}
	in := lookupOf(from)
	if in == nil {
		return nil
	}
	return func(x *exchange.Exchange) (string, bool) {
		v, sure := in(x)
		switch m := v.(type) {
		case map[string]any:
			s, is := m[name].(string)
			return s, sure && is
		case map[string]string:
			s, there := m[name]
			return s, sure && there
		}
		return "", false
	}
}

func variableReader(name string) reader {
	switch name {
	case "request.method":
		return func(x *exchange.Exchange) (string, bool) { return x.Request.Method, true }
	case "request.scheme":
		return func(x *exchange.Exchange) (string, bool) { return x.Request.Scheme, true }
	case "request.host":
		return func(x *exchange.Exchange) (string, bool) { return x.Request.Host, true }
	case "request.path":
		return func(x *exchange.Exchange) (string, bool) { return x.Request.Path, true }
	case "auth.method":
		return func(x *exchange.Exchange) (string, bool) { return x.Principal.Method, true }
	case "auth.subject":
		return func(x *exchange.Exchange) (string, bool) { return x.Principal.Subject, true }
	case "route.name":
		return func(x *exchange.Exchange) (string, bool) { return x.Trace.Route, true }
	case "route.rule":
		return func(x *exchange.Exchange) (string, bool) { return x.Trace.Rule, true }
	case "route.listener":
		return func(x *exchange.Exchange) (string, bool) { return x.Trace.Listener, true }
	}
	return nil
}

// lookupOf makes a lookup of the claims, of what stands beside the caller's name, or
// of something in them; nil for all else. A nil map is one without members.
func lookupOf(e ast.Expr) lookup {
	if e.Kind() == ast.IdentKind {
		switch e.AsIdent() {
		case "auth.claims":
			return func(x *exchange.Exchange) (any, bool) { return x.Principal.Claims, true }
		case "auth.metadata":
			return func(x *exchange.Exchange) (any, bool) { return metadata(x.Principal.Claims), true }
		}
		return nil
	}
	from, name, is := key(e)
	if !is {
		return nil
	}
	in := lookupOf(from)
	if in == nil {
		return nil
	}
	return func(x *exchange.Exchange) (any, bool) {
		v, sure := in(x)
		m, is := v.(map[string]any)
		if !sure || !is {
			return nil, false
		}
		member, there := m[name]
		return member, there
	}
}

// key takes e apart, if it looks up a constant: from.name or from["name"].
func key(e ast.Expr) (from ast.Expr, name string, is bool) {
	switch e.Kind() {
	case ast.SelectKind:
		s := e.AsSelect()
		return s.Operand(), s.FieldName(), !s.IsTestOnly()
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != operators.Index {
			return nil, "", false
		}
		name, is = index(c)
		return c.Args()[0], name, is
	}
	return nil, "", false
}
