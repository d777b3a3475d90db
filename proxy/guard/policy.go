package guard

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Policy is one rule's effective policy, ready to run. It does not change. What every
// request looks at comes first.
type Policy struct {
	needs
	methods []method // by name
	order   []int    // in which methods are tried: by name, anonymous ones last
	require table.Requirement
	replies
	public *table.Public
	rules  []rule
	facts  []step
	disclosed
	sources  []source
	now      func() time.Time
	watched  func(x *exchange.Exchange, policy, cause string) (keep bool)
	requires string    // the text of require
	beside   []*Policy // whose methods may be meant where those of this one have the path
}

// needs is what of deciding a policy needs.
type needs struct {
	gates      uint64 // sources that apply to every request
	gating     bool   // others have conditions
	any        bool   // any one of the methods will do
	sole       bool   // it is one, and applies to every request
	judging    bool   // something follows authentication
	findings   bool   // something of it finds what a verdict does not say
	serving    bool   // a method may answer what asks for its own paths
	forwarding bool   // one may hand on something of its own
}

// replies are what is answered in place of the usual; nil for that.
type replies struct {
	closed, unauthenticated, denied *table.Reply
}

// disclosed is what the backend is told.
type disclosed struct {
	forward    bool // credentials stay in the forwarded request
	headers    []header
	identities []string // names of headers, those of vouchers, of logins' tokens and of services that are asked too
	vouchers   []voucher
}

type source struct {
	policy string
	when   []*expr.Program
}

type method struct {
	name      string
	source    int
	when      []*expr.Program
	method    auth.Method
	anonymous bool
	challenge string // to a caller who sent nothing for this method
	refused   string // to one whose credential it refused
	needs     string // what it accepts, for the operator

	interactive auth.Interactive // method, if it is one
	forwarder   auth.Forwarder   // the same
}

type rule struct {
	name   string
	source int
	when   []*expr.Program
	shadow bool // it refuses nobody
	rule   auth.Rule
	needs  string // what it allows, for the operator
}

// Check decides on a request. If it may pass, the request is made ready for the
// backend (credentials removed, identity headers set) and x.Principal says who
// calls. If not, it returns false and x.Response is the answer, with
// x.Trace.Denied and Policy set.
func (p *Policy) Check(x *exchange.Exchange) bool {
	x.Principal = exchange.Principal{}
	x.Forget()
	if p.serving && p.serve(x) {
		return false
	}
	var d decision
	p.decide(x, &d)
	allowed := p.conclude(x, &d)
	if d.findings != nil {
		p.done(&d)
	}
	return allowed
}

// conclude makes x ready for the backend, or sets up the answer.
func (p *Policy) conclude(x *exchange.Exchange, d *decision) bool {
	if d.verdict == allow && len(p.vouchers) > 0 {
		d.progress = furnishing
		p.furnish(x, d)
	}
	if d.verdict != allow {
		x.Trace.Steps = append(x.Trace.Steps, p.steps(x, d)...)
		p.refuse(x, d)
		return false
	}
	if d.findings != nil && d.shadowed > 0 {
		p.watch(x, d)
	}
	for i := range p.methods {
		if m := &p.methods[i]; !p.forward && d.gates>>m.source&1 != 0 {
			m.method.Strip(x)
		}
	}
	if len(p.identities) > 0 || p.forwarding || d.findings != nil {
		p.tell(x, d)
	}
	return true
}

// tell hands the backend what it is told of x, which may pass.
func (p *Policy) tell(x *exchange.Exchange, d *decision) {
	p.identify(x, d)
	for i := 0; p.forwarding && i < len(p.methods); i++ {
		if m := &p.methods[i]; m.forwarder != nil && m.name == x.Principal.Method {
			m.forwarder.Forward(x)
		}
	}
	if d.findings != nil {
		for _, a := range d.granted[:d.grants] {
			a.Apply(x)
		}
		p.vouch(x, d)
	}
}

// watch tells what the rules in shadow would have refused of x, which may pass.
func (p *Policy) watch(x *exchange.Exchange, d *decision) {
	keep := false
	for _, s := range d.shadows[:d.shadowed] {
		policy := p.policyName(p.rules[s.at].source)
		if x.Trace.Shadow == "" {
			x.Trace.Shadow, x.Trace.Policy = s.code, policy
		}
		keep = p.watched(x, policy, s.code) || keep
	}
	if keep {
		x.Trace.Steps = append(x.Trace.Steps, p.steps(x, d)...)
	}
}

// Shadow decides as Check does and only notes what Check would have refused, in
// x.Trace. Nothing else about x changes.
func (p *Policy) Shadow(x *exchange.Exchange) {
	principal, facts := x.Principal, x.Facts
	x.Principal, x.Facts = exchange.Principal{}, nil
	var d decision
	p.decide(x, &d)
	defer p.done(&d)
	x.Principal, x.Facts = principal, facts
	if d.verdict == allow && d.findings != nil && d.shadowed > 0 { // a rule that is watched, in a policy that is
		d.code, d.source = d.shadows[0].code, p.rules[d.shadows[0].at].source
	}
	if d.code == "" || x.Trace.Shadow != "" {
		return
	}
	x.Trace.Shadow = d.code
	if x.Trace.Denied == "" {
		x.Trace.Policy = p.policyName(d.source)
	}
}

func (p *Policy) policyName(source int) string {
	if source < len(p.sources) {
		return p.sources[source].policy
	}
	return ""
}
