package expr

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// maxJSON is how deep a value is written.
const maxJSON = 16

var errNoJSON = errors.New("the expression came to something that JSON has no word for")

// AppendJSON runs an expression of kind JSON and appends what it comes to, the
// same text for the same value. It returns false for no value: null, or a key that
// is not there.
func (p *Program) AppendJSON(b []byte, x *exchange.Exchange) ([]byte, bool, error) {
	v, err := p.run(x)
	if err != nil {
		if absent(err) {
			return b, false, nil
		}
		return b, false, err
	}
	if o, is := v.(*types.Optional); is {
		if !o.HasValue() {
			return b, false, nil
		}
		v = o.GetValue()
	}
	if v == types.NullValue {
		return b, false, nil
	}
	b, err = appendValue(b, v, 0)
	return b, err == nil, err
}

func appendValue(b []byte, v ref.Val, depth int) ([]byte, error) {
	if depth > maxJSON {
		return b, errNoJSON
	}
	switch t := v.(type) {
	case types.String:
		return AppendText(b, string(t)), nil
	case types.Bool:
		return strconv.AppendBool(b, bool(t)), nil
	case types.Int:
		return strconv.AppendInt(b, int64(t), 10), nil
	case types.Uint:
		return strconv.AppendUint(b, uint64(t), 10), nil
	case types.Double:
		if math.IsNaN(float64(t)) || math.IsInf(float64(t), 0) {
			return b, errNoJSON
		}
		n, err := json.Marshal(float64(t)) // which writes whole numbers as such
		return append(b, n...), err
	case types.Null:
		return append(b, "null"...), nil
	case types.Timestamp, types.Duration:
		s, ok := v.ConvertToType(types.StringType).(types.String)
		if !ok {
			return b, errNoJSON
		}
		return AppendText(b, string(s)), nil
	case traits.Lister:
		return appendList(b, t, depth)
	case traits.Mapper:
		return appendMap(b, t, depth)
	}
	return b, errNoJSON
}

func appendList(b []byte, l traits.Lister, depth int) (_ []byte, err error) {
	b = append(b, '[')
	for it, n := l.Iterator(), 0; it.HasNext() == types.True; n++ {
		if n > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, it.Next(), depth+1); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes members by name: a map has no order.
func appendMap(b []byte, m traits.Mapper, depth int) (_ []byte, err error) {
	var names []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		name, ok := it.Next().(types.String)
		if !ok {
			return b, errNoJSON
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendText(b, name), ':')
		if b, err = appendValue(b, m.Get(types.String(name)), depth+1); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// AppendText appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func AppendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
