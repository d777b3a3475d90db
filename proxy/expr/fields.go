package expr

import (
	"errors"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// headers is request.headers, a CEL map that scans the field lines.
type headers struct {
	x *exchange.Exchange
	noValue
}

// query is request.query, a CEL map that scans the raw query.
type query struct {
	x *exchange.Exchange
	noValue
}

var errConvert = errors.New("a request's headers and query cannot be converted")

// Find implements traits.Mapper. The name must be in lower case. Repeated
// fields are one, joined with ", " (RFC 9110, section 5.3).
func (h *headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	value, ok := h.value(string(name))
	if !ok {
		return nil, false
	}
	return types.String(value), true
}

func (h *headers) value(name string) (value string, there bool) {
	for i := range h.x.Request.Header {
		f := &h.x.Request.Header[i]
		switch {
		case f.Name == "" || len(f.Name) != len(name) || !lowerIs(f.Name, name): // a name that is empty is of a field taken out
		case there:
			value = h.x.Arena.Concat(value, ", ", f.Value)
		default:
			value, there = f.Value, true
		}
	}
	return value, there
}

func (h *headers) has(name string) bool {
	for i := range h.x.Request.Header {
		if f := h.x.Request.Header[i].Name; f != "" && len(f) == len(name) && lowerIs(f, name) {
			return true
		}
	}
	return false
}

// lowerIs reports whether s in lower case is want: an upper case key finds nothing.
func lowerIs(s, want string) bool {
	for i := 0; i < len(s); i++ {
		if mem.Lower[s[i]] != want[i] {
			return false
		}
	}
	return true
}

// Get implements traits.Indexer.
func (h *headers) Get(key ref.Val) ref.Val { return get(h, key) }

// Contains implements traits.Container.
func (h *headers) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	return types.Bool(ok && h.has(string(name)))
}

// Size implements traits.Sizer.
func (h *headers) Size() ref.Val { return types.Int(len(h.names())) }

// Iterator implements traits.Iterable: the names, each once.
func (h *headers) Iterator() traits.Iterator { return &names{list: h.names()} }

func (h *headers) names() []string {
	var list []string
	for _, f := range h.x.Request.Header {
		if f.Name != "" {
			list = appendNew(list, strings.ToLower(f.Name))
		}
	}
	return list
}

// Find implements traits.Mapper. A parameter that is there twice is an error:
// the rule and the backend might go by different ones.
func (q *query) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	value, n := q.x.Query(string(name))
	switch n {
	case 0:
		return nil, false
	case 1:
		return types.String(value), true
	}
	return types.NewErr("query parameter %q is there %d times", string(name), n), true
}

// Get implements traits.Indexer.
func (q *query) Get(key ref.Val) ref.Val { return get(q, key) }

// Contains implements traits.Container.
func (q *query) Contains(key ref.Val) ref.Val {
	_, ok := q.Find(key)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (q *query) Size() ref.Val { return types.Int(len(q.names())) }

// Iterator implements traits.Iterable: the names, each once.
func (q *query) Iterator() traits.Iterator { return &names{list: q.names()} }

func (q *query) names() []string {
	var list []string
	for rest := q.x.Request.RawQuery; rest != ""; {
		var key string
		key, _, rest = exchange.CutParameter(rest)
		list = appendNew(list, q.x.DecodeParameter(key))
	}
	return list
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func get(m interface{ Find(ref.Val) (ref.Val, bool) }, key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// names iterates over the keys of a map.
type names struct {
	list []string
	noValue
}

// HasNext implements traits.Iterator.
func (n *names) HasNext() ref.Val { return types.Bool(len(n.list) > 0) }

// Next implements traits.Iterator.
func (n *names) Next() ref.Val {
	s := n.list[0]
	n.list = n.list[1:]
	return types.String(s)
}

// noValue is the rest of ref.Val, for maps of a request: they are not compared
// or converted.
type noValue struct{}

// ConvertToNative implements ref.Val.
func (noValue) ConvertToNative(reflect.Type) (any, error) { return nil, errConvert }

// ConvertToType implements ref.Val.
func (noValue) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return types.MapType
	}
	return types.WrapErr(errConvert)
}

// Equal implements ref.Val.
func (noValue) Equal(ref.Val) ref.Val { return types.False }

// Type implements ref.Val.
func (noValue) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (noValue) Value() any { return nil }
