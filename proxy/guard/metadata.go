package guard

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/metadata"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// step fetches one fact before rules are asked.
type step struct {
	name     string
	source   int
	when     []*expr.Program
	fetcher  *metadata.Step // nil: it lacks something of ours
	optional bool
	needs    string // what is asked, for the operator
}

// fetcher is a metadata.Step, or why there is none.
type fetcher struct {
	*metadata.Step
	err error
}

func (c *compiler) metadata(t *table.MetadataStep) {
	what := "metadata " + t.Name
	s := step{name: t.Name, source: c.source(t.Source, what), when: c.conditions(t.When, what), optional: t.Optional, needs: t.String()}
	if t.Unavailable == "" {
		policy := c.policy.policyName(s.source)
		f := c.steps.get(metadata.ID(t, policy), func() fetcher {
			s, err := c.facts.Step(t, policy)
			return fetcher{s, err}
		})
		s.fetcher = f.Step
		c.fail(what, f.err)
	}
	if c.policy.facts = append(c.policy.facts, s); len(c.policy.facts) > maxSteps {
		c.fail(what, fmt.Errorf("more than %d steps of metadata meet on one rule; use fewer", maxSteps))
	}
}

// fetch takes the steps that apply, one after the other. One that comes to nothing
// decides, unless it is optional.
func (p *Policy) fetch(x *exchange.Exchange, d *decision) {
	for i := range p.facts {
		d.at = i
		s := &p.facts[i]
		if d.gates>>s.source&1 == 0 {
			continue
		}
		applies, err := all(s.when, x)
		switch {
		case err != nil:
			d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, s.source
			return
		case !applies:
			continue
		}
		value, r := s.fetch(x)
		switch {
		case r.Outcome == auth.Accepted:
			x.Facts = append(x.Facts, exchange.Fact{Name: s.name, Value: value})
		case s.optional:
			d.missing[i] = r.Code
		case r.Outcome == auth.Unavailable:
			d.verdict, d.code, d.source, d.retryAfter = undecidable, r.Code, s.source, r.RetryAfter
			return
		default:
			d.verdict, d.code, d.source = forbidden, r.Code, s.source
			return
		}
	}
}

func (s *step) fetch(x *exchange.Exchange) (any, auth.Result) {
	if s.fetcher == nil {
		return nil, unavailable{}.Authorize(x)
	}
	return s.fetcher.Fetch(x)
}

func (p *Policy) factStep(x *exchange.Exchange, d *decision, i int) exchange.Step {
	s := &p.facts[i]
	out := exchange.Step{Part: exchange.PartMetadata, Name: s.name, Policy: p.policyName(s.source), Outcome: exchange.StepNotTried, Needs: s.needs}
	last := d.progress == fetching && i == d.at && d.verdict != allow
	switch applies, err := all(s.when, x); {
	case d.progress < fetching || d.progress == fetching && i > d.at:
	case last:
		d.fell(&out)
		out.When, out.Cause = because(s.when, x)
	case d.gates>>s.source&1 == 0, err == nil && !applies:
		out.Outcome = exchange.StepSkipped
	case d.missing[i] != "":
		out.Outcome, out.Code = exchange.StepMissing, d.missing[i]
	default:
		out.Outcome, out.Needs = exchange.StepFetched, ""
	}
	return out
}
