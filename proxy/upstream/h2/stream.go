package h2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// repeats is how often a request is sent again when the backend says it has not
// looked at it.
const repeats = 2

// Stream is one request to a backend and the answer to it:
//
//	Open, Ask or (Send, Write..., Last), Head, Read until io.EOF, Close
//
// Writing and reading may happen in two goroutines.
type Stream struct {
	pool    *Pool
	conn    *http.ClientConn // with room kept for this stream; nil once it is used
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer // ends ctx
	req     *http.Request
	content *content      // nil for none
	ready   chan struct{} // closed when res or err is there
	res     *http.Response
	err     error
	unwatch func() bool // with res: stops end from being called when ctx ends
}

// Open keeps room for a request on a connection to p's endpoint, waiting until at
// the latest. The request ends when ctx does.
func (p *Pool) Open(ctx context.Context, at time.Time) (*Stream, error) {
	s := &Stream{pool: p, ready: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(time.Until(at), func() { s.cancel(os.ErrDeadlineExceeded) })
	c, err := p.acquire(s.ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.conn = c
	return s, nil
}

// Expire moves the time at which the stream has failed with os.ErrDeadlineExceeded.
func (s *Stream) Expire(at time.Time) { s.timer.Reset(time.Until(at)) }

func (s *Stream) stop() {
	s.timer.Stop()
	s.cancel(errRefused)
}

// Ask sends x's request, whose content is all in b, and waits for the head of
// the answer. untouched tells, after an error, that the backend has not looked at it.
func (s *Stream) Ask(x *exchange.Exchange, b []byte) (untouched bool, err error) {
	s.req = s.request(x)
	if len(b) > 0 {
		s.content = wholeContent(b)
		s.req.ContentLength = int64(len(b))
	}
	s.run()
	return s.err != nil && s.ctx.Err() == nil && unprocessed(s.err), s.fault(s.err)
}

// Send begins to send x's request; its content follows with Write and Last.
func (s *Stream) Send(x *exchange.Exchange) {
	s.req = s.request(x)
	s.req.ContentLength = x.Request.ContentLength
	s.content = newContent()
	go s.run()
}

// run sends the request until the backend has taken it, as far as that can be
// repeated, and waits for the head of the answer.
func (s *Stream) run() {
	defer close(s.ready)
	var body *attemptBody
	for try := 0; ; try++ {
		r, c := *s.req, s.conn
		s.conn = nil
		if s.content != nil {
			body = s.content.attempt(&r)
		}
		s.res, s.err = c.RoundTrip(&r) //nolint:bodyclose // Close does
		if s.err == nil || try == repeats || s.ctx.Err() != nil || !unprocessed(s.err) || s.content != nil && !s.content.rewind() {
			break
		}
		next, err := s.pool.acquire(s.ctx)
		if err != nil {
			break
		}
		s.conn = next
	}
	if s.content != nil {
		s.content.settle(body, s.err)
	}
	if s.err == nil {
		s.unwatch = context.AfterFunc(s.ctx, s.end)
	}
}

// end resets the stream. The library looks at ctx until it has the head of the
// answer, and then only where it waits for neither content nor a window.
func (s *Stream) end() { _ = s.res.Body.Close() } // it says what is known: whether the answer was complete

// unprocessed reports whether the backend said that it has not looked at the
// request (RFC 9113, section 8.7), or whether it cannot have got it. The library
// exports neither of the two errors it has for connections that are going away.
func unprocessed(err error) bool {
	var reset http2.StreamError
	if errors.As(err, &reset) {
		return reset.Code == http2.ErrCodeRefusedStream
	}
	text := err.Error()
	return strings.HasPrefix(text, "http2: Transport received Server's graceful shutdown GOAWAY") ||
		strings.HasPrefix(text, "http2: client conn not usable") ||
		strings.HasPrefix(text, "http2: client conn could not be established")
}

// fault returns what stands behind an error of the library.
func (s *Stream) fault(err error) error {
	if err != nil && s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return err
}

// Write sends content, and returns when the library has taken it: no more than
// the backend's windows let it.
func (s *Stream) Write(p []byte) error { return s.content.write(p) }

// Last ends the content.
func (s *Stream) Last(trailer exchange.Header) { s.content.finish(trailer, io.EOF) }

// Abort resets the stream: whoever waits for the answer gets an error.
func (s *Stream) Abort() { s.cancel(errRefused) }

// Head waits for the head of the answer: its status, the length of its content
// (-1 when not known) and its fields, which are appended to h.
func (s *Stream) Head(h exchange.Header) (status int, length int64, _ exchange.Header, _ error) {
	<-s.ready
	if s.err != nil {
		return 0, 0, h, s.fault(s.err)
	}
	h = take(h, s.res.Header)
	if len(h) > s.pool.dialer.cfg.Fields {
		return 0, 0, h, errFields
	}
	length = s.res.ContentLength
	if length == 0 && s.res.Header["Content-Length"] == nil && (s.req.Method == http.MethodHead || s.res.StatusCode == 204 || s.res.StatusCode == 304) {
		length = -1
	}
	return s.res.StatusCode, length, h, nil
}

var errFields = errors.New("h2: the answer has too many fields")

// Read reads content of the answer whose head has been read.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.res.Body.Read(p)
	if err != nil && err != io.EOF {
		err = s.fault(err)
	}
	return n, err
}

// Trailer appends the answer's trailer fields to h, once Read has returned io.EOF.
func (s *Stream) Trailer(h exchange.Header) exchange.Header { return take(h, s.res.Trailer) }

// Close ends the stream, resetting it if it is not complete. Nothing of x or of
// the caller's memory is used any more.
func (s *Stream) Close() {
	if s.req == nil { // nothing was sent
		s.stop()
		s.conn.Release()
		return
	}
	select {
	case <-s.ready:
		if s.unwatch != nil {
			s.unwatch()
		}
	default:
	}
	s.stop()
	if s.content != nil {
		s.content.detach()
	}
	<-s.ready
	if s.res != nil {
		s.end()
	}
}
