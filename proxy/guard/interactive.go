package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// serve lets the methods answer what is addressed to them: it does not depend on
// when, for their paths are theirs.
func (p *Policy) serve(x *exchange.Exchange) bool {
	if p.closed != nil {
		return false
	}
	for i := range p.methods {
		if m := &p.methods[i]; m.interactive != nil && m.interactive.Serve(x) {
			p.trace(x, m)
			return true
		}
	}
	return false
}

// invite lets a method that applies, and does not know the caller yet, answer in
// place of 401. It is for callers who sent nothing: one whose credential is wrong
// hears that.
func (p *Policy) invite(x *exchange.Exchange, d *decision) bool {
	if d.code != auth.CodeMissing {
		return false
	}
	for i := range p.methods {
		m := &p.methods[i]
		if m.interactive == nil || d.gates>>m.source&1 == 0 || d.seen.accepted>>i&1 != 0 {
			continue
		}
		if applies, err := all(m.when, x); !applies || err != nil {
			continue
		}
		if m.interactive.Invite(x) {
			p.trace(x, m)
			return true
		}
	}
	return false
}

// trace says whose answer it was, where a method's own answer is a refusal.
func (p *Policy) trace(x *exchange.Exchange, m *method) {
	x.Trace.Denied, x.Trace.Policy = "", ""
	if x.Response.Status >= 400 {
		x.Trace.Denied, x.Trace.Policy = x.Response.Code, p.policyName(m.source)
	}
}
