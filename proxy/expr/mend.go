package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// explain writes the library's findings as "line:column: what; what to do".
func (e *Env) explain(text string, issues *cel.Issues) error {
	var lines []string
	for _, found := range issues.Errors() {
		at := found.Location
		lines = append(lines, fmt.Sprintf("%d:%d: %s", at.Line(), at.Column()+1, e.mend(found.Message, rest(text, at.Line(), at.Column()))))
		if len(lines) == 10 {
			break
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// rest is what stands in text from a line on, counted from one, and a column,
// counted from zero in characters; the library has -1 where it knows no place.
func rest(text string, line, column int) string {
	for ; line > 1; line-- {
		_, text, _ = strings.Cut(text, "\n")
	}
	return string([]rune(text)[min(max(column, 0), utf8.RuneCountInString(text)):])
}

// partOf is the name of the part that text begins by asking of an object, "" for
// none.
func partOf(object, text string) string {
	text, dotted := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(text, object)), ".")
	if !dotted {
		return ""
	}
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		return text
	}
	return text[:end]
}

// mend adds the remedy to a finding. found is what stands there.
func (e *Env) mend(message, found string) string {
	message = strings.ReplaceAll(strings.TrimSpace(message), "\n", " ")
	if name, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if strings.HasPrefix(found, "(") { // of a call the library gives the place of its parenthesis
			return "there is no function " + name + e.function(name)
		}
		part, fields := partOf(name, found), known(name)
		switch {
		case !strings.HasPrefix(fields, name+"."):
			return fmt.Sprintf("there is no %s; there are %s", name, fields)
		case part == "":
			return fmt.Sprintf("%s is no value by itself; there are %s", name, fields)
		default:
			return fmt.Sprintf("there is no %s.%s; there are %s", name, part, fields)
		}
	}
	switch {
	case strings.HasPrefix(message, "found no matching overload"):
		return message + "; compare values of one type, or convert with string(), int() or double()"
	case strings.HasPrefix(message, "Syntax error") && found == "":
		return "it ends too early; complete it"
	case strings.HasPrefix(message, "Syntax error"):
		message, _, _ = strings.Cut(message, " expecting ") // a list of all the grammar has
		return message + "; correct the expression there"
	case strings.HasPrefix(message, "comprehension exceeds nesting limit"):
		return fmt.Sprintf("loops are nested more than %d deep; loop once over each list", maxNesting)
	}
	return message
}

// function suggests the function that was probably meant: the one that differs
// in case alone, or else those that begin or end alike.
func (e *Env) function(wrong string) string {
	var same, alike []string
	lower := strings.ToLower(wrong)
	for name := range e.env.Functions() {
		if !unicode.IsLetter(rune(name[0])) { // operators have names such as _==_
			continue
		}
		other := strings.ToLower(name)
		switch {
		case other == lower:
			same = append(same, name)
		case strings.HasPrefix(lower, other), strings.HasPrefix(other, lower), strings.HasSuffix(lower, other), strings.HasSuffix(other, lower):
			alike = append(alike, name)
		}
	}
	if len(same) == 0 {
		same = alike
	}
	if len(same) == 0 {
		return ""
	}
	slices.Sort(same)
	return "; did you mean " + strings.Join(same, " or ") + "?"
}

// capitals finds a header that is asked for by a name which no header has here,
// since all are in lower case: such an expression never comes to what was meant.
func capitals(checked *cel.Ast) (err error) {
	tree := checked.NativeRep()
	look := func(at int64, of ast.Expr, name string) {
		if err != nil || of.Kind() != ast.IdentKind || of.AsIdent() != "request.headers" || name == strings.ToLower(name) {
			return
		}
		place := tree.SourceInfo().GetStartLocation(at)
		err = fmt.Errorf("%d:%d: names of header fields are in lower case here, so there is never a %s; write %s", place.Line(), place.Column()+1, name, strings.ToLower(name))
	}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			look(e.ID(), e.AsSelect().Operand(), e.AsSelect().FieldName())
		case ast.CallKind:
			args := e.AsCall().Args()
			if len(args) != 2 {
				return
			}
			of, key := args[0], args[1]
			switch e.AsCall().FunctionName() {
			case operators.In:
				of, key = key, of
			case operators.Index, operators.OptIndex, operators.OptSelect:
			default:
				return
			}
			if key.Kind() != ast.LiteralKind {
				return
			}
			if name, ok := key.AsLiteral().(types.String); ok {
				look(key.ID(), of, string(name))
			}
		}
	}))
	return err
}
