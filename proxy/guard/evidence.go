package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
)

// Explain judges x as Check does, changes nothing and says how it went, whatever
// the outcome. It is for operators; it allocates.
func (p *Policy) Explain(x *exchange.Exchange) (steps []exchange.Step, allowed bool) {
	before, facts := x.Principal, x.Facts
	x.Principal, x.Facts = exchange.Principal{}, nil
	var d decision
	p.decide(x, &d)
	defer p.done(&d)
	steps = p.steps(x, &d)
	x.Principal, x.Facts = before, facts
	return steps, d.verdict == allow
}

// assumer is a method that can judge claims nobody has signed.
type assumer interface {
	Assume(claims map[string]any, p *exchange.Principal) auth.Result
}

// assumed is a method that is shown claims in place of a request.
type assumed struct {
	auth.Method
	assumer
	claims map[string]any
}

// Authenticate implements auth.Method.
func (a assumed) Authenticate(_ *exchange.Exchange, p *exchange.Principal) auth.Result {
	return a.Assume(a.claims, p)
}

// Assuming returns the policy as it is for a caller with a token of these claims:
// a method that takes tokens judges them as if it had verified a signature over
// them, and looks at no token in the request. Without claims it judges as p does. What
// its rules in shadow would have refused is counted nowhere: nobody has sent anything.
func (p *Policy) Assuming(claims map[string]any) *Policy {
	out := *p
	out.watched = func(*exchange.Exchange, string, string) bool { return false }
	if claims == nil {
		return &out
	}
	out.methods = make([]method, len(p.methods))
	for i, m := range p.methods {
		if a, ok := m.method.(assumer); ok {
			m.method = assumed{m.method, a, claims}
		}
		out.methods[i] = m
	}
	return &out
}

// steps tells how d came about. x is still as it was judged: conditions are
// evaluated again where d kept nothing of them.
func (p *Policy) steps(x *exchange.Exchange, d *decision) []exchange.Step {
	out := make([]exchange.Step, 0, len(p.sources)+len(p.methods)+len(p.rules)+2)
	for i := range p.sources {
		out = append(out, p.sourceStep(x, d, i))
	}
	if d.verdict == closed {
		return out
	}
	if p.public != nil {
		out = append(out, p.publicStep(d))
	}
	for _, i := range p.order {
		out = append(out, p.methodStep(x, d, i))
	}
	if len(p.methods) > 0 {
		out = append(out, p.requirementStep(d))
	}
	for i := range p.facts {
		out = append(out, p.factStep(x, d, i))
	}
	for i := range p.rules {
		out = append(out, p.ruleStep(x, d, i))
	}
	if d.progress == computing {
		h := &p.headers[d.at]
		out = append(out, exchange.Step{Part: exchange.PartHeader, Name: h.name, Policy: p.policyName(h.source), Outcome: exchange.StepFailed, Code: d.code, Cause: h.cause(x)})
	}
	for i := range p.vouchers {
		out = append(out, p.voucherStep(x, d, i))
	}
	return out
}

func (p *Policy) sourceStep(x *exchange.Exchange, d *decision, i int) exchange.Step {
	s := exchange.Step{Part: exchange.PartPolicy, Policy: p.sources[i].policy, Outcome: exchange.StepSkipped}
	switch {
	case d.verdict == closed:
		s.Outcome, s.Code = exchange.StepBroken, d.code
	case d.progress == gating && i == d.source:
		s.Outcome, s.Code = exchange.StepFailed, d.code
		s.When, s.Cause = because(p.sources[i].when, x)
	case d.progress == gating && i > d.source:
		s.Outcome = exchange.StepNotTried
	case d.gates>>i&1 != 0:
		s.Outcome = exchange.StepApplies
	}
	return s
}

func (p *Policy) publicStep(d *decision) exchange.Step {
	s := exchange.Step{Part: exchange.PartPublic, Name: p.public.Reason, Policy: p.policyName(p.public.Source), Outcome: exchange.StepApplies}
	switch {
	case d.progress == gating:
		s.Outcome = exchange.StepNotTried
	case d.gates>>p.public.Source&1 == 0:
		s.Outcome = exchange.StepSkipped
	case p.public.Expires != 0 && p.now().Unix() >= p.public.Expires:
		s.Outcome, s.Code = exchange.StepExpired, auth.CodePublicExpired
	}
	return s
}

func (p *Policy) methodStep(x *exchange.Exchange, d *decision, i int) exchange.Step {
	m := &p.methods[i]
	s := exchange.Step{Part: exchange.PartMethod, Name: m.name, Policy: p.policyName(m.source), Outcome: exchange.StepNotTried, Needs: m.needs}
	for _, r := range d.seen.refusals[:d.seen.n] {
		if r.at == i {
			s.Code = r.code
		}
	}
	if s.Code == auth.CodeRuleError {
		s.When, s.Cause = because(m.when, x)
	}
	bit := uint64(1) << i
	switch applies, err := all(m.when, x); {
	case d.progress == gating:
	case d.gates>>m.source&1 == 0, err == nil && !applies:
		s.Outcome = exchange.StepSkipped
	case d.seen.accepted&bit != 0:
		s.Outcome, s.Needs = exchange.StepAccepted, ""
	case d.seen.unable&bit != 0:
		s.Outcome = exchange.StepUnavailable
	case d.rejected&bit != 0 || s.Code != "":
		s.Outcome = exchange.StepRejected
	case d.seen.tried&bit != 0:
		s.Outcome = exchange.StepAbsent
	}
	if d.progress != authenticating {
		s.Needs = "" // the requirement is met, or was not looked at
	}
	return s
}

func (p *Policy) requirementStep(d *decision) exchange.Step {
	s := exchange.Step{Part: exchange.PartRequirement, Name: p.requires, Outcome: exchange.StepMet}
	switch {
	case d.progress == gating:
		s.Outcome = exchange.StepNotTried
	case d.progress > authenticating:
	case d.verdict == undecidable:
		s.Outcome, s.Code = exchange.StepUnavailable, d.code
	default:
		s.Outcome, s.Code = exchange.StepNotMet, d.code
	}
	return s
}

// fell writes down how the decision fell, on the step that it fell at.
func (d *decision) fell(s *exchange.Step) {
	switch s.Code = d.code; {
	case d.verdict == undecidable:
		s.Outcome = exchange.StepUnavailable
	case d.code == auth.CodeRuleError:
		s.Outcome = exchange.StepFailed
	default:
		s.Outcome = exchange.StepDenied
	}
}

// because is which of the conditions fails, and why; "" where none does.
func because(when []*expr.Program, x *exchange.Exchange) (condition, cause string) {
	for _, w := range when {
		if ok, err := w.Bool(x); err != nil {
			return w.Quoted(), w.Cause(err)
		} else if !ok {
			break
		}
	}
	return "", ""
}

// failing is a rule of which it is known why it comes to auth.CodeRuleError.
type failing interface {
	Cause(x *exchange.Exchange) string
}

// explain says why r comes to auth.CodeRuleError: it, or its conditions, are evaluated again.
func (r *rule) explain(x *exchange.Exchange, s *exchange.Step) {
	if s.When, s.Cause = because(r.when, x); s.Cause != "" {
		return
	}
	if f, is := r.rule.(failing); is {
		s.Cause = f.Cause(x)
	}
}

func (p *Policy) ruleStep(x *exchange.Exchange, d *decision, i int) exchange.Step {
	r := &p.rules[i]
	s := exchange.Step{Part: exchange.PartRule, Name: r.name, Policy: p.policyName(r.source), Outcome: exchange.StepNotTried, Needs: r.needs}
	last := d.progress == authorizing && i == d.at
	s.Shadow = r.shadow
	for n := 0; d.findings != nil && n < d.shadowed; n++ {
		if w := d.shadows[n]; w.at == i {
			if s.Outcome, s.Code = exchange.StepDenied, w.code; w.code == auth.CodeRuleError {
				r.explain(x, &s)
			}
			return s
		}
	}
	switch applies, err := all(r.when, x); {
	case d.progress < authorizing || d.progress == authorizing && i > d.at:
	case last:
		if d.fell(&s); d.code == auth.CodeRuleError {
			r.explain(x, &s)
		}
	case d.gates>>r.source&1 == 0, err == nil && !applies:
		s.Outcome = exchange.StepSkipped
	default:
		s.Outcome, s.Needs = exchange.StepAllowed, ""
	}
	return s
}
