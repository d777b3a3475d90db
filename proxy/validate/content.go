package validate

import (
	"errors"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// firstBuffer is what reading content starts with: what the exchange's arena
// keeps from one request of a connection to the next.
const firstBuffer = 16 << 10

// content reads the content, at most max bytes, and checks it against the
// schemas of the checks that apply. A request without content passes, unless its
// method is one that brings some.
func (p *Policy) content(x *exchange.Exchange, applying uint64, max int64, shadow bool) *refusal {
	source := 0
	for i := len(p.checks) - 1; i >= 0; i-- {
		if applying>>i&1 != 0 && p.checks[i].schema != nil {
			source = p.checks[i].source
		}
	}
	if x.Request.Body == nil {
		if m := x.Request.Method; m != "POST" && m != "PUT" && m != "PATCH" {
			return nil
		}
		return &refusal{status: 400, code: CodeNotJSON, detail: "the request has no content; JSON is expected", source: source}
	}
	data, err := read(x, max, shadow)
	if err != nil {
		return &refusal{failure: err}
	}
	var r *refusal
	x.Apart(len(data), func() { r = p.examine(data, applying, source) })
	return r
}

// examine checks data against the schemas of the checks that apply.
func (p *Policy) examine(data []byte, applying uint64, source int) *refusal {
	value, fault := parse(data)
	if fault != nil {
		return &refusal{
			status: 400, code: CodeNotJSON, source: source,
			detail: fmt.Sprintf("the content is not JSON: line %d, column %d: %s", fault.line, fault.column, fault.what),
		}
	}
	var list []exchange.Violation
	for i := range p.checks {
		if applying>>i&1 == 0 || p.checks[i].schema == nil {
			continue
		}
		before := len(list)
		err := p.checks[i].schema.compare(value, len(data))
		if errors.Is(err, errSteps) {
			return &refusal{status: 422, code: CodeBody, detail: "it takes too much to compare the content with the schema", source: p.checks[i].source}
		}
		list = violations(list, err)
		if before == 0 && len(list) > 0 {
			source = p.checks[i].source
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &refusal{status: 422, code: CodeBody, detail: "the content does not satisfy the schema", source: source, violations: list}
}

// read takes in the content. For shadow, nothing but the content's place changes;
// else its length is known afterwards.
func read(x *exchange.Exchange, most int64, shadow bool) ([]byte, error) {
	data, err := x.Hold(x.Arena.Alloc(firstBuffer)[:0], most, nil)
	if err == nil && !shadow {
		x.Request.ContentLength = int64(len(data))
	}
	return data, err
}

// limited is a body that may not be larger than max. What exceeds it is not
// forwarded: the backend sees a request that breaks off.
type limited struct {
	exchange.Body
	left, max int64
}

// bound returns body as one that may not be larger than max.
func bound(body exchange.Body, max int64) exchange.Body {
	return &limited{Body: body, left: max, max: max}
}

// Next implements exchange.Body.
func (l *limited) Next() ([]byte, error) {
	p, err := l.Body.Next()
	if l.left -= int64(len(p)); l.left < 0 {
		return nil, sizeError(l.max)
	}
	return p, err
}

func sizeError(max int64) *exchange.Error {
	return &exchange.Error{Status: 413, Code: CodeTooLarge, Detail: fmt.Sprintf("the content is larger than %d bytes", max)}
}
