package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// refuse sets up the answer to a request that may not pass.
func (p *Policy) refuse(x *exchange.Exchange, d *decision) {
	if d.answer != nil && d.answer.Failure != nil { // the client's own, and no policy's
		x.Fail(d.answer.Failure)
		return
	}
	x.Trace.Denied, x.Trace.Policy = d.code, p.policyName(d.source)
	switch d.verdict {
	case closed:
		answer(x, p.closed, 500, d.code, "the policy that guards this cannot be applied")
	case undecidable:
		detail := "it cannot be decided at the moment whether the request may pass; try again later"
		if d.progress == furnishing {
			detail = "what the backend asks of the gateway cannot be had at the moment; try again later"
		}
		if d.answer != nil {
			d.answer.Refuse(x, 503, d.code, detail)
		} else {
			x.Reply(503, d.code, detail)
		}
		if x.Response.Status == 503 {
			x.RetryAfter(d.retryAfter)
		}
	case unauthenticated:
		switch {
		case p.invite(x, d):
			return
		case d.answer != nil:
			d.answer.Refuse(x, 401, d.code, detail401(d))
			return
		}
		answer(x, p.unauthenticated, 401, d.code, detail401(d))
		if x.Response.Status == 401 {
			p.challenge(x, d)
		}
	case forbidden, allow:
		if d.answer != nil && (d.answer.Detail == "" || p.denied == nil) {
			d.answer.Refuse(x, 403, d.code, "the request is not allowed")
			return
		}
		answer(x, p.denied, 403, d.code, "the request is not allowed")
	}
}

func detail401(d *decision) string {
	if d.rejected != 0 {
		return "the credential is not accepted"
	}
	return "the request needs a credential"
}

// challenge adds what would have worked, each distinct way once (RFC 9110,
// section 11.6.1).
func (p *Policy) challenge(x *exchange.Exchange, d *decision) {
	first := len(x.Response.Header)
	for i := range p.methods {
		m := &p.methods[i]
		if d.gates>>m.source&1 == 0 || m.challenge == "" {
			continue
		}
		c := m.challenge
		if d.rejected>>i&1 != 0 {
			c = m.refused
		}
		if !said(x.Response.Header[first:], c) {
			x.Response.Header.Add("WWW-Authenticate", c)
		}
	}
}

func said(h exchange.Header, value string) bool {
	for i := range h {
		if h[i].Value == value {
			return true
		}
	}
	return false
}

// answer sets up r, or without one the problem document for status.
func answer(x *exchange.Exchange, r *table.Reply, status int, code, detail string) {
	if r == nil {
		x.Reply(status, code, detail)
		return
	}
	if r.Status != 0 {
		status = r.Status
	}
	if r.Code != "" {
		code = r.Code
	}
	if r.Detail != "" {
		detail = r.Detail
	}
	if r.Body == "" {
		x.Reply(status, code, detail)
	} else {
		contentType := r.ContentType
		if contentType == "" {
			contentType = "text/plain; charset=utf-8"
		}
		x.ReplyBody(status, code, contentType, mem.Bytes(r.Body))
	}
	if r.RetryAfter > 0 {
		x.RetryAfter(r.RetryAfter)
	}
}
