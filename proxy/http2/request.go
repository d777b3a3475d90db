package http2

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What a request must not carry in HTTP/2, and how its content can fail. The
// library checks the rest of RFC 9113, section 8: field names and values,
// pseudo-header fields, Host against :authority, and that content is as long as
// declared.
var (
	errConnectionField = &exchange.Error{Status: 400, Code: "bad_connection", Detail: "HTTP/2 has no connection-specific header fields"}
	errTE              = &exchange.Error{Status: 400, Code: "bad_te", Detail: "TE may only be trailers"}
	errLength          = &exchange.Error{Status: 400, Code: "bad_content_length", Detail: "Content-Length is not a number"}
	errTooLarge        = &exchange.Error{Status: 413, Code: "content_too_large", Detail: "the request's content is larger than this gateway takes", Close: true}
	errSlow            = &exchange.Error{Status: 408, Code: "content_timeout", Detail: "the request's content came too slowly", Close: true}
	errIncomplete      = &exchange.Error{Status: 400, Code: "content_incomplete", Detail: "the stream ended before the request's content did", Close: true}
	errCancelled       = &exchange.Error{Status: 499, Code: "cancelled", Detail: "the content is not wanted any more", Close: true}
	errExpect          = &exchange.Error{Status: 417, Code: "expectation_unsupported", Detail: "only 100-continue can be expected"}
)

// read fills the exchange from r.
func (st *stream) read(r *http.Request, c *Config) *exchange.Error {
	q := &st.Request
	for name, values := range r.Header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
			return errConnectionField // RFC 9113, section 8.2.2
		case "Te":
			for _, v := range values {
				if !strings.EqualFold(v, "trailers") {
					return errTE
				}
			}
			continue
		case "Content-Length":
			if len(values) > 1 || !digits(values[0]) {
				return errLength
			}
			continue
		case "Expect":
			return errExpect // the library has taken 100-continue
		}
		for _, v := range values {
			q.Header.Add(name, v)
		}
	}
	st.head = wire.RequestHead{Method: r.Method, Target: r.RequestURI, Authority: r.Host, Header: q.Header}
	if err := wire.Check(&st.head, c.Limits); err != nil {
		return err
	}
	q.Method, q.Path, q.RawQuery = r.Method, st.head.Path, st.head.RawQuery
	q.Authority, q.Host, q.Scheme = r.Host, host(r.Host), "http"
	if st.Conn.TLS {
		q.Scheme = "https"
	}
	q.ContentLength, q.ClientIP = r.ContentLength, st.Conn.Peer.Addr()
	if c.MaxBody > 0 && r.ContentLength > c.MaxBody {
		return errTooLarge
	}
	return nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// host returns authority without its port, lower case, no trailing dot.
func host(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.IndexByte(authority, ']') {
		authority = authority[:i]
	}
	return strings.ToLower(strings.TrimSuffix(authority, "."))
}

// body is a request's content.
type body struct {
	x         *exchange.Exchange
	request   *http.Request
	rw        responseWriter
	patience  time.Duration
	armed     time.Time // the read deadline
	limit     int64     // of all content; not above 0: none
	total     int64
	buf       []byte
	err       error
	cancelled atomic.Bool
}

// Continue implements exchange.Stream: the library does it with the first read.
func (b *body) Continue() error { return nil }

// Cancel implements exchange.Stream.
func (b *body) Cancel() {
	b.cancelled.Store(true)
	_ = b.rw.SetReadDeadline(time.Unix(1, 0)) // ends the stream's content for good
}

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.buf == nil {
		b.buf = mem.GetLarge()
	}
	// The deadline is moved in steps: each move is a message to the connection's goroutine.
	if now := time.Now(); b.armed.Sub(now) < b.patience {
		b.armed = now.Add(2 * b.patience)
		if b.err = b.rw.SetReadDeadline(b.armed); b.err != nil {
			return nil, b.err
		}
	}
	n, err := b.request.Body.Read(b.buf)
	b.total += int64(n)
	b.x.Trace.BytesIn = b.total
	switch {
	case b.limit > 0 && b.total > b.limit:
		b.err = errTooLarge
		return nil, b.err
	case err != nil:
		b.err = b.fail(err)
	}
	if n > 0 {
		return b.buf[:n], nil
	}
	return nil, b.err
}

// fail turns the library's errors into the contract's.
func (b *body) fail(err error) error {
	switch {
	case err == io.EOF:
		for name, values := range b.request.Trailer {
			for _, v := range values {
				b.x.Request.Trailer.Add(name, v)
			}
		}
		return io.EOF
	case b.cancelled.Load():
		return errCancelled
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return errIncomplete
}

// release makes b ready for the next stream.
func (b *body) release() {
	if b.buf != nil {
		mem.PutLarge(b.buf)
	}
	b.x, b.request, b.rw, b.armed, b.total, b.buf, b.err = nil, nil, nil, time.Time{}, 0, nil, nil
	b.cancelled.Store(false)
}
