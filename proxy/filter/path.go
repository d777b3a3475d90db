package filter

import (
	"errors"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Path changes a path, for the filters that redirect and rewrite
// (HTTPPathModifier of Gateway API, GEP-726).
type Path struct {
	full    string
	prefix  string // what replaces matched, as written
	matched string // without slashes at its end
	isFull  bool
}

// NewPath checks an edit. Bytes that cannot be in a path are escaped.
func NewPath(t *table.PathEdit) (*Path, error) {
	switch {
	case (t.Full == nil) == (t.Prefix == nil):
		return nil, errors.New("a path is replaced in full or by its prefix: exactly one of the two")
	case t.Full != nil:
		return &Path{isFull: true, full: rooted(escape(*t.Full))}, nil
	}
	return &Path{prefix: escape(*t.Prefix), matched: strings.TrimRight(t.Matched, "/")}, nil
}

// Apply returns path as edited. Between a new prefix and what is left of the
// path there is exactly one slash, whichever of them brings it. A path that
// does not have the matched prefix any more stays as it is.
func (p *Path) Apply(path string, a *mem.Arena) string {
	if p.isFull {
		return p.full
	}
	rest, ok := strings.CutPrefix(path, p.matched)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	if rest == "" {
		return rooted(p.prefix)
	}
	return rooted(a.Concat(strings.TrimRight(p.prefix, "/"), rest))
}

func rooted(path string) string {
	switch {
	case path == "":
		return "/"
	case path[0] != '/':
		return "/" + path
	}
	return path
}

// escape percent-encodes what cannot stand in a path. A percent sign is taken
// as the start of an escape already made.
func escape(path string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\' {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// MalformedHostname reports whether a host name would break out of where a
// filter puts it: a Location or a Host field.
func MalformedHostname(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("/?#@\\", r) })
}
