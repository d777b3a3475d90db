// Package match holds the conditions of rules: host, path, method, header and
// query, each a pure comparison, and the order in which rules are tried.
//
// proxy/router builds its index from them at swap and calls them on every
// request. It calls mem and exchange only. Nothing here allocates on a request,
// but for what it takes from the exchange's arena; regular expressions compile
// in New functions, which run at swap.
package match

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Compare orders matches as Gateway API wants rules of one host to be tried
// (HTTPRouteRule.matches): negative when a comes before b, 0 when the order in
// which they were given decides. An exact path comes first. Then regular
// expressions: the specification leaves their place open, and they are written
// for the cases a prefix is too coarse for; their length says nothing about how
// much they take. Then prefixes, longer ones first. Among equals a method counts
// before the number of header matches, that before the number of query matches.
func Compare(a, b *table.Match) int {
	return cmp.Or(
		cmp.Compare(a.Path.Kind, b.Path.Kind),
		comparePaths(&a.Path, &b.Path),
		compareMethods(a.Method, b.Method),
		cmp.Compare(len(b.Headers), len(a.Headers)),
		cmp.Compare(len(b.Query), len(a.Query)),
	)
}

// Conditions are what a match asks for beside its path.
type Conditions struct {
	some    bool // there are any
	method  string
	headers []value
	query   []value
}

// NewConditions compiles the conditions of m. The error names the regular
// expression that does not compile.
func NewConditions(m *table.Match) (Conditions, error) {
	c := Conditions{some: m.Method != "" || len(m.Headers)+len(m.Query) > 0, method: m.Method}
	var err error
	if c.headers, err = newValues("header", m.Headers); err != nil {
		return Conditions{}, err
	}
	c.query, err = newValues("query parameter", m.Query)
	return c, err
}

// Match reports whether all conditions hold for x.
func (c *Conditions) Match(x *exchange.Exchange) bool { return !c.some || c.hold(x) }

func (c *Conditions) hold(x *exchange.Exchange) bool {
	if !matchMethod(c.method, x.Request.Method) {
		return false
	}
	for i := range c.headers {
		if v, ok := header(x, c.headers[i].name); !ok || !c.headers[i].match(v) {
			return false
		}
	}
	for i := range c.query {
		if v, ok := query(x, c.query[i].name); !ok || !c.query[i].match(v) {
			return false
		}
	}
	return true
}

// value is what one header field or query parameter must be.
type value struct {
	name string
	want string
	re   *Pattern // nil: exactly want
}

func newValues(what string, matches []table.ValueMatch) ([]value, error) {
	var out []value
	for _, m := range matches {
		v := value{name: m.Name, want: m.Value}
		if m.Kind == table.ValueRegex {
			re, err := NewPattern(m.Value)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", what, m.Name, err)
			}
			v.re = re
		}
		out = append(out, v)
	}
	return out, nil
}

func (v *value) match(s string) bool {
	if v.re != nil {
		return v.re.Match(s)
	}
	return s == v.want
}

// Pattern is an RE2 expression that must match the whole of its input.
type Pattern struct {
	literal string // what every match begins with
	re      *regexp.Regexp
}

// NewPattern compiles expr. It is compiled alone first, so that no stray parenthesis can
// get out of the group that anchors it.
func NewPattern(expr string) (*Pattern, error) {
	alone, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, err
	}
	p := &Pattern{re: re}
	p.literal, _ = alone.LiteralPrefix()
	return p, nil
}

// Match reports whether all of s matches. The patterns of a host are tried one after the
// other, and most fail at what they begin with: to compare that is a tenth of the cost.
func (p *Pattern) Match(s string) bool {
	return strings.HasPrefix(s, p.literal) && p.re.MatchString(s)
}
