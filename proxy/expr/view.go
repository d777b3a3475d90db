package expr

import (
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// view is an exchange as an activation: a name is looked up when an expression
// asks for it, and nothing is built beforehand.
type view struct {
	x       *exchange.Exchange
	headers headers
	query   query
	fetched fetched
}

func (v *view) set(x *exchange.Exchange) {
	v.x, v.fetched.x = x, x
	v.headers, v.query = headers{x: x}, query{x: x}
}

var views = sync.Pool{New: func() any { return new(view) }}

// Parent implements interpreter.Activation.
func (*view) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation.
func (v *view) ResolveName(name string) (any, bool) {
	x := v.x
	switch name {
	case "request.method":
		return types.String(x.Request.Method), true
	case "request.path":
		return types.String(x.Request.Path), true
	case "request.host":
		return types.String(x.Request.Host), true
	case "request.scheme":
		return types.String(x.Request.Scheme), true
	case "request.headers":
		return &v.headers, true
	case "request.query":
		return &v.query, true
	case "auth.method":
		return types.String(x.Principal.Method), true
	case "auth.subject":
		return types.String(x.Principal.Subject), true
	case "auth.claims":
		return x.Principal.Claims, true
	case "auth.metadata":
		return metadata(x.Principal.Claims), true
	case facts:
		return &v.fetched, true
	}
	return v.rest(name)
}

// rest is what expressions ask for less often.
func (v *view) rest(name string) (any, bool) {
	x := v.x
	switch name {
	case "source.address":
		return types.String(x.Request.ClientIP.String()), true
	case "source.port":
		if x.Conn == nil {
			return types.Int(0), true
		}
		return types.Int(x.Conn.Peer.Port()), true
	case "route.name":
		return types.String(x.Trace.Route), true
	case "route.rule":
		return types.String(x.Trace.Rule), true
	case "route.listener":
		return types.String(x.Trace.Listener), true
	case "context.now":
		return types.Timestamp{Time: x.Time()}, true
	}
	return nil, false
}

// metadata is what a method put beside the caller's name; an API key's Secret
// has some.
func metadata(claims map[string]any) any {
	switch m := claims["metadata"].(type) {
	case map[string]string:
		return m
	case map[string]any:
		return m
	}
	return map[string]string(nil)
}
