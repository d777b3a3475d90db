// Package expr is the expression language of policies: CEL over a declared,
// type-checked view of one request.
//
// proxy/guard and proxy/validate compile a policy's expressions at swap and run
// them on requests; Env.Check is among the proxy.Checks that the control half has, so
// that a policy is refused for exactly what the proxy would refuse.
//
// What an expression can see (see variables): request, source, auth, route and
// context. What it may cost is bounded twice: when it is compiled, by the
// estimate over a large request, and when it runs.
package expr

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// The bounds of an expression.
const (
	maxBytes   = 4096
	maxDepth   = 64         // of the syntax tree
	maxNesting = 2          // comprehensions inside comprehensions
	maxRegexp  = 1000       // instructions of a regular expression
	compileMax = 10_000_000 // estimated worst cost above which an expression is refused
	runMax     = 20_000     // cost at which a run is cut off; about 1 ms
	countFrom  = 1_000      // estimated worst cost above which a run is counted
)

// Kind is what an expression must come to.
type Kind uint8

// The kinds.
const (
	Bool   Kind = iota // a condition
	String             // a header's value: text, a number, a boolean, a list of text, or null for none
	JSON               // anything JSON has a word for
)

// Env compiles expressions. It is good for any number of them, at the same time.
type Env struct {
	env *cel.Env
}

// New makes the environment. It takes about a millisecond and does not fail
// unless the CEL library changed under it.
func New() (*Env, error) {
	env, err := cel.NewCustomEnv(options()...)
	if err != nil {
		return nil, fmt.Errorf("expression environment: %w", err)
	}
	return &Env{env}, nil
}

// Program is an expression ready to run, by many requests at once.
type Program struct {
	text    string
	program cel.Program
	test    test   // answers in place of the program where it is sure; nil: nothing does
	read    reader // the same, for an expression that is a text
	paths   bool   // it is of the request's path
	scripts bool   // and does not name index.php
}

// Check reports what is wrong with an expression, one problem a line, each with
// its line and column, what is wrong there and what to write instead.
func (e *Env) Check(text string, kind Kind) error {
	_, err := e.check(text, kind)
	return err
}

// Compile checks an expression and prepares it.
func (e *Env) Compile(text string, kind Kind) (*Program, error) {
	checked, err := e.check(text, kind)
	if err != nil {
		return nil, err
	}
	cost, err := e.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fmt.Errorf("expression %q: its cost cannot be estimated: %w", text, err)
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if cost.Max > countFrom {
		// Counting costs about a microsecond, so a run without loops is not counted.
		opts = append(opts, cel.CostLimit(runMax))
	}
	p, err := e.env.Program(checked, opts...)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	root := checked.NativeRep().Expr()
	out := &Program{text: text, program: p, paths: reads(root, "request.path"), scripts: !strings.Contains(text, "index.php")}
	switch kind {
	case Bool:
		out.test = testOf(root)
	case String:
		out.read = readerOf(root)
	case JSON:
	}
	return out, nil
}

func (e *Env) check(text string, kind Kind) (*cel.Ast, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("expression of %d bytes; use at most %d", len(text), maxBytes)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("expression is empty; write one, such as request.method == 'GET'")
	}
	checked, issues := e.env.Compile(text)
	if issues.Err() != nil {
		return nil, e.explain(text, issues)
	}
	if err := checkKind(checked.OutputType(), kind); err != nil {
		return nil, err
	}
	if calls(checked, "format") {
		return nil, errFormat
	}
	if err := capitals(checked); err != nil {
		return nil, err
	}
	cost, err := e.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, fmt.Errorf("its cost cannot be estimated: %w", err)
	}
	if cost.Min > runMax || cost.Max > compileMax {
		return nil, fmt.Errorf("it may cost %d on a large request and %d is allowed; loop over less, or compare exact values instead of searching text",
			cost.Max, uint64(compileMax))
	}
	return checked, nil
}

// errFormat is because nobody counts what format makes of its arguments, and a
// few in a row would fill the memory.
var errFormat = errors.New("format is not available; join text with +")

func calls(checked *cel.Ast, function string) (found bool) {
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == function
	}))
	return found
}

// reads reports whether an expression reads a variable.
func reads(e ast.Expr, variable string) (found bool) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.IdentKind && e.AsIdent() == variable
	}))
	return found
}

func checkKind(t *cel.Type, kind Kind) error {
	if kind != Bool && t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type" {
		t = t.Parameters()[0]
	}
	switch t.Kind() {
	case types.DynKind, types.AnyKind:
		return nil
	case types.MapKind, types.TimestampKind, types.DurationKind:
		if kind == JSON {
			return nil
		}
	case types.BoolKind:
		return nil
	case types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.ListKind, types.NullTypeKind:
		if kind != Bool {
			return nil
		}
	}
	if kind == Bool {
		return fmt.Errorf("it comes to a %s, and a condition is true or false; compare it with something, as in … == 'value'", cel.FormatCELType(t))
	}
	return fmt.Errorf("it comes to a %s, which has no text; use a string, number, boolean or list of strings", cel.FormatCELType(t))
}

// Bool runs a condition. An error, such as a claim that is not there, is for
// the caller to take as false.
//
// Where backends may read the request's path as another one, as //admin for
// /admin, it has to be the same for both: nothing that is guarded hides
// behind such a path, and nothing that is not passes for what is left open.
func (p *Program) Bool(x *exchange.Exchange) (bool, error) {
	yes, err := p.holds(x)
	if err != nil || !p.paths || !x.Request.Veiled() {
		return yes, err
	}
	x.Request.Reread(p.scripts, func() bool {
		var other bool
		if other, err = p.holds(x); err == nil && other != yes {
			err = errVeiled
		}
		return err == nil
	})
	return yes && err == nil, err
}

func (p *Program) holds(x *exchange.Exchange) (bool, error) {
	if p.test != nil {
		if yes, sure := p.test(x); sure {
			return yes, nil
		}
	}
	v, err := p.run(x)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errNotBool
	}
	return bool(b), nil
}

// String runs an expression for a text. It returns false for no value: null, or a
// key that is not there. A list is joined by commas; an element with one in it is
// an error.
func (p *Program) String(x *exchange.Exchange) (string, bool, error) {
	if p.read != nil {
		if s, sure := p.read(x); sure {
			return s, true, nil
		}
	}
	v, err := p.value(x)
	if err != nil || v == nil {
		return "", false, err
	}
	return text(v)
}

// Field is String for a header field. What has no place in one is
// percent-encoded, a comma within an element of a list too. The value is in
// memory of the exchange's, or of what it was computed from.
func (p *Program) Field(x *exchange.Exchange) (string, bool, error) {
	if p.read != nil {
		if s, sure := p.read(x); sure {
			return encode(x, s, '%'), true, nil
		}
	}
	v, err := p.value(x)
	if err != nil || v == nil {
		return "", false, err
	}
	return fieldText(x, v)
}

// value is nil for a key that is not there.
func (p *Program) value(x *exchange.Exchange) (ref.Val, error) {
	v, err := p.run(x)
	if err != nil && absent(err) {
		return nil, nil //nolint:nilnil // no value is no error
	}
	return v, err
}

// noKey is how the library's errors begin where a key is not there.
const noKey = "no such key"

// absent reports whether a run failed for want of a key.
func absent(err error) bool { return strings.HasPrefix(err.Error(), noKey) }

// Text returns the expression as it was written.
func (p *Program) Text() string { return p.text }

func (p *Program) run(x *exchange.Exchange) (ref.Val, error) {
	v := views.Get().(*view)
	v.set(x)
	out, _, err := p.program.Eval(v)
	v.set(nil)
	views.Put(v)
	return out, err
}

var (
	errNotBool = errors.New("the expression came to something that is neither true nor false")
	errVeiled  = errors.New("the request's path may be read as another one, for which the expression comes to something else")
	errNoText  = errors.New("the expression came to something that has no text")
)
