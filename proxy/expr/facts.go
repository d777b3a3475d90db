package expr

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// fetched is metadata, a CEL map of what steps have fetched for a request.
type fetched struct {
	x *exchange.Exchange
	noValue
}

// Find implements traits.Mapper.
func (f *fetched) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	for i := range f.x.Facts {
		if f.x.Facts[i].Name == string(name) {
			v, ok := f.x.Facts[i].Value.(ref.Val)
			return v, ok
		}
	}
	return nil, false
}

// Get implements traits.Indexer.
func (f *fetched) Get(key ref.Val) ref.Val { return get(f, key) }

// Contains implements traits.Container.
func (f *fetched) Contains(key ref.Val) ref.Val {
	_, ok := f.Find(key)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (f *fetched) Size() ref.Val { return types.Int(len(f.x.Facts)) }

// Iterator implements traits.Iterable: the names.
func (f *fetched) Iterator() traits.Iterator {
	n := &names{}
	for i := range f.x.Facts {
		n.list = append(n.list, f.x.Facts[i].Name)
	}
	return n
}

// maxFact is how deep the JSON of a fact may be nested.
const maxFact = 32

var errFact = errors.New("it is no JSON in UTF-8 that is nested at most 32 deep")

// Fact makes JSON a value for exchange.Fact. It is converted once, so that looking
// into it costs nothing. Numbers are doubles, as CEL has them from JSON.
func Fact(document []byte) (any, error) {
	var v any
	if !utf8.Valid(document) || json.Unmarshal(document, &v) != nil {
		return nil, errFact
	}
	return fact(v, 0)
}

func fact(v any, depth int) (ref.Val, error) {
	if depth > maxFact {
		return nil, errFact
	}
	switch t := v.(type) {
	case []any:
		list := make([]ref.Val, len(t))
		for i := range t {
			var err error
			if list[i], err = fact(t[i], depth+1); err != nil {
				return nil, err
			}
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list), nil
	case map[string]any:
		object := make(map[ref.Val]ref.Val, len(t))
		for name, member := range t {
			m, err := fact(member, depth+1)
			if err != nil {
				return nil, err
			}
			object[types.String(name)] = m
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, object), nil
	}
	return types.DefaultTypeAdapter.NativeToValue(v), nil
}

// Reads lists the facts that an expression reads by name, each once. any says
// that it reads them in another way, or that it cannot be told.
func (e *Env) Reads(text string) (list []string, any bool) {
	checked, issues := e.env.Compile(text)
	if issues.Err() != nil {
		return nil, false
	}
	uses, named := 0, 0
	note := func(operand ast.Expr, name string) {
		if operand.Kind() == ast.IdentKind && operand.AsIdent() == facts {
			named++
			list = appendNew(list, name)
		}
	}
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.IdentKind:
			if x.AsIdent() == facts {
				uses++
			}
		case ast.SelectKind:
			note(x.AsSelect().Operand(), x.AsSelect().FieldName())
		case ast.CallKind:
			if name, is := index(x.AsCall()); is {
				note(x.AsCall().Args()[0], name)
			}
		}
	}))
	return list, uses > named
}

// index is the name that a call of the index operators looks up.
func index(c ast.CallExpr) (string, bool) {
	if f := c.FunctionName(); f != "_[_]" && f != "_[?_]" && f != "_?._" || len(c.Args()) != 2 || c.Args()[1].Kind() != ast.LiteralKind {
		return "", false
	}
	s, is := c.Args()[1].AsLiteral().(types.String)
	return string(s), is
}
