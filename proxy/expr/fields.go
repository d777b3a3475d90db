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
	x      *exchange.Exchange
	of     string // the repeated field that was looked up last in this run
	joined string // and its value, which a loop must not join each time
	noValue
}

// query is request.query, a CEL map that scans the raw query, until it has been
// asked so often that it knows all of it: a caller may send thousands of parameters,
// and a loop over them must not scan them for each.
type query struct {
	x     *exchange.Exchange
	finds int                  // in this run
	all   map[string]parameter // by decoded name; nil: not known yet
	names []string             // of all, in their order
	noValue
}

// parameter is one of the query, and how often it is there.
type parameter struct {
	value string // as sent, the first
	n     int
}

// scans is how often a run looks for a parameter before it knows all of them.
const scans = 16

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
	n, size := 0, 0
	for i := range h.x.Request.Header {
		f := &h.x.Request.Header[i]
		if !lowerIs(f.Name, name) {
			continue
		}
		if n == 0 {
			value = f.Value
		}
		n++
		size += len(f.Value)
	}
	if n < 2 {
		return value, n == 1
	}
	if h.of != name || h.joined == "" {
		h.of, h.joined = name, h.join(name, size+(n-1)*len(separator))
	}
	return h.joined, true
}

const separator = ", "

// join is the value of a repeated field, of which the length is known: joined two
// by two, that of a hundred lines would be copied fifty times.
func (h *headers) join(name string, size int) string {
	b, more := h.x.Arena.Alloc(size)[:0], false
	for i := range h.x.Request.Header {
		f := &h.x.Request.Header[i]
		if !lowerIs(f.Name, name) {
			continue
		}
		if more {
			b = append(b, separator...)
		}
		b, more = append(b, f.Value...), true
	}
	return mem.String(b)
}

func (h *headers) has(name string) bool {
	for i := range h.x.Request.Header {
		if lowerIs(h.x.Request.Header[i].Name, name) {
			return true
		}
	}
	return false
}

// lowerIs reports whether s, a field's name, is want in lower case: an upper case key
// finds nothing, and neither does an empty one, which is the name of a field taken out.
func lowerIs(s, want string) bool {
	if s == "" || len(s) != len(want) {
		return false
	}
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
	value, n := q.look(string(name))
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

// look is Exchange.Query.
func (q *query) look(name string) (value string, n int) {
	if q.finds++; q.finds <= scans && q.all == nil {
		return q.x.Query(name)
	}
	q.know()
	p := q.all[name]
	return q.x.DecodeParameter(p.value), p.n
}

// know takes the whole query apart.
func (q *query) know() {
	if q.all != nil {
		return
	}
	q.all = map[string]parameter{}
	for rest := q.x.Request.RawQuery; rest != ""; {
		var key, value string
		key, value, rest = exchange.CutParameter(rest)
		name := q.x.DecodeParameter(key)
		p := q.all[name]
		if p.n == 0 {
			p.value = value
			q.names = append(q.names, name)
		}
		p.n++
		q.all[name] = p
	}
}

// Size implements traits.Sizer.
func (q *query) Size() ref.Val {
	q.know()
	return types.Int(len(q.names))
}

// Iterator implements traits.Iterable: the names, each once.
func (q *query) Iterator() traits.Iterator {
	q.know()
	return &names{list: q.names}
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
