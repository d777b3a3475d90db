package guard

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// serve lets the methods answer what is addressed to them: it does not depend on
// when, for their paths are theirs.
func (p *Policy) serve(x *exchange.Exchange) bool {
	if p.closed != nil {
		return false
	}
	list := p.answering(x.Request.Path, nil)
	for _, other := range p.beside {
		list = other.answering(x.Request.Path, list)
	}
	if len(list) == 0 {
		return false
	}
	who := list[0]
	if len(list) > 1 {
		best := who.interactive.Addressed(x)
		for _, o := range list[1:] {
			if sure := o.interactive.Addressed(x); sure > best {
				who, best = o, sure
			}
		}
	}
	if !who.interactive.Serve(x) {
		return false
	}
	who.policy.trace(x, who.method)
	return true
}

// answering is a method that answers a path itself.
type answering struct {
	policy *Policy
	*method
}

// answering adds those of p that are not in the list yet: policies share methods.
func (p *Policy) answering(path string, list []answering) []answering {
	for i := range p.methods {
		m := &p.methods[i]
		if m.interactive == nil || !m.interactive.Answers(path) {
			continue
		}
		if !slices.ContainsFunc(list, func(o answering) bool { return o.interactive == m.interactive }) {
			list = append(list, answering{p, m})
		}
	}
	return list
}

// Answers reports whether a method answers what asks for path, and is not one of
// those that do so for others.
func (p *Policy) Answers(path string, others ...*Policy) bool {
	if p.closed != nil {
		return false
	}
	var list []answering
	for _, o := range others {
		list = o.answering(path, list)
	}
	return len(p.answering(path, list)) > len(list)
}

// Beside is p where others answer paths too that p's methods do, as the logins of
// several clients which come back to one path.
func (p *Policy) Beside(others []*Policy) *Policy {
	out := *p
	out.beside, out.serving = others, true
	return &out
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
