package validate

import (
	"errors"
	"fmt"
	"io"

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
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge(max, source)
	case err != nil:
		return &refusal{failure: err}
	}
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
		list = violations(list, p.checks[i].schema.Validate(value))
		if before == 0 && len(list) > 0 {
			source = p.checks[i].source
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &refusal{status: 422, code: CodeBody, detail: "the content does not satisfy the schema", source: source, violations: list}
}

var errTooLarge = errors.New("too large")

// read takes in the content. Afterwards x.Request.Body gives it again, and
// ContentLength is known; for shadow, whatever was read is given again with what
// follows it, and nothing else changes.
func read(x *exchange.Exchange, max int64, shadow bool) ([]byte, error) {
	body := x.Request.Body
	data := x.Arena.Alloc(firstBuffer)[:0]
	for {
		p, err := body.Next()
		if err == io.EOF {
			x.Request.Body = &exchange.Buffered{Content: data}
			if !shadow {
				x.Request.ContentLength = int64(len(data))
			}
			return data, nil
		}
		if err != nil {
			x.Request.Body = exchange.Replay(data, err, body)
			return nil, err
		}
		if int64(len(data)+len(p)) > max {
			x.Request.Body = exchange.Replay(append(data, p...), nil, body)
			return nil, errTooLarge
		}
		data = append(data, p...)
	}
}

// limited is a body that may not be larger than max. What exceeds it is not
// forwarded: the backend sees a request that breaks off.
type limited struct {
	body      exchange.Body
	left, max int64
}

// Next implements exchange.Body.
func (l *limited) Next() ([]byte, error) {
	p, err := l.body.Next()
	if l.left -= int64(len(p)); l.left < 0 {
		return nil, sizeError(l.max)
	}
	return p, err
}

func sizeError(max int64) *exchange.Error {
	return &exchange.Error{Status: 413, Code: CodeTooLarge, Detail: fmt.Sprintf("the content is larger than %d bytes", max), Close: true}
}
