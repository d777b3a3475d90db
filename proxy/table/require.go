package table

import (
	"fmt"
	"strings"
)

// The bounds of a requirement.
const (
	maxRequireNames = 64   // methods are bits of a uint64
	maxRequireBytes = 1024 // length of the expression
	maxRequireDepth = 24   // parentheses; keeps the stack of Decide within 64 bits
)

// Requirement is a boolean expression over the names of authentication methods,
// ready to be evaluated on sets of them. Bit i of a set is the i-th name.
type Requirement struct {
	ops []int8 // reverse Polish: an index pushes that name's truth
}

// The operators, beside indexes.
const (
	opNot int8 = -1 - iota
	opAnd
	opOr
)

// Truth is what is known of a requirement (Kleene's three values).
type Truth uint8

// The values of Truth.
const (
	Undecided Truth = iota
	False
	True
)

// ParseRequire reads a requirement such as "staff || partners && !banned":
// names, !, &&, || in falling order of binding, and parentheses. The empty
// expression asks for any one of names. An error names the column, from 1, and
// what would be right there.
func ParseRequire(expr string, names []string) (Requirement, error) {
	if len(names) > maxRequireNames {
		return Requirement{}, fmt.Errorf("%d methods; use at most %d", len(names), maxRequireNames)
	}
	if len(expr) > maxRequireBytes {
		return Requirement{}, fmt.Errorf("%d bytes long; use at most %d", len(expr), maxRequireBytes)
	}
	if strings.TrimSpace(expr) == "" {
		return anyOf(len(names)), nil
	}
	p := requireParser{text: expr, names: names}
	if err := p.or(); err != nil {
		return Requirement{}, err
	}
	if p.peek() != 0 {
		return Requirement{}, p.errorf("%s is one too many; write && or || before it, or remove it", p.here())
	}
	return Requirement{ops: p.ops}, nil
}

func anyOf(n int) (r Requirement) {
	for i := range n {
		r.ops = append(r.ops, int8(i))
		if i > 0 {
			r.ops = append(r.ops, opOr)
		}
	}
	return r
}

// Decide evaluates r where yes is the set of methods that accepted and no the
// set of those that did not; what is in neither is not known yet. Undecided
// means that what is not known matters. It allocates nothing. A requirement
// over no names at all is True.
func (r Requirement) Decide(yes, no uint64) Truth {
	if len(r.ops) == 0 {
		return True
	}
	var t, f uint64 // two stacks of bits, the top lowest: known true, known false
	for _, op := range r.ops {
		switch op {
		case opNot:
			t, f = t&^1|f&1, f&^1|t&1
		case opAnd:
			t, f = t>>1&(t|^uint64(1)), f>>1|f&1
		case opOr:
			t, f = t>>1|t&1, f>>1&(f|^uint64(1))
		default:
			t, f = t<<1|yes>>uint(op)&1, f<<1|no>>uint(op)&1
		}
	}
	switch {
	case t&1 != 0:
		return True
	case f&1 != 0:
		return False
	}
	return Undecided
}

// requireParser is a recursive descent over the expression.
type requireParser struct {
	text  string
	at    int
	depth int
	names []string
	ops   []int8
}

func (p *requireParser) or() error {
	return p.chain('|', opOr, func() error { return p.chain('&', opAnd, p.not) })
}

func (p *requireParser) chain(sign byte, op int8, operand func() error) error {
	if err := operand(); err != nil {
		return err
	}
	for p.peek() == sign {
		if p.at+1 >= len(p.text) || p.text[p.at+1] != sign {
			return p.errorf("a single %c; write %c%c", sign, sign, sign)
		}
		p.at += 2
		if err := operand(); err != nil {
			return err
		}
		p.ops = append(p.ops, op)
	}
	return nil
}

func (p *requireParser) not() error {
	negate := false
	for p.peek() == '!' {
		p.at++
		negate = !negate
	}
	if err := p.atom(); err != nil {
		return err
	}
	if negate {
		p.ops = append(p.ops, opNot)
	}
	return nil
}

func (p *requireParser) atom() error {
	c := p.peek()
	switch {
	case c == '(':
		if p.depth++; p.depth > maxRequireDepth {
			return p.errorf("parentheses are nested more than %d deep; simplify the expression", maxRequireDepth)
		}
		p.at++
		if err := p.or(); err != nil {
			return err
		}
		if p.peek() != ')' {
			return p.errorf("%s; a ) is missing before it", p.here())
		}
		p.at++
		p.depth--
		return nil
	case isNameByte(c):
		return p.name()
	}
	return p.errorf("%s; a method name, ! or ( must stand there", p.here())
}

func (p *requireParser) name() error {
	end := p.at
	for end < len(p.text) && isNameByte(p.text[end]) {
		end++
	}
	name := p.text[p.at:end]
	for i, n := range p.names {
		if n == name {
			p.ops = append(p.ops, int8(i))
			p.at = end
			return nil
		}
	}
	if len(p.names) == 0 {
		return p.errorf("there is no method %q; the policy has no methods", name)
	}
	return p.errorf("there is no method %q; use one of %s", name, strings.Join(p.names, ", "))
}

// peek skips blanks and returns the byte there, 0 at the end.
func (p *requireParser) peek() byte {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *requireParser) here() string {
	if p.at >= len(p.text) {
		return "the expression ends"
	}
	for i, r := range p.text[p.at:] {
		if i == 0 {
			return fmt.Sprintf("%q", string(r))
		}
	}
	return "the expression ends"
}

func (p *requireParser) errorf(format string, args ...any) error {
	return fmt.Errorf("column %d: "+format, append([]any{p.at + 1}, args...)...)
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
