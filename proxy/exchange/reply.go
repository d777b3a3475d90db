package exchange

import (
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Violation is one fault found in a request: where, and what is wrong there.
type Violation struct {
	Pointer string // JSON pointer (RFC 6901) into the content, or /headers/x-name, /query/name
	Message string
}

// Reply sets up an answer of our own: problem+json (RFC 9457) with a stable
// code and a decision id, or a small page for a browser. detail is for the
// caller to read and holds nothing secret. Header fields that belong to the
// answer, such as WWW-Authenticate, are added to x.Response.Header afterwards.
func (x *Exchange) Reply(status int, code, detail string) {
	x.ReplyViolations(status, code, detail, nil)
}

// ReplyViolations is Reply with a list of what is wrong with the request.
func (x *Exchange) ReplyViolations(status int, code, detail string, list []Violation) {
	id := x.own(status, code)
	b := document{buf: x.Arena.Alloc(256 + 128*len(list))[:0]}
	if x.browser() {
		b.page(&x.Response, detail, id, list)
		x.content("text/html; charset=utf-8", b.buf)
		return
	}
	b.problem(&x.Response, detail, id, list)
	x.content("application/problem+json", b.buf)
}

// ReplyBody sets up an answer of our own with the content given. Its decision id
// goes in a header field, Gatehouse-Decision.
func (x *Exchange) ReplyBody(status int, code, contentType string, body []byte) {
	id := x.own(status, code)
	x.content(contentType, body)
	x.Response.Header.Add("Gatehouse-Decision", id)
}

// ReplyEmpty sets up an answer of our own that has nothing to say but its status.
func (x *Exchange) ReplyEmpty(status int, code string) {
	a := &x.Response
	a.Header, a.Body, a.ContentLength = a.Header[:0], nil, 0
	a.Status, a.Code = status, code
}

// ReplyUnrouted sets up the answer to a request that no route takes. One with * asks about
// the server and no resource (RFC 9110, section 9.3.7), and the server is the gateway.
func (x *Exchange) ReplyUnrouted() {
	if x.Request.Path == "*" {
		x.ReplyEmpty(204, "server_options")
		return
	}
	x.Reply(404, "no_route", "no route takes this request")
}

// own makes x.Response an answer of our own and gives it its decision id.
func (x *Exchange) own(status int, code string) (id string) {
	x.Response.Header = x.Response.Header[:0]
	x.Response.Status, x.Response.Code = status, code
	return mem.String(AppendID(x.Arena.Alloc(16)[:0], x.Decide()))
}

// AppendID appends the text form of a decision id: 16 hexadecimal digits.
func AppendID(dst []byte, id uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[id>>shift&15])
	}
	return dst
}

// browser reports whether the caller would rather see a page: a person's browser
// names text/html, and a program names JSON or nothing in particular.
func (x *Exchange) browser() bool {
	accept, _ := x.Request.Header.Get("accept")
	return strings.Contains(accept, "text/html") && !strings.Contains(accept, "json")
}

// Fail sets up the answer err deserves: that of an *Error, else 500.
func (x *Exchange) Fail(err error) {
	if e, ok := err.(*Error); ok { //nolint:errorlint // errors on the request path are never wrapped
		x.Reply(e.Status, e.Code, e.Detail)
		if e.RetryAfter > 0 {
			x.RetryAfter(e.RetryAfter)
		}
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
	if contentType != "" {
		x.Response.Header.Add("Content-Type", contentType)
	}
	x.Response.Body = body
	x.Response.ContentLength = int64(len(body))
}

// Buffered is a Body already read in whole.
type Buffered struct {
	Content   []byte
	cancelled atomic.Bool
}

var errCancelled = &Error{Status: 499, Code: "cancelled", Detail: "the content is not wanted any more"}

// Continue implements Body: nobody waits to be told to send.
func (b *Buffered) Continue() error { return nil }

// Cancel implements Body.
func (b *Buffered) Cancel() { b.cancelled.Store(true) }

// Next returns the content once, then io.EOF.
func (b *Buffered) Next() ([]byte, error) {
	if b.cancelled.Load() {
		return nil, errCancelled
	}
	if len(b.Content) == 0 {
		return nil, io.EOF
	}
	p := b.Content
	b.Content = nil
	return p, nil
}
