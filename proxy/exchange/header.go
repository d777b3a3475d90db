package exchange

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Field is one header field line. Name keeps the case it was sent in; compare
// it with mem.EqualFold. Removed fields have an empty Name and are skipped.
type Field struct {
	Name  string
	Value string
	Line  string // "Name: Value" and CR LF, if it came so; nobody looks at it once either is another
}

// Header is field lines in order. Requests have a dozen or two, so a scan beats
// a map and allocates nothing.
type Header []Field

// Get returns the first value of name, which must be lower case, and whether
// there is one.
func (h Header) Get(name string) (string, bool) {
	for i := range h {
		if len(h[i].Name) == len(name) && mem.EqualFold(h[i].Name, name) {
			return h[i].Value, true
		}
	}
	return "", false
}

// Count returns how many field lines name has; name must be lower case.
func (h Header) Count(name string) int {
	n := 0
	for i := range h {
		if len(h[i].Name) == len(name) && mem.EqualFold(h[i].Name, name) {
			n++
		}
	}
	return n
}

// Add appends a field line.
func (h *Header) Add(name, value string) { h.AddLine(name, value, "") }

// AddLine is Add of a field that came as line; see Field. It is written where it
// stays: to put it together elsewhere and copy it costs several times as much.
func (h *Header) AddLine(name, value, line string) {
	n := len(*h)
	if n == cap(*h) {
		*h = append(*h, Field{})
	} else {
		*h = (*h)[:n+1]
	}
	f := &(*h)[n]
	f.Name, f.Value, f.Line = name, value, line
}

// Set replaces all field lines of name, which must be lower case, by one.
func (h *Header) Set(name, value string) {
	done := false
	for i := range *h {
		f := &(*h)[i]
		if len(f.Name) != len(name) || !mem.EqualFold(f.Name, name) {
			continue
		}
		if done {
			f.Name = ""
			continue
		}
		f.Value, done = value, true
	}
	if !done {
		h.Add(name, value)
	}
}

// Del removes all field lines of name, which must be lower case.
func (h Header) Del(name string) {
	for i := range h {
		if len(h[i].Name) == len(name) && mem.EqualFold(h[i].Name, name) {
			h[i].Name = ""
		}
	}
}

// DropLike removes the field lines that a backend could take for one of names,
// which are lower case: CGI and its heirs make X-User, X_User and X.User one variable.
func (h Header) DropLike(names []string) {
	for i := range h {
		for _, name := range names {
			if alike(h[i].Name, name) {
				h[i].Name = ""
				break
			}
		}
	}
}

// DropSpelt removes the field lines that a backend could take for one of names, and
// keeps those that are.
func (h Header) DropSpelt(names []string) {
	for i := range h {
		for _, name := range names {
			if alike(h[i].Name, name) && !mem.EqualFold(h[i].Name, name) {
				h[i].Name = ""
				break
			}
		}
	}
}

func alike(sent, name string) bool {
	if len(sent) != len(name) {
		return false
	}
	for i := 0; i < len(sent); i++ {
		if spelt[sent[i]] != spelt[name[i]] {
			return false
		}
	}
	return true
}

// spelt maps each byte to its ASCII lower case, and those that are no letter or digit to
// one of them: Go and Python make a hyphen an underscore, PHP a dot too, others all marks.
var spelt = func() (t [256]byte) {
	for c := range t {
		t[c] = '-'
		if l := mem.Lower[c]; 'a' <= l && l <= 'z' || '0' <= l && l <= '9' {
			t[c] = l
		}
	}
	return t
}()

// MediaType returns a Content-Type without its parameters (RFC 9110, section 8.3.1), in the case that
// it was sent in.
func MediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.Trim(media, " \t")
}

// Mark reports whether c, a byte of a name, is no letter or digit: backends may take it
// for a hyphen.
func Mark(c byte) bool { return spelt[c] == '-' }
