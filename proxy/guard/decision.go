package guard

import (
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
)

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
	answer     *auth.Answer // what the service that refused wants answered
	*findings               // nil where the policy has nothing that finds any
}

// findings is what a decision finds beside its verdict: what the backend is told,
// and what the operator is.
type findings struct {
	shadows     [4]refusal // the first rules in shadow that would have refused
	shadowed    int        // of shadows
	granted     [maxAsked]*auth.Answer
	grants      int              // services that allowed, and want something changed
	missing     [maxSteps]string // by step: why there is nothing of an optional one
	values      [maxHeaders]string
	credentials [maxCredentials]string
}

// pooled are findings to be used again. They are 2 KiB: on the stacks of all the
// connections' goroutines that would be memory which no request finds in the
// processor's cache.
var pooled = sync.Pool{New: func() any { return new(findings) }}

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

func (s *seen) accept(i int) {
	s.tried |= 1 << i
	s.accepted |= 1 << i
}

func (s *seen) note(i int, r auth.Result) {
	switch r.Outcome {
	case auth.Accepted:
		s.accept(i)
		return
	case auth.Absent:
		s.tried |= 1 << i
		return
	case auth.Unavailable:
		s.unable |= 1 << i
	case auth.Rejected:
	}
	s.tried |= 1 << i
	if s.n < len(s.refusals) {
		s.refusals[s.n] = refusal{i, r.Code}
		s.n++
	}
}

// decide judges x, by d, which is new and for done afterwards.
func (p *Policy) decide(x *exchange.Exchange, d *decision) {
	if p.needs.findings {
		d.findings = pooled.Get().(*findings) //nolint:forcetypeassert // nothing else is put there
	}
	if p.closed != nil {
		if d.verdict, d.code = closed, p.closed.Code; d.code == "" {
			d.code = auth.CodeClosed
		}
		return
	}
	if d.gates = p.needs.gates; p.needs.gating && !p.gate(x, d) {
		return
	}
	d.progress = authenticating
	if len(p.methods) > 0 || p.public != nil {
		p.authenticate(x, d)
	}
	if d.verdict == allow && p.judging {
		p.judge(x, d)
	}
	if d.verdict == allow {
		d.progress = decided
	}
}

// judge goes on to what follows authentication.
func (p *Policy) judge(x *exchange.Exchange, d *decision) {
	if len(p.facts) > 0 {
		d.progress = fetching
		p.fetch(x, d)
	}
	if d.verdict == allow && len(p.rules) > 0 {
		d.progress = authorizing
		p.authorize(x, d)
	}
	if d.verdict == allow && len(p.headers) > 0 {
		d.progress = computing
		p.compute(x, d)
	}
}

// gate finds the sources that apply to x; false is for one of which that cannot be told.
func (p *Policy) gate(x *exchange.Exchange, d *decision) bool {
	for i := range p.sources {
		applies, err := all(p.sources[i].when, x)
		if err != nil {
			d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, i
			return false
		}
		if applies {
			d.gates |= 1 << i
		}
	}
	return true
}

// done gives back what decide took.
func (p *Policy) done(d *decision) {
	f := d.findings
	if f == nil {
		return
	}
	clear(f.shadows[:f.shadowed])
	clear(f.granted[:f.grants])
	clear(f.missing[:len(p.facts)])
	clear(f.values[:len(p.headers)])
	clear(f.credentials[:len(p.vouchers)])
	f.shadowed, f.grants, d.findings = 0, 0, nil
	pooled.Put(f)
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
	if len(when) == 0 { // the usual case costs no call
		return true, nil
	}
	return each(when, x)
}

func each(when []*expr.Program, x *exchange.Exchange) (bool, error) {
	for _, w := range when {
		if ok, err := w.Bool(x); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
