package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
)

// maxValue is the longest computed header value, once encoded.
const maxValue = 8 << 10

// header is one header field set on the forwarded request: a fixed value, or
// one computed by expr.
type header struct {
	name   string // lower case
	value  string
	expr   *expr.Program
	source int
}

// reserved reports whether name frames the message or routes it: a policy that
// set it would break the request.
func reserved(name string) bool {
	switch name {
	case "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection":
		return true
	}
	return false
}

// compute evaluates the headers on the request as it was sent. A value that
// fails, or is too long, refuses the request: a backend that misses it might
// take the caller for somebody with more rights.
func (p *Policy) compute(x *exchange.Exchange, d *decision) {
	for i := range p.headers {
		d.at = i
		h := &p.headers[i]
		if d.gates>>h.source&1 == 0 {
			continue
		}
		if h.expr == nil {
			d.values[i] = h.value
			continue
		}
		v, ok, err := h.expr.Field(x)
		if err != nil || len(v) > maxValue {
			d.verdict, d.code, d.source = forbidden, auth.CodeHeaderValue, h.source
			return
		}
		if ok {
			d.values[i] = v
		}
	}
}

// cause is why the value cannot be computed.
func (h *header) cause(x *exchange.Exchange) string {
	if _, _, err := h.expr.Field(x); err != nil {
		return h.expr.Cause(err)
	}
	return "the value is longer than 8 KiB"
}

// identify removes what the client sent under the names of headers that the
// gateway or a service it asks sets, whether or not there is a value to set, and
// sets the values. Empty ones are not sent.
func (p *Policy) identify(x *exchange.Exchange, d *decision) {
	if len(p.identities) == 0 {
		return
	}
	x.Request.Header.DropLike(p.identities)
	x.Request.Reserved = p.identities // trailers come later
	for i := range p.headers {
		if d.values[i] != "" {
			x.Request.Header.Add(p.headers[i].name, d.values[i])
		}
	}
}
