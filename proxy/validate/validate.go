// Package validate checks that a request has the form its rule's effective
// policy (table.Validation) asks for, before a backend hears of it.
//
// proxy/router builds one Policy per table.Validation; the proxy calls Check on
// each request of the rule, after authentication.
package validate

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Policy is one rule's effective validation, ready to run. It does not change.
type Policy struct {
	closed *table.Reply
}

// Build makes a policy. An error names the part that cannot be used.
func Build(v *table.Validation, env *expr.Env) (*Policy, error) {
	return &Policy{closed: v.Closed}, nil
}

// Check reports whether x has the form the policy asks for. If not, x.Response
// is the answer and x.Trace says why.
func (p *Policy) Check(x *exchange.Exchange) bool {
	if p.closed != nil {
		x.Reply(p.closed.Status, p.closed.Code, p.closed.Detail)
		x.Trace.Denied = p.closed.Code
		return false
	}
	return true
}

// Shadow notes in x.Trace what Check would have refused.
func (p *Policy) Shadow(x *exchange.Exchange) {
	if p.closed != nil {
		x.Trace.Shadow = p.closed.Code
	}
}
