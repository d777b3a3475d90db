package expr

import (
	"errors"
	"strings"
)

// maxQuoted is how many bytes of an expression are quoted.
const maxQuoted = 256

// Quoted is the expression on one line, cut where it is long.
func (p *Program) Quoted() string {
	quoted := strings.Join(strings.Fields(p.text), " ")
	if len(quoted) > maxQuoted {
		quoted = strings.ToValidUTF8(quoted[:maxQuoted], "") + "…"
	}
	return quoted
}

// Cause words an error of a run for operators. Nothing that came with the request is
// in it: the library's errors quote values, and those may be credentials. A name is
// told where the expression itself has it.
func (p *Program) Cause(err error) string {
	text := err.Error()
	own := func(e error) bool { return errors.Is(err, e) }
	if own(errNotBool) || own(errVeiled) || own(errNoText) {
		return text
	}
	if key, is := strings.CutPrefix(text, noKey+": "); is {
		if strings.Contains(p.text, key) {
			return noKey + ": " + key
		}
		return noKey
	}
	for _, known := range [...][2]string{
		{"no such overload", ": a value is of another type than the expression takes"},
		{"operation cancelled", ": the expression costs too much on this request"},
		{"query parameter", " is there more than once"},
		{"type conversion error", ": a value cannot be converted as the expression asks"},
		{"index out of", " bounds"},
		{"division by zero", ""},
		{"modulus by zero", ""},
		{"integer overflow", ""},
		{"unsigned integer overflow", ""},
		{"timestamp overflow", ""},
		{"duration overflow", ""},
		{"optional.none() dereference", ""},
	} {
		if strings.HasPrefix(text, known[0]) {
			return known[0] + known[1]
		}
	}
	return "a value of the request is not what the expression takes"
}
