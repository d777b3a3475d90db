// Package cel allows requests for which an expression is true.
//
// proxy/guard builds one Rule per table.AuthRule that has CEL; proxy/expr says
// what an expression can see.
package cel

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
)

// Rule is one expression.
type Rule struct {
	allow *expr.Program
}

// New compiles the expression.
func New(env *expr.Env, text string) (*Rule, error) {
	p, err := env.Compile(text, expr.Bool)
	if err != nil {
		return nil, err
	}
	return &Rule{p}, nil
}

// Cause says why Authorize comes to auth.CodeRuleError.
func (r *Rule) Cause(x *exchange.Exchange) string {
	if _, err := r.allow.Bool(x); err != nil {
		return r.allow.Cause(err)
	}
	return ""
}

// Authorize implements auth.Rule. An expression that fails, because a claim it
// reads is missing or its cost limit is reached, refuses.
func (r *Rule) Authorize(x *exchange.Exchange) auth.Result {
	switch ok, err := r.allow.Bool(x); {
	case err != nil:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRuleError}
	case !ok:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRule}
	}
	return auth.Result{Outcome: auth.Accepted}
}
