package guard

import (
	"math/bits"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Policy is one rule's effective policy, ready to run. It does not change.
type Policy struct {
	closed   *table.Reply
	sources  []source
	public   *table.Public
	now      func() time.Time
	watched  func(x *exchange.Exchange, policy, cause string) (keep bool)
	methods  []method // by name
	order    []int    // in which methods are tried: by name, anonymous ones last
	require  table.Requirement
	requires string // its text
	facts    []step
	rules    []rule
	disclosed
	unauthenticated *table.Reply
	denied          *table.Reply
	beside          []*Policy // whose methods may be meant where those of this one have the path
}

// disclosed is what the backend is told.
type disclosed struct {
	headers    []header
	identities []string // names of headers, those of vouchers, of logins' tokens and of services that are asked too
	vouchers   []voucher
	forward    bool // credentials stay in the forwarded request
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

// verdict is how a decision ended.
type verdict uint8

const (
	allow           verdict = iota
	unauthenticated         // 401
	forbidden               // 403
	undecidable             // 503
	closed
)

// decision is a verdict with its cause.
type decision struct {
	verdict    verdict
	code       string
	source     int           // the policy object behind it
	retryAfter time.Duration // with undecidable
	gates      uint64        // sources that apply to the request
	rejected   uint64        // methods whose credential was there and wrong
	progress   progress      // how far it came
	at         int           // the step, rule or header that decided, when that progress is the last
	seen       seen
	shadows    [4]refusal   // the first rules in shadow that would have refused
	shadowed   int          // of shadows
	answer     *auth.Answer // what the service that refused wants answered
	granted    [maxAsked]*auth.Answer
	grants     int              // services that allowed, and want something changed
	missing    [maxSteps]string // by step: why there is nothing of an optional one
}

// judgement is a decision with what it lets the backend be told.
type judgement struct {
	decision
	values      [maxHeaders]string
	credentials [maxCredentials]string
}

// judgements are used again. One is 2 KiB: on the stacks of all the connections'
// goroutines that would be memory which no request finds in the processor's cache.
var judgements = sync.Pool{New: func() any { return new(judgement) }}

// done gives j back, which p has filled.
func (p *Policy) done(j *judgement) {
	j.decision = decision{}
	clear(j.values[:len(p.headers)])
	clear(j.credentials[:len(p.vouchers)])
	judgements.Put(j)
}

// progress is how far a decision came.
type progress uint8

const (
	gating         progress = iota // which policies apply
	authenticating                 // who is calling
	fetching                       // what is to be known of them
	authorizing                    // may they
	computing                      // what the backend is told
	decided                        // all of it
	furnishing                     // what the backend asks of the gateway itself
)

// seen is what the methods said, for the operator who asks why.
type seen struct {
	tried, accepted, unable uint64
	refusals                [4]refusal // the first that rejected or could not tell
	n                       int
}

// refusal is what the method or rule of this number said.
type refusal struct {
	at   int
	code string
}

func (s *seen) note(i int, r auth.Result) {
	s.tried |= 1 << i
	switch r.Outcome {
	case auth.Accepted:
		s.accepted |= 1 << i
		return
	case auth.Absent:
		return
	case auth.Unavailable:
		s.unable |= 1 << i
	case auth.Rejected:
	}
	if s.n < len(s.refusals) {
		s.refusals[s.n] = refusal{i, r.Code}
		s.n++
	}
}

// Check decides on a request. If it may pass, the request is made ready for the
// backend (credentials removed, identity headers set) and x.Principal says who
// calls. If not, it returns false and x.Response is the answer, with
// x.Trace.Denied and Policy set.
func (p *Policy) Check(x *exchange.Exchange) bool {
	x.Principal = exchange.Principal{}
	x.Forget()
	if p.serve(x) {
		return false
	}
	j := p.decide(x)
	allowed := p.conclude(x, j)
	p.done(j)
	return allowed
}

// conclude makes x ready for the backend, or sets up the answer.
func (p *Policy) conclude(x *exchange.Exchange, j *judgement) bool {
	d := &j.decision
	if d.verdict == allow && len(p.vouchers) > 0 {
		d.progress = furnishing
		p.furnish(x, j)
	}
	if d.verdict != allow {
		x.Trace.Steps = append(x.Trace.Steps, p.steps(x, d)...)
		p.refuse(x, d)
		return false
	}
	if d.shadowed > 0 {
		p.watch(x, d)
	}
	if !p.forward {
		for i := range p.methods {
			if d.gates>>p.methods[i].source&1 != 0 {
				p.methods[i].method.Strip(x)
			}
		}
	}
	p.identify(x, j)
	for i := range p.methods {
		if m := &p.methods[i]; m.forwarder != nil && m.name == x.Principal.Method {
			m.forwarder.Forward(x)
		}
	}
	for _, a := range d.granted[:d.grants] {
		a.Apply(x)
	}
	p.vouch(x, j)
	return true
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
	d := p.decide(x)
	defer p.done(d)
	x.Principal, x.Facts = principal, facts
	if d.verdict == allow && d.shadowed > 0 { // a rule that is watched, in a policy that is
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

// decide judges x. The judgement is for done.
func (p *Policy) decide(x *exchange.Exchange) *judgement {
	j := judgements.Get().(*judgement) //nolint:forcetypeassert // nothing else is put there
	d := &j.decision
	if p.closed != nil {
		if d.verdict, d.code = closed, p.closed.Code; d.code == "" {
			d.code = auth.CodeClosed
		}
		return j
	}
	if d.gates = 1; len(p.sources) > 0 { // a table without sources has one that applies
		d.gates = 0
	}
	for i := range p.sources {
		applies, err := all(p.sources[i].when, x)
		if err != nil {
			d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, i
			return j
		}
		if applies {
			d.gates |= 1 << i
		}
	}
	d.progress = authenticating
	p.authenticate(x, d)
	if d.verdict == allow && len(p.facts) > 0 {
		d.progress = fetching
		p.fetch(x, d)
	}
	if d.verdict == allow {
		d.progress = authorizing
		p.authorize(x, d)
	}
	if d.verdict == allow {
		d.progress = computing
		p.compute(x, j)
	}
	if d.verdict == allow {
		d.progress = decided
	}
	return j
}

// authenticate tries the methods in order until the requirement is decided. A
// method whose source does not apply accepts nobody; if no method applies,
// nobody is asked.
func (p *Policy) authenticate(x *exchange.Exchange, d *decision) {
	var yes, no, applying uint64
	for i := range p.methods {
		if d.gates>>p.methods[i].source&1 != 0 {
			applying |= 1 << i
		}
	}
	if p.public != nil && d.gates>>p.public.Source&1 != 0 {
		if p.public.Expires == 0 || p.now().Unix() < p.public.Expires {
			return
		}
		if applying == 0 {
			d.verdict, d.code, d.source = forbidden, auth.CodePublicExpired, p.public.Source
		}
	}
	if applying == 0 {
		return
	}
	no = ^applying
	t := tally{seen: &d.seen}
	truth := p.require.Decide(yes, no)
	for _, i := range p.order {
		if truth != table.Undecided {
			break
		}
		if applying>>i&1 == 0 {
			continue
		}
		switch t.try(x, &p.methods[i], i) {
		case auth.Accepted:
			yes |= 1 << i
		case auth.Absent, auth.Rejected:
			no |= 1 << i
		case auth.Unavailable: // stays undecided
		}
		truth = p.require.Decide(yes, no)
	}
	if truth != table.True {
		x.Principal = exchange.Principal{}
		t.explain(truth, d)
		if d.code == auth.CodeMissing {
			d.source = p.methods[bits.TrailingZeros64(applying)].source
		}
	}
}

// tally is what trying the methods has brought so far.
type tally struct {
	seen        *seen
	identified  bool        // x.Principal is set
	rejected    uint64      // methods whose credential was there and wrong
	rejection   auth.Result // the first, with its source
	rejectedBy  int
	unable      auth.Result // the first that could not decide
	unableFrom  int
	unsure      bool // a credential was there, and could not be judged
	whenFailed  bool
	whenFailing int
}

// try runs one method. The first to accept says who calls; the others only say
// yes.
func (t *tally) try(x *exchange.Exchange, m *method, i int) auth.Outcome {
	applies, err := all(m.when, x)
	if err != nil {
		if !t.whenFailed {
			t.whenFailed, t.whenFailing = true, m.source
		}
		t.seen.note(i, auth.Result{Outcome: auth.Unavailable, Code: auth.CodeRuleError})
		return auth.Unavailable
	}
	if !applies {
		return auth.Absent
	}
	if m.anonymous {
		// A credential that is wrong, or cannot be judged, is not waved through.
		switch {
		case t.rejected != 0:
			return auth.Absent
		case t.unsure || t.whenFailed:
			return auth.Unavailable
		}
	}
	before := x.Principal
	r := m.method.Authenticate(x, &x.Principal)
	t.seen.note(i, r)
	if r.Outcome != auth.Accepted || t.identified {
		x.Principal = before
	} else {
		t.identified, x.Principal.Method = true, m.name
	}
	switch r.Outcome {
	case auth.Rejected:
		if t.rejected == 0 {
			t.rejection, t.rejectedBy = r, m.source
		}
		t.rejected |= 1 << i
	case auth.Unavailable:
		if t.unable.Outcome != auth.Unavailable {
			t.unable, t.unableFrom = r, m.source
		}
		u, lacking := m.method.(unavailable)
		t.unsure = t.unsure || !lacking || u.presented(x)
	case auth.Absent, auth.Accepted:
	}
	return r.Outcome
}

// explain says why the requirement is not met. Where nothing was sent it names
// no source.
func (t *tally) explain(truth table.Truth, d *decision) {
	d.rejected = t.rejected
	switch {
	case truth == table.Undecided && t.whenFailed:
		d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, t.whenFailing
	case truth == table.Undecided:
		d.verdict, d.code, d.source, d.retryAfter = undecidable, t.unable.Code, t.unableFrom, t.unable.RetryAfter
	case t.rejected != 0:
		d.verdict, d.code, d.source, d.answer = unauthenticated, t.rejection.Code, t.rejectedBy, t.rejection.Answer
	default:
		d.verdict, d.code = unauthenticated, auth.CodeMissing
	}
}

// authorize asks every rule that applies; the first that does not allow decides.
func (p *Policy) authorize(x *exchange.Exchange, d *decision) {
	for i := range p.rules {
		d.at = i
		r := &p.rules[i]
		if d.gates>>r.source&1 == 0 {
			continue
		}
		applies, err := all(r.when, x)
		switch {
		case err != nil && r.shadow:
			d.wouldRefuse(i, auth.CodeRuleError)
			continue
		case err != nil:
			d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, r.source
			return
		case !applies:
			continue
		case r.shadow:
			if res := r.rule.Authorize(x); res.Outcome != auth.Accepted {
				d.wouldRefuse(i, res.Code)
			}
			continue
		}
		switch res := r.rule.Authorize(x); res.Outcome {
		case auth.Accepted:
			if res.Answer != nil {
				d.granted[d.grants] = res.Answer
				d.grants++
			}
		case auth.Unavailable:
			d.verdict, d.code, d.source, d.retryAfter, d.answer = undecidable, res.Code, r.source, res.RetryAfter, res.Answer
			return
		case auth.Rejected, auth.Absent:
			d.verdict, d.code, d.source, d.answer = forbidden, res.Code, r.source, res.Answer
			return
		}
	}
}

// wouldRefuse notes that the rule in shadow of this number does not allow.
func (d *decision) wouldRefuse(rule int, code string) {
	if d.shadowed < len(d.shadows) {
		d.shadows[d.shadowed] = refusal{rule, code}
		d.shadowed++
	}
}

// all reports whether all conditions hold. It stops at the first that does not,
// or that fails.
func all(when []*expr.Program, x *exchange.Exchange) (bool, error) {
	for _, w := range when {
		if ok, err := w.Bool(x); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
