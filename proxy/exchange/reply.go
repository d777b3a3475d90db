package exchange

import (
	"io"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Reply sets up an answer of our own: problem+json (RFC 9457) with a stable
// code. detail is for the caller to read and holds nothing secret. Header
// fields that belong to the answer, such as WWW-Authenticate, are added to
// x.Response.Header afterwards.
func (x *Exchange) Reply(status int, code, detail string) {
	x.Response.Header = x.Response.Header[:0]
	x.Response.Status, x.Response.Code = status, code
	b := problem{buf: x.Arena.Alloc(256)[:0]}
	b.raw(`{"type":"about:blank","title":`)
	b.text(StatusText(status))
	b.raw(`,"status":`)
	b.buf = strconv.AppendInt(b.buf, int64(status), 10)
	b.raw(`,"code":`)
	b.text(code)
	if detail != "" {
		b.raw(`,"detail":`)
		b.text(detail)
	}
	b.raw("}\n")
	x.content("application/problem+json", b.buf)
}

// ReplyBody sets up an answer of our own with the content given.
func (x *Exchange) ReplyBody(status int, code, contentType string, body []byte) {
	x.Response.Header = x.Response.Header[:0]
	x.Response.Status, x.Response.Code = status, code
	x.content(contentType, body)
}

// Fail sets up the answer err deserves: that of an *Error, else 500.
func (x *Exchange) Fail(err error) {
	if e, ok := err.(*Error); ok { //nolint:errorlint // errors on the request path are never wrapped
		x.Reply(e.Status, e.Code, e.Detail)
		return
	}
	x.Reply(500, "internal_error", "the gateway could not complete the request")
}

// RetryAfter adds the header field of that name to the answer, in whole seconds, at least one.
func (x *Exchange) RetryAfter(d time.Duration) {
	s := max(1, int64((d+time.Second-1)/time.Second))
	x.Response.Header.Add("Retry-After", mem.String(strconv.AppendInt(x.Arena.Alloc(20)[:0], s, 10)))
}

func (x *Exchange) content(contentType string, body []byte) {
	x.Response.Header.Add("Content-Type", contentType)
	x.Response.Body = body
	x.Response.ContentLength = int64(len(body))
}

// problem writes JSON without encoding/json, which reflects.
type problem struct{ buf []byte }

func (p *problem) raw(s string) { p.buf = append(p.buf, s...) }

func (p *problem) text(s string) {
	const hex = "0123456789abcdef"
	p.buf = append(p.buf, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			p.buf = append(p.buf, '\\', c)
		case c < ' ':
			p.buf = append(p.buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			p.buf = append(p.buf, c)
		}
	}
	p.buf = append(p.buf, '"')
}

// Buffered is a Body already read in whole.
type Buffered struct{ Content []byte }

// Next returns the content once, then io.EOF.
func (b *Buffered) Next() ([]byte, error) {
	if len(b.Content) == 0 {
		return nil, io.EOF
	}
	p := b.Content
	b.Content = nil
	return p, nil
}
