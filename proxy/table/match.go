package table

// PathKind says how a path match compares.
type PathKind uint8

// The kinds of path match, most specific first.
const (
	PathExact PathKind = iota
	PathRegex
	PathPrefix // element-wise: /a takes /a, /a/ and /a/b, never /ab
)

// ValueKind says how a header or query match compares.
type ValueKind uint8

// The kinds of header and query match.
const (
	ValueExact ValueKind = iota
	ValueRegex
)

// Match is the conditions of one rule; all must hold.
type Match struct {
	Path    PathMatch    `json:"path"`
	Method  string       `json:"method,omitempty"` // empty for any
	Headers []ValueMatch `json:"headers,omitempty"`
	Query   []ValueMatch `json:"query,omitempty"`
}

// PathMatch compares the request's path. Regular expressions are RE2 and must
// match the whole path.
type PathMatch struct {
	Kind  PathKind `json:"kind"`
	Value string   `json:"value"`
}

// ValueMatch compares one header field or query parameter. Header names are
// lower case. A regular expression must match the whole value.
type ValueMatch struct {
	Name  string    `json:"name"`
	Kind  ValueKind `json:"kind"`
	Value string    `json:"value"`
}
