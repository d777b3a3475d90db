// Package opa allows requests by policies in Rego, evaluated in process: Open
// Policy Agent's compiler and evaluator, without its server, its bundles and its
// plugins.
//
// proxy/guard compiles one Policy per distinct table.OPA at swap. It reaches
// nothing beside the request: what would read the network, files or the
// environment is refused when it is compiled. An evaluation that fails, or takes
// longer than its time, denies.
package opa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxPolicy = 256 << 10
	maxData   = 1 << 20
	maxReason = 256
)

// refused are the functions that reach further than the request: the network,
// the process's environment, and schemas, which may name files and URLs; and the parser
// of policies, which takes seconds for texts of a caller's and cannot be interrupted.
func refused() []string {
	return []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "json.match_schema", "json.verify_schema", "rego.parse_module"}
}

// Policy is a compiled policy. It does not change; requests share it.
type Policy struct {
	compiler *ast.Compiler
	query    ast.Body
	store    storage.Store
	reading  storage.Transaction // nobody writes, so one is enough
	reads    parts               // of the input
	scripts  bool                // index.php is not named, in the policy or its data
	turns    chan struct{}       // of evaluations that take their time
}

// answer is what the query calls the decision.
const answer = ast.Var("answer")

// Compile compiles t. An error says where the fault is, as "line:column: …".
func Compile(t *table.OPA) (*Policy, error) {
	switch {
	case len(t.Policy) > maxPolicy:
		return nil, fmt.Errorf("the policy has %d bytes; use at most %d", len(t.Policy), maxPolicy)
	case len(t.Data) > maxData:
		return nil, fmt.Errorf("the data has %d bytes; use at most %d", len(t.Data), maxData)
	}
	able := capabilities()
	module, err := ast.ParseModuleWithOpts("policy.rego", t.Policy, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: able})
	if err != nil {
		return nil, fault(err)
	}
	p := &Policy{compiler: ast.NewCompiler().WithCapabilities(able), reads: read(module), turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	p.scripts = !strings.Contains(t.Policy, "index.php") && !bytes.Contains(t.Data, []byte("index.php"))
	if p.compiler.Compile(map[string]*ast.Module{"policy.rego": module}); p.compiler.Failed() {
		return nil, fault(p.compiler.Errors)
	}
	decides, err := p.decides(t.Query, module)
	if err != nil {
		return nil, err
	}
	body := ast.NewBody(ast.Equality.Expr(ast.NewTerm(decides), ast.NewTerm(answer)))
	if p.query, err = p.compiler.QueryCompiler().Compile(body); err != nil {
		return nil, fault(err)
	}
	return p, p.load(t.Data, module)
}

// capabilities are all of Rego but what is refused.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return slices.Contains(refused(), b.Name) })
	c.AllowNet = []string{} // of schemas in annotations
	return c
}

// decides finds the rule that decides.
func (p *Policy) decides(query string, module *ast.Module) (ast.Ref, error) {
	ref := module.Package.Path.Append(ast.StringTerm("allow"))
	if query != "" {
		var err error
		if ref, err = ast.ParseRef(query); err != nil || !ref.IsGround() || !ref.HasPrefix(ast.DefaultRootRef) {
			return nil, fmt.Errorf("query %q is not the path of a rule, such as %s.allow", query, module.Package.Path)
		}
	}
	if len(p.compiler.GetRulesExact(ref)) == 0 {
		return nil, fmt.Errorf("the policy has no rule %s; write it, or name another as query", ref)
	}
	return ref, nil
}

// load makes data what the policy finds beside itself.
func (p *Policy) load(data []byte, module *ast.Module) (err error) {
	content := map[string]any{}
	if len(data) > 0 && (json.Unmarshal(data, &content) != nil || content == nil) {
		return errors.New("the data is no JSON object")
	}
	if own, is := module.Package.Path[1].Value.(ast.String); is && content[string(own)] != nil {
		return fmt.Errorf("the data has a member %s, where the policy's own package is; rename one of them", string(own))
	}
	p.store = inmem.NewFromObjectWithOpts(content, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	p.reading, err = p.store.NewTransaction(context.Background())
	return err
}

// fault words a compiler's complaint: its first, with the place.
func fault(err error) error {
	var all ast.Errors
	var e *ast.Error
	switch {
	case errors.As(err, &all) && len(all) > 0:
		e = all[0]
	case !errors.As(err, &e):
		return err
	}
	message, _, _ := strings.Cut(e.Message, "\n")
	if name, is := strings.CutPrefix(message, "undefined function "); is && slices.Contains(refused(), name) {
		message = name + " is refused: a policy reaches nothing beside the request and its data; use externalAuth for what must be asked elsewhere"
	}
	more := ""
	if len(all) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	if message == "empty module" {
		message = "the policy is empty; it begins with a package"
	}
	if e.Location == nil || e.Location.Row == 0 {
		return fmt.Errorf("%s%s", message, more)
	}
	return fmt.Errorf("%d:%d: %s%s", e.Location.Row, e.Location.Col, message, more)
}

// Authorize implements auth.Rule. Where backends may read the request's path as
// another one, as //admin for /admin, a policy that reads it has to allow both.
func (p *Policy) Authorize(x *exchange.Exchange) auth.Result {
	result, _ := p.authorize(x)
	return result
}

// Cause says why Authorize comes to auth.CodeRuleError.
func (p *Policy) Cause(x *exchange.Exchange) string {
	_, err := p.authorize(x)
	var e *topdown.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		return err.Error()
	}
	why := e.Code
	switch e.Code {
	case topdown.BuiltinErr, topdown.TypeErr: // the function; behind it may stand what that was called with
		name, _, _ := strings.Cut(e.Message, ":")
		why += ": " + name
	case topdown.ConflictErr:
		why += ": " + e.Message
	}
	if e.Location == nil {
		return why
	}
	return fmt.Sprintf("%d:%d: %s", e.Location.Row, e.Location.Col, why)
}

// authorize is Authorize, with why where that is auth.CodeRuleError.
func (p *Policy) authorize(x *exchange.Exchange) (auth.Result, error) {
	result, err := p.decide(x)
	if result.Outcome != auth.Accepted || !p.reads.path || !x.Request.Veiled() {
		return result, err
	}
	x.Request.Reread(p.scripts, func() bool {
		result, err = p.decide(x)
		return result.Outcome == auth.Accepted
	})
	return result, err
}

var (
	errInput    = errors.New("a query parameter is there more than once")
	errDecision = errors.New("the rule comes to something that is neither true, false, nor an object of which allow is one of them")
)

func (p *Policy) decide(x *exchange.Exchange) (auth.Result, error) {
	in, ok := p.reads.input(x)
	if !ok {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRuleError}, errInput
	}
	w := newWatch(p.turns)
	defer w.done()
	results, err := topdown.NewQuery(p.query).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.reading).
		WithInput(in).WithTime(x.Start).WithCancel(w).WithStrictBuiltinErrors(true).Run(context.Background())
	switch {
	case topdown.IsCancel(err):
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRegoTime}, nil
	case err != nil:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRuleError}, err
	case len(results) == 0: // the rule is undefined
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRego}, nil
	}
	result := decision(results[0][answer].Value)
	if result.Code == auth.CodeRuleError {
		err = errDecision
	}
	return result, err
}

// decision reads what the rule came to: true or false, or an object of allow and
// perhaps reason.
func decision(v ast.Value) auth.Result {
	reason := ""
	if o, is := v.(ast.Object); is {
		if text, is := member(o, "reason").(ast.String); is {
			reason = string(text)
		}
		v = member(o, "allow")
	}
	allow, is := v.(ast.Boolean)
	switch {
	case !is:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRuleError}
	case bool(allow):
		return auth.Result{Outcome: auth.Accepted}
	case reason == "":
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRego}
	}
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRego, Answer: &auth.Answer{Detail: printable(reason)}}
}

func member(o ast.Object, name string) ast.Value {
	if t := o.Get(ast.InternedTerm(name)); t != nil {
		return t.Value
	}
	return nil
}

// printable is a reason without control characters, and not too long.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}
