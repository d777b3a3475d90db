package expr

import (
	"errors"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

var errPath = errors.New("the expression came to no path: it must be a list of segments none of which is empty, . or .., or a text of such that begins with a slash")

// AppendPath runs an expression of kind String and appends what it comes to as a
// path (RFC 3986, section 3.3): a list is its segments, each percent-encoded, its
// slashes too; a text is a path whose slashes stay. What a value holds never
// becomes a query or leads out of where it stands: dot segments and empty ones are
// errors.
func (p *Program) AppendPath(b []byte, x *exchange.Exchange) ([]byte, error) {
	v, err := p.run(x)
	if err != nil {
		return b, err
	}
	l, is := v.(traits.Lister)
	if !is {
		s, ok, err := text(v)
		if err != nil || !ok || s == "" || s[0] != '/' {
			return b, errPath
		}
		return appendSegments(b, s)
	}
	n := 0
	for it := l.Iterator(); it.HasNext() == types.True; n++ {
		segment := it.Next()
		_, nested := segment.(traits.Lister)
		s, ok, err := text(segment)
		if nested || err != nil || !ok || s == "" || leads(s) {
			return b, errPath
		}
		b = AppendEscaped(append(b, '/'), s)
	}
	if n == 0 {
		return b, errPath
	}
	return b, nil
}

// appendSegments appends a path of several segments; the last one may be empty.
func appendSegments(b []byte, path string) ([]byte, error) {
	for path != "" {
		end := 1
		for end < len(path) && path[end] != '/' {
			end++
		}
		segment := path[1:end]
		if leads(segment) || segment == "" && end < len(path) {
			return b, errPath
		}
		b = AppendEscaped(append(b, '/'), segment)
		path = path[end:]
	}
	return b, nil
}

// leads reports a value with a dot segment in it, for those who decode its slashes
// before they look for such.
func leads(s string) bool {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// AppendEscaped appends s percent-encoded: nothing of it means anything in a path or
// a query.
func AppendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// unreserved reports a character that stands for itself (RFC 3986, section 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
