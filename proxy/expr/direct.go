package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// The library makes an object of each text and number it reads, for every request.
// Most of what policies ask needs none: texts are compared with texts, claims are
// looked up. That is done here, on the values as they are.
//
// What is here knows only answers, no errors: a function says that it is sure, and
// its answer is the library's, or it says that it is not. Then the library runs the
// whole expression, so that there is one meaning of a missing key or of a type that
// does not fit. Being sure never costs more than the texts are long.

// test is a condition.
type test func(x *exchange.Exchange) (yes, sure bool)

// reader is a text.
type reader func(x *exchange.Exchange) (text string, sure bool)

// lookup is a value among claims, as encoding/json has it.
type lookup func(x *exchange.Exchange) (value any, sure bool)

// testOf makes a test; nil where the library has to be asked.
func testOf(e ast.Expr) test {
	switch e.Kind() {
	case ast.LiteralKind:
		b, is := e.AsLiteral().(types.Bool)
		if !is {
			return nil
		}
		return func(*exchange.Exchange) (bool, bool) { return bool(b), true }
	case ast.SelectKind:
		if s := e.AsSelect(); s.IsTestOnly() {
			return presence(s.Operand(), s.FieldName())
		}
		return boolean(e)
	case ast.CallKind:
		return called(e)
	}
	return nil
}

// called is the test that a call makes.
func called(e ast.Expr) test {
	c := e.AsCall()
	args := c.Args()
	if c.IsMemberFunction() {
		args = append([]ast.Expr{c.Target()}, args...)
	}
	switch f := c.FunctionName(); {
	case f == operators.Index:
		return boolean(e)
	case f == operators.LogicalNot && len(args) == 1:
		return negated(testOf(args[0]))
	case f == operators.Conditional && len(args) == 3:
		return either(testOf(args[0]), testOf(args[1]), testOf(args[2]))
	case f == operators.LogicalAnd:
		return decided(args, false)
	case f == operators.LogicalOr:
		return decided(args, true)
	case len(args) != 2:
		return nil
	case f == operators.Equals:
		return equal(args[0], args[1])
	case f == operators.NotEquals:
		return negated(equal(args[0], args[1]))
	case f == operators.In:
		return member(readerOf(args[0]), args[1])
	case f == overloads.StartsWith:
		return compared(args, strings.HasPrefix)
	case f == overloads.EndsWith:
		return compared(args, strings.HasSuffix)
	case f == overloads.Contains:
		return compared(args, strings.Contains)
	default:
		return ordered(f, args[0], args[1])
	}
}

// decided is && for by being false, || for by being true: one term that is so
// decides, whatever the others come to, errors included. Terms that only the
// library knows stay open.
func decided(args []ast.Expr, by bool) test {
	var known []test
	for _, a := range args {
		if t := testOf(a); t != nil {
			known = append(known, t)
		}
	}
	if len(known) == 0 {
		return nil
	}
	whole := len(known) == len(args)
	return func(x *exchange.Exchange) (bool, bool) {
		all := whole
		for _, t := range known {
			switch yes, sure := t(x); {
			case !sure:
				all = false
			case yes == by:
				return by, true
			}
		}
		return !by, all
	}
}

func negated(t test) test {
	if t == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		yes, sure := t(x)
		return !yes, sure
	}
}

func either(condition, then, otherwise test) test {
	if condition == nil || then == nil || otherwise == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		switch yes, sure := condition(x); {
		case !sure:
			return false, false
		case yes:
			return then(x)
		}
		return otherwise(x)
	}
}

// boolean is a claim that is true or false by itself.
func boolean(e ast.Expr) test {
	l := lookupOf(e)
	if l == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		v, sure := l(x)
		b, is := v.(bool)
		return b, sure && is
	}
}

func compared(args []ast.Expr, by func(a, b string) bool) test {
	a, b := readerOf(args[0]), readerOf(args[1])
	if a == nil || b == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		s, sure := a(x)
		if !sure {
			return false, false
		}
		t, sure := b(x)
		return sure && by(s, t), sure
	}
}

// equal compares two texts, or a claim with a constant. Values of two types are
// not equal, but a test here leaves that to the library.
func equal(a, b ast.Expr) test {
	if t := compared([]ast.Expr{a, b}, func(s, t string) bool { return s == t }); t != nil {
		return t
	}
	if a.Kind() == ast.LiteralKind {
		a, b = b, a
	}
	l := lookupOf(a)
	if l == nil || b.Kind() != ast.LiteralKind {
		return nil
	}
	if want, is := b.AsLiteral().(types.Bool); is {
		return func(x *exchange.Exchange) (bool, bool) {
			v, sure := l(x)
			got, is := v.(bool)
			return got == bool(want), sure && is
		}
	}
	return numeric(l, b, func(order int) bool { return order == 0 })
}

// ordered compares a claim with a number.
func ordered(f string, a, b ast.Expr) test {
	flipped := a.Kind() == ast.LiteralKind
	if flipped {
		a, b = b, a
	}
	l := lookupOf(a)
	if l == nil {
		return nil
	}
	sign := 1
	if flipped {
		sign = -1
	}
	switch f {
	case operators.Less:
		return numeric(l, b, func(order int) bool { return sign*order < 0 })
	case operators.LessEquals:
		return numeric(l, b, func(order int) bool { return sign*order <= 0 })
	case operators.Greater:
		return numeric(l, b, func(order int) bool { return sign*order > 0 })
	case operators.GreaterEquals:
		return numeric(l, b, func(order int) bool { return sign*order >= 0 })
	}
	return nil
}

// numeric compares a claim that is a number with a constant. JSON's numbers are
// doubles, and know neither infinities nor what is not a number.
func numeric(l lookup, constant ast.Expr, holds func(order int) bool) test {
	if constant.Kind() != ast.LiteralKind {
		return nil
	}
	var want float64
	switch c := constant.AsLiteral().(type) {
	case types.Int:
		want = float64(c)
	case types.Double:
		want = float64(c)
	default:
		return nil
	}
	const exact = 1 << 53
	if want < -exact || want > exact {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		v, sure := l(x)
		got, is := v.(float64)
		switch {
		case !sure || !is:
			return false, false
		case got < want:
			return holds(-1), true
		case got > want:
			return holds(1), true
		}
		return holds(0), got == want
	}
}

// member is "in": a text among constants, in a claim, or in the words of a text;
// or a name in a map.
func member(text reader, in ast.Expr) test {
	if text == nil {
		return nil
	}
	has := container(in)
	if has == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		s, sure := text(x)
		if !sure {
			return false, false
		}
		return has(x, s)
	}
}

// container says whether a text is in what e comes to.
func container(e ast.Expr) func(x *exchange.Exchange, s string) (yes, sure bool) {
	switch e.Kind() {
	case ast.IdentKind:
		switch e.AsIdent() {
		case "request.headers":
			return func(x *exchange.Exchange, s string) (bool, bool) { return (&headers{x: x}).has(s), true }
		case "request.query":
			return func(x *exchange.Exchange, s string) (bool, bool) {
				_, n := x.Query(s)
				return n > 0, true
			}
		}
	case ast.ListKind:
		return among(e.AsList())
	case ast.CallKind:
		if c := e.AsCall(); c.FunctionName() == "split" && c.IsMemberFunction() && len(c.Args()) == 1 {
			return words(readerOf(c.Target()), c.Args()[0])
		}
	}
	l := lookupOf(e)
	if l == nil {
		return nil
	}
	return func(x *exchange.Exchange, s string) (bool, bool) {
		v, sure := l(x)
		if !sure {
			return false, false
		}
		return contains(v, s)
	}
}

func among(l ast.ListExpr) func(*exchange.Exchange, string) (bool, bool) {
	var list []string
	for _, e := range l.Elements() {
		if e.Kind() != ast.LiteralKind {
			return nil
		}
		s, is := e.AsLiteral().(types.String)
		if !is {
			return nil
		}
		list = append(list, string(s))
	}
	return func(_ *exchange.Exchange, s string) (bool, bool) { return slices.Contains(list, s), true }
}

// words are what a text is split into by a constant.
func words(text reader, by ast.Expr) func(*exchange.Exchange, string) (bool, bool) {
	if text == nil || by.Kind() != ast.LiteralKind {
		return nil
	}
	separator, is := by.AsLiteral().(types.String)
	if !is || separator == "" {
		return nil
	}
	return func(x *exchange.Exchange, s string) (bool, bool) {
		rest, sure := text(x)
		if !sure {
			return false, false
		}
		for more := true; more; {
			var word string
			if word, rest, more = strings.Cut(rest, string(separator)); word == s {
				return true, true
			}
		}
		return false, true
	}
}

// contains reports whether a text is in a list of texts, or names a member. Other
// elements of a list are not equal to a text.
func contains(v any, s string) (yes, sure bool) {
	switch t := v.(type) {
	case []any:
		for _, e := range t {
			if have, is := e.(string); is && have == s {
				return true, true
			}
		}
		return false, true
	case []string:
		return slices.Contains(t, s), true
	case map[string]any:
		_, there := t[s]
		return there, true
	case map[string]string:
		_, there := t[s]
		return there, true
	}
	return false, false
}

// presence is has().
func presence(operand ast.Expr, name string) test {
	if operand.Kind() == ast.IdentKind {
		switch operand.AsIdent() {
		case "request.headers":
			return func(x *exchange.Exchange) (bool, bool) { return (&headers{x: x}).has(name), true }
		case "request.query":
			return func(x *exchange.Exchange) (bool, bool) {
				_, n := x.Query(name)
				return n == 1, n <= 1
			}
		}
	}
	l := lookupOf(operand)
	if l == nil {
		return nil
	}
	return func(x *exchange.Exchange) (bool, bool) {
		v, sure := l(x)
		switch m := v.(type) {
		case map[string]any:
			_, there := m[name]
			return there, sure
		case map[string]string:
			_, there := m[name]
			return there, sure
		}
		return false, false
	}
}
