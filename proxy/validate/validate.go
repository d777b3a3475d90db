// Package validate checks that a request has the form its rule's effective
// policy (table.Validation) asks for, before a backend hears of it.
//
// proxy/router builds one Policy per table.Validation; the proxy calls Check on
// each request of the rule, after authentication, and Shadow for a policy that
// is only watched. cmd hands CheckSchema to the control half.
//
// The order is: content type (415), size (413), parameters (400), then the
// content: is it JSON (400), does it satisfy the schemas (422). A refusal lists
// every violation of its kind.
package validate

import (
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The stable causes with which a policy refuses a request.
const (
	CodeContentType = "content_type_unsupported" // 415
	CodeTooLarge    = "content_too_large"        // 413
	CodeParameter   = "parameter_invalid"        // 400
	CodeNotJSON     = "body_not_json"            // 400
	CodeBody        = "body_invalid"             // 422
	CodeRuleError   = "rule_error"               // 403: a condition of the policy failed while it was evaluated
	CodeClosed      = "policy_closed"            // the policy is broken
)

// maxViolations is how many an answer lists.
const maxViolations = 100

// Policy is one rule's effective validation, ready to run. It does not change.
type Policy struct {
	closed  *table.Reply
	sources []source
	checks  []check
}

type source struct {
	policy string
	when   []*expr.Program
}

// refusal is why a request is refused.
type refusal struct {
	status     int
	code       string
	detail     string
	source     int
	accept     string               // with 415: the types that are taken
	violations []exchange.Violation // with 400 and 422
	failure    error                // the content could not be read: no fault of form
	when       string               // with CodeRuleError: of which condition
	cause      string               // and why, for the operator
}

// Check reports whether x has the form the policy asks for. If not, x.Response
// is the answer, and x.Trace.Denied and Policy say why. If a schema was to be
// checked, the content has been read, and x.Request.Body gives it again.
func (p *Policy) Check(x *exchange.Exchange) bool {
	r := p.judge(x, false)
	if r == nil {
		return true
	}
	if r.failure != nil {
		x.Fail(r.failure)
		return false
	}
	x.Trace.Denied, x.Trace.Policy = r.code, p.policyName(r.source)
	x.Trace.Steps = append(x.Trace.Steps, p.step(r))
	switch {
	case p.closed != nil:
		closed(x, p.closed, r)
	case r.violations != nil:
		x.ReplyViolations(r.status, r.code, r.detail, r.violations)
	default:
		x.Reply(r.status, r.code, r.detail)
	}
	if r.accept != "" {
		x.Response.Header.Add("Accept", r.accept) // RFC 9110, section 15.5.16
	}
	return false
}

// Shadow judges as Check does and only notes what Check would have refused, in
// x.Trace. The content can be read afterwards as if nobody had.
func (p *Policy) Shadow(x *exchange.Exchange) {
	r := p.judge(x, true)
	if r == nil || r.failure != nil || x.Trace.Shadow != "" {
		return
	}
	x.Trace.Shadow = r.code
	if x.Trace.Denied == "" {
		x.Trace.Policy = p.policyName(r.source)
	}
}

// Explain judges as Check does and says how it went, whatever the outcome. It
// changes nothing: the content can be read afterwards as if nobody had.
func (p *Policy) Explain(x *exchange.Exchange) (step exchange.Step, allowed bool) {
	r := p.judge(x, true)
	if r == nil || r.failure != nil {
		return exchange.Step{Part: exchange.PartForm, Outcome: exchange.StepMet}, true
	}
	return p.step(r), false
}

// step tells how r came about; where in the request, but not what stands there.
func (p *Policy) step(r *refusal) exchange.Step {
	s := exchange.Step{Part: exchange.PartForm, Policy: p.policyName(r.source), Outcome: exchange.StepDenied, Code: r.code, Needs: r.detail}
	switch {
	case p.closed != nil:
		s.Outcome = exchange.StepBroken
	case r.code == CodeRuleError:
		s.Outcome, s.Needs, s.When, s.Cause = exchange.StepFailed, "", r.when, r.cause
	}
	for i, v := range r.violations {
		if i == 8 {
			s.Needs += "; …"
			break
		}
		s.Needs += "; " + v.Pointer + " " + v.Message
	}
	return s
}

func (p *Policy) policyName(source int) string {
	if source < len(p.sources) {
		return p.sources[source].policy
	}
	return ""
}

func closed(x *exchange.Exchange, c *table.Reply, r *refusal) {
	if c.Body != "" {
		contentType := c.ContentType
		if contentType == "" {
			contentType = "text/plain; charset=utf-8"
		}
		x.ReplyBody(r.status, r.code, contentType, mem.Bytes(c.Body))
	} else {
		x.Reply(r.status, r.code, r.detail)
	}
	if c.RetryAfter > 0 {
		x.RetryAfter(c.RetryAfter)
	}
}

// judge finds out what is wrong with x, if anything is.
func (p *Policy) judge(x *exchange.Exchange, shadow bool) *refusal {
	if c := p.closed; c != nil {
		r := &refusal{status: c.Status, code: c.Code, detail: c.Detail}
		if r.status == 0 {
			r.status = 500
		}
		if r.code == "" {
			r.code = CodeClosed
		}
		return r
	}
	applying, r := p.applying(x)
	if r != nil || applying == 0 {
		return r
	}
	max, whose := int64(-1), 0 // the least that is allowed, and by which source
	var schemas bool
	for i := range p.checks {
		c := &p.checks[i]
		if applying>>i&1 == 0 {
			continue
		}
		if r := c.contentType(x); r != nil {
			return r
		}
		if limit := c.limit(); limit >= 0 && (max < 0 || limit < max) {
			max, whose = limit, c.source
			if x.Request.ContentLength > max {
				return tooLarge(max, whose)
			}
		}
		schemas = schemas || c.schema != nil
	}
	if r := p.parameters(x, applying); r != nil {
		return r
	}
	if schemas {
		if r := p.content(x, applying, max, shadow); r == nil || !errors.Is(r.failure, exchange.ErrTooLarge) {
			return r
		}
		return tooLarge(max, whose)
	}
	if max >= 0 && x.Request.Body != nil && x.Request.ContentLength < 0 && !shadow {
		x.Request.Body = bound(x.Request.Body, max)
	}
	return nil
}

// applying is the set of checks that are meant for x.
func (p *Policy) applying(x *exchange.Exchange) (set uint64, r *refusal) {
	gates := uint64(1)
	for i := range p.sources {
		gates &^= 1 << i
		applies := true
		for _, w := range p.sources[i].when {
			ok, err := w.Bool(x)
			if err != nil {
				return 0, &refusal{status: 403, code: CodeRuleError, detail: "the request is not allowed", source: i, when: w.Quoted(), cause: w.Cause(err)}
			}
			if !ok {
				applies = false
				break
			}
		}
		if applies {
			gates |= 1 << i
		}
	}
	for i := range p.checks {
		if gates>>p.checks[i].source&1 != 0 && p.checks[i].meant(x.Request.Method) {
			set |= 1 << i
		}
	}
	return set, nil
}

func (p *Policy) parameters(x *exchange.Exchange, applying uint64) *refusal {
	var list []exchange.Violation
	source := 0
	for i := range p.checks {
		if applying>>i&1 == 0 {
			continue
		}
		before := len(list)
		list = p.checks[i].parameters(x, list)
		if before == 0 && len(list) > 0 {
			source = p.checks[i].source
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &refusal{
		status: 400, code: CodeParameter, detail: "parameters of the request are missing or malformed", source: source,
		violations: list[:min(len(list), maxViolations)],
	}
}

func tooLarge(max int64, source int) *refusal {
	e := sizeError(max)
	return &refusal{status: e.Status, code: e.Code, detail: e.Detail, source: source}
}
