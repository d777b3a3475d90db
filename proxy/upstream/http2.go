package upstream

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream/h2"
)

// StageHTTP2 is Stage for a backend that speaks HTTP/2: the call becomes a stream
// of a connection that other calls share.
func (c *Call) StageHTTP2(x *exchange.Exchange) { c.x, c.req = x, c.req[:0] }

// Shared reports whether other calls use the connection at the same time, so that
// nothing is lost with a request that is not complete.
func (c *Call) Shared() bool { return c.x != nil }

// until is when an answer that starts, or goes on, now has failed.
func (c *Call) until() time.Time {
	if !c.exact.IsZero() {
		return c.exact
	}
	return c.now.Add(c.patience())
}

// patience is how long a backend may send nothing; 0 when a rule says when the
// answer must be complete.
func (c *Call) patience() time.Duration {
	switch {
	case !c.exact.IsZero():
		return 0
	case c.x.GRPC():
		return c.cfg.StreamTimeout
	}
	return c.cfg.ReadTimeout
}

// Outlet returns the way for content past Write; see exchange.Relay. It leads
// nowhere over HTTP/1.1, and as long as the request may be sent again.
func (c *Call) Outlet() exchange.Relay {
	if c.stream == nil {
		return exchange.Relay{}
	}
	return c.stream.Outlet()
}

// Relay has the content of the answer go to r while Fill waits. Over HTTP/1.1 it
// does nothing.
func (c *Call) Relay(r exchange.Relay) {
	if c.stream != nil {
		c.stream.Relay(r, c.patience())
	}
}

// Passed returns how many bytes of the answer's content went past Next.
func (c *Call) Passed() int64 {
	if c.stream == nil {
		return 0
	}
	return c.stream.Passed()
}

// open is Connect over HTTP/2.
func (c *Call) open(e *Endpoint) *exchange.Error {
	c.now = time.Now()
	ctx := c.x.Context
	if ctx == nil {
		ctx = context.Background()
	}
	s, err := e.streams.Load().Open(ctx, c.until())
	switch {
	case err == nil:
		e.reached()
		c.stream, c.endpoint = s, e
		return nil
	case errors.Is(err, h2.ErrFull):
		return e.overloaded()
	case errors.Is(err, h2.ErrHandshake):
		_ = e.unreached()
		return errInsecure
	case errors.Is(err, h2.ErrConnect):
		return e.unreached()
	case errors.Is(err, context.Canceled):
		return ErrGone
	}
	return errUnreachable
}

var (
	errOverloaded  = &exchange.Error{Status: 503, Code: "backend_overloaded", Detail: "the backend has all the requests it takes", RetryAfter: time.Second}
	errUnreachable = &exchange.Error{Status: 502, Code: "backend_connect_failed", Detail: "the backend could not be reached"}
)

// ErrGone says that nobody takes the answer any more.
var ErrGone = &exchange.Error{Status: 499, Code: "client_closed", Detail: "the client has gone"}

// closeStream ends the call's stream.
func (c *Call) closeStream() {
	if c.stream != nil {
		c.stream.Close()
		c.endpoint.busy.Add(-1)
		c.stream, c.endpoint = nil, nil
	}
}

// watch has the stream look whether the client is there, as Await does, where no context tells.
func (c *Call) watch(left func() bool) {
	if c.x.Context == nil {
		c.stream.Look(left, c.cfg.Look)
	}
}

// askStream is Ask over HTTP/2.
func (c *Call) askStream(left func() bool) (untouched bool, err error) {
	c.watch(left)
	untouched, err = c.stream.Ask(c.x, c.req)
	return untouched, gone(err)
}

// readStreamHead is ReadHead over HTTP/2, which has no upgrade; the stream has dealt
// with interim answers.
func (c *Call) readStreamHead(left func() bool) (err error) {
	c.watch(left)
	c.now = time.Now()
	c.stream.Expire(c.until(), c.patience())
	h := &c.Head
	h.Status, h.ContentLength, h.Header, err = c.stream.Head(h.Header[:0])
	if err != nil {
		return gone(err)
	}
	c.in.base, c.in.mode = 0, untilClose
	if h.ContentLength == 0 {
		// It is at its end, so that its end can leave with its head: a gRPC client
		// takes fields of the head for the status only there.
		return c.Fill()
	}
	return nil
}

// fillStream is Fill over HTTP/2.
func (c *Call) fillStream() error {
	in := &c.in
	c.stream.Expire(c.until(), c.patience())
	n, err := c.stream.Read(in.buf)
	in.r, in.w = 0, n
	if err == io.EOF {
		in.done = true
		return nil
	}
	return gone(err)
}

// gone names the errors of a stream that have an answer of their own.
func gone(err error) error {
	if errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrGone
	}
	return err
}
