package expr

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// text is what v comes to as text, and whether there is any.
func text(v ref.Val) (string, bool, error) {
	switch t := v.(type) {
	case types.String:
		return string(t), true, nil
	case types.Bool:
		return strconv.FormatBool(bool(t)), true, nil
	case types.Int:
		return strconv.FormatInt(int64(t), 10), true, nil
	case types.Uint:
		return strconv.FormatUint(uint64(t), 10), true, nil
	case types.Double:
		return strconv.FormatFloat(float64(t), 'f', -1, 64), true, nil
	case types.Null:
		return "", false, nil
	case *types.Optional:
		if !t.HasValue() {
			return "", false, nil
		}
		return text(t.GetValue())
	case traits.Lister:
		return joined(t, func(s string) (string, bool) { return s, !strings.Contains(s, ",") })
	}
	return "", false, errNoText
}

// fieldText is text for a header field: what has no place there is
// percent-encoded, as is a comma within an element of a list.
func fieldText(x *exchange.Exchange, v ref.Val) (string, bool, error) {
	if o, is := v.(*types.Optional); is && o.HasValue() {
		v = o.GetValue()
	}
	if l, is := v.(traits.Lister); is {
		return joined(l, func(s string) (string, bool) { return encode(x, s, ','), true })
	}
	s, ok, err := text(v)
	if err != nil || !ok {
		return "", false, err
	}
	return encode(x, s, '%'), true, nil
}

// joined joins the elements of a list, each as one makes it; what it says no to
// has no text, for two lists must never have the same.
func joined(l traits.Lister, one func(string) (string, bool)) (string, bool, error) {
	var b strings.Builder
	it := l.Iterator()
	for i := 0; it.HasNext() == types.True; i++ {
		s, ok := it.Next().(types.String)
		if !ok {
			return "", false, errNoText
		}
		element, ok := one(string(s))
		if !ok {
			return "", false, errNoText
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(element)
	}
	return b.String(), b.Len() > 0, nil
}

// encode percent-encodes what has no place in a header value: control
// characters, bytes beyond ASCII, a space at either end (receivers trim it), one
// more character, and the percent sign itself, so that two different values never
// become one.
func encode(x *exchange.Exchange, v string, more byte) string {
	n := 0
	for i := 0; i < len(v); i++ {
		if escapes(v, i, more) {
			n++
		}
	}
	if n == 0 {
		return v
	}
	const hex = "0123456789ABCDEF"
	b := x.Arena.Alloc(len(v) + 2*n)[:0]
	for i := 0; i < len(v); i++ {
		if escapes(v, i, more) {
			b = append(b, '%', hex[v[i]>>4], hex[v[i]&15])
			continue
		}
		b = append(b, v[i])
	}
	return mem.String(b)
}

func escapes(v string, i int, more byte) bool {
	c := v[i]
	return c < ' ' || c > '~' || c == '%' || c == more || c == ' ' && (i == 0 || i == len(v)-1)
}
