package http2

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What a request must not carry in HTTP/2. The library checks the rest of RFC
// 9113, section 8: field names and values, pseudo-header fields, Host against
// :authority, and that content is as long as declared.
var (
	errConnectionField = &exchange.Error{Status: 400, Code: "bad_connection", Detail: "HTTP/2 has no connection-specific header fields"}
	errTE              = &exchange.Error{Status: 400, Code: "bad_te", Detail: "TE may only be trailers"}
	errLength          = &exchange.Error{Status: 400, Code: "bad_content_length", Detail: "Content-Length is not a number"}
	errExpect          = &exchange.Error{Status: 417, Code: "expectation_unsupported", Detail: "only 100-continue can be expected"}
)

// read fills the exchange from r.
func (st *stream) read(r *http.Request, l wire.Limits) *exchange.Error {
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
	if err := wire.Check(&st.head, l); err != nil {
		return err
	}
	q.Method, q.Path, q.RawQuery = r.Method, st.head.Path, st.head.RawQuery
	q.Authority, q.Host, q.Scheme = r.Host, host(r.Host), "http"
	if st.Conn.TLS {
		q.Scheme = "https"
	}
	q.ContentLength = r.ContentLength
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
	x        *exchange.Exchange
	request  *http.Request
	rw       responseWriter
	patience time.Duration
	armed    time.Time // the read deadline
	buf      []byte
	err      error
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
		if err := b.rw.SetReadDeadline(b.armed); err != nil {
			return nil, b.fail(err)
		}
	}
	n, err := b.request.Body.Read(b.buf)
	if err != nil {
		b.err = b.fail(err)
	}
	if n > 0 {
		b.x.Trace.BytesIn += int64(n)
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
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &exchange.Error{Status: 408, Code: "request_timeout", Detail: "the request's content came too slowly", Close: true}
	}
	return &exchange.Error{Status: 400, Code: "body_incomplete", Detail: "the request's content ended early", Close: true}
}

func (b *body) release() {
	if b.buf != nil {
		mem.PutLarge(b.buf)
	}
}
