package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
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
func (p *Policy) compute(x *exchange.Exchange, d *decision, values *[maxHeaders]string) {
	for i := range p.headers {
		d.at = i
		h := &p.headers[i]
		if d.gates>>h.source&1 == 0 {
			continue
		}
		if h.expr == nil {
			values[i] = h.value
			continue
		}
		v, ok, err := h.expr.String(x)
		if err == nil && ok {
			v = encode(x, v)
		}
		if err != nil || len(v) > maxValue {
			d.verdict, d.code, d.source = forbidden, auth.CodeHeaderValue, h.source
			return
		}
		if ok {
			values[i] = v
		}
	}
}

// identify removes what the client sent under the headers' names, whether or
// not there is a value to set, and sets the values. Empty ones are not sent.
func (p *Policy) identify(x *exchange.Exchange, values *[maxHeaders]string) {
	if len(p.headers) == 0 {
		return
	}
	x.Request.Header.DropLike(p.identities)
	x.Request.Reserved = p.identities // trailers come later
	for i := range p.headers {
		if values[i] != "" {
			x.Request.Header.Add(p.headers[i].name, values[i])
		}
	}
}

// encode percent-encodes what has no place in a header value: control
// characters, bytes beyond ASCII, a space at either end (receivers trim it), and
// the percent sign itself, so that two different values never become one.
func encode(x *exchange.Exchange, v string) string {
	n := 0
	for i := 0; i < len(v); i++ {
		if escapes(v, i) {
			n++
		}
	}
	if n == 0 {
		return v
	}
	const hex = "0123456789ABCDEF"
	b := x.Arena.Alloc(len(v) + 2*n)[:0]
	for i := 0; i < len(v); i++ {
		if escapes(v, i) {
			b = append(b, '%', hex[v[i]>>4], hex[v[i]&15])
			continue
		}
		b = append(b, v[i])
	}
	return mem.String(b)
}

func escapes(v string, i int) bool {
	c := v[i]
	return c < ' ' || c > '~' || c == '%' || c == ' ' && (i == 0 || i == len(v)-1)
}
