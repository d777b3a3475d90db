package exchange

import "strconv"

// Violation is one fault found in a request: where, and what is wrong there.
type Violation struct {
	Pointer string // JSON pointer (RFC 6901) into the content, or /headers/x-name, /query/name
	Message string
}

// ReplyViolations sets up a problem document as Reply does, with the member
// "errors": what is wrong with the request, each with its pointer.
func (x *Exchange) ReplyViolations(status int, code, detail string, list []Violation) {
	x.Response.Header = x.Response.Header[:0]
	x.Response.Status, x.Response.Code = status, code
	b := problem{buf: make([]byte, 0, 256+128*len(list))}
	b.raw(`{"type":"about:blank","title":`)
	b.text(StatusText(status))
	b.raw(`,"status":`)
	b.buf = strconv.AppendInt(b.buf, int64(status), 10)
	b.raw(`,"code":`)
	b.text(code)
	b.raw(`,"detail":`)
	b.text(detail)
	b.raw(`,"errors":[`)
	for i := range list {
		if i > 0 {
			b.raw(",")
		}
		b.raw(`{"pointer":`)
		b.text(list[i].Pointer)
		b.raw(`,"message":`)
		b.text(list[i].Message)
		b.raw("}")
	}
	b.raw("]}\n")
	x.content("application/problem+json", b.buf)
}
