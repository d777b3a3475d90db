package guard

import (
	"math/bits"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// authenticate tries the methods in order until the requirement is decided. A
// method whose source does not apply accepts nobody; if no method applies,
// nobody is asked.
func (p *Policy) authenticate(x *exchange.Exchange, d *decision) {
	if p.sole {
		p.ask(x, d)
		return
	}
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
	var t tally
	truth := p.met(yes, no)
	for _, i := range p.order {
		if truth != table.Undecided {
			break
		}
		if applying>>i&1 == 0 {
			continue
		}
		switch t.try(x, &p.methods[i], i, &d.seen) {
		case auth.Accepted:
			yes |= 1 << i
		case auth.Absent, auth.Rejected:
			no |= 1 << i
		case auth.Unavailable: // stays undecided
		}
		truth = p.met(yes, no)
	}
	if truth != table.True {
		x.Principal = exchange.Principal{}
		t.explain(truth, d)
		if d.code == auth.CodeMissing {
			d.source = p.methods[bits.TrailingZeros64(applying)].source
		}
	}
}

// ask authenticates by the only method there is: the usual case, which makes do with
// a part of what others take.
func (p *Policy) ask(x *exchange.Exchange, d *decision) {
	m := &p.methods[0]
	r := m.method.Authenticate(x, &x.Principal)
	if r.Outcome == auth.Accepted {
		x.Principal.Method = m.name
		d.seen.accept(0)
		return
	}
	x.Principal = exchange.Principal{}
	var t tally
	truth := table.False
	if t.count(x, m, 0, &d.seen, r) == auth.Unavailable {
		truth = table.Undecided
	}
	t.explain(truth, d)
	if d.code == auth.CodeMissing {
		d.source = m.source
	}
}

// met is require where the methods of yes accepted and those of no did not; of no are
// also the numbers that no method has.
func (p *Policy) met(yes, no uint64) table.Truth {
	switch {
	case !p.any:
		return p.require.Decide(yes, no)
	case yes != 0:
		return table.True
	case no == ^uint64(0):
		return table.False
	}
	return table.Undecided
}

// tally is what trying the methods has brought so far.
type tally struct {
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
func (t *tally) try(x *exchange.Exchange, m *method, i int, said *seen) auth.Outcome {
	applies, err := all(m.when, x)
	switch {
	case err != nil:
		return t.failed(m, i, said)
	case !applies:
		return auth.Absent
	case m.anonymous && t.rejected != 0: // a credential that is wrong, or cannot be judged, is not waved through
		return auth.Absent
	case m.anonymous && (t.unsure || t.whenFailed):
		return auth.Unavailable
	case t.identified:
		who := x.Principal
		r := m.method.Authenticate(x, &x.Principal)
		x.Principal = who
		return t.count(x, m, i, said, r)
	}
	r := m.method.Authenticate(x, &x.Principal)
	if r.Outcome != auth.Accepted {
		x.Principal = exchange.Principal{}
		return t.count(x, m, i, said, r)
	}
	t.identified, x.Principal.Method = true, m.name
	said.accept(i)
	return auth.Accepted
}

// failed notes that it cannot be told whether a method applies.
func (t *tally) failed(m *method, i int, said *seen) auth.Outcome {
	if !t.whenFailed {
		t.whenFailed, t.whenFailing = true, m.source
	}
	said.note(i, auth.Result{Outcome: auth.Unavailable, Code: auth.CodeRuleError})
	return auth.Unavailable
}

// count adds what m said of x.
func (t *tally) count(x *exchange.Exchange, m *method, i int, said *seen, r auth.Result) auth.Outcome {
	said.note(i, r)
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
