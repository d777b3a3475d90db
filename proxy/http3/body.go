package http3

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/section"
)

// How a request's content can fail.
var (
	errTooLarge   = refuse(413, "content_too_large", "the request's content is larger than this gateway takes")
	errSlow       = refuse(408, "content_timeout", "the request's content came too slowly")
	errIncomplete = refuse(400, "content_incomplete", "the stream ended before the request's content did")
	errCancelled  = refuse(499, "cancelled", "the content is not wanted any more")
)

// body is a request's content.
type body struct {
	st        *stream
	patience  time.Duration
	waited    time.Duration // for the client
	messages  bool          // its pace is its own
	armed     time.Time     // the read deadline
	limit     int64         // of all content; not above 0: none
	total     int64
	left      uint64 // of the DATA frame
	expect    bool   // the client waits for 100 Continue
	err       error
	cancelled atomic.Bool
}

func (b *body) begin(st *stream) {
	c := st.k.cfg
	b.st, b.patience, b.limit = st, c.Timeouts.Read, c.MaxBody
	b.messages, b.armed, b.waited, b.total, b.left, b.expect, b.err = false, time.Time{}, 0, 0, 0, false, nil
	b.cancelled.Store(false)
}

// Continue implements exchange.Body.
func (b *body) Continue() error {
	if !b.expect {
		return nil
	}
	b.expect = false
	return b.st.writer.interim(appendStatus(appendPrefix(make([]byte, 0, 8)), 100))
}

// Cancel implements exchange.Body.
func (b *body) Cancel() {
	b.cancelled.Store(true)
	_ = b.st.str.SetReadDeadline(time.Unix(1, 0))
}

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.err = b.Continue(); b.err != nil {
		b.err = errIncomplete
		return nil, b.err
	}
	in := &b.st.in
	if in.r == in.w && len(in.buf) < mem.Large {
		in.grow(mem.Large) // content comes in larger pieces than a head
	}
	now := time.Now()
	if b.slow() {
		b.err = errSlow
		return nil, b.err
	}
	if b.armed.Sub(now) < b.patience { // moved in steps
		b.armed = now.Add(2 * b.patience)
		_ = b.st.str.SetReadDeadline(b.armed)
	}
	if b.cancelled.Load() { // before the deadline was moved
		b.err = errCancelled
		return nil, b.err
	}
	p, err := b.next()
	b.waited += time.Since(now)
	if err != nil {
		if b.err = err; err != io.EOF {
			b.err = b.fail(err)
		}
		return nil, b.err
	}
	b.total += int64(len(p))
	b.st.Trace.BytesIn = b.total
	if b.limit > 0 && b.total > b.limit {
		b.err = errTooLarge
		return nil, b.err
	}
	return p, nil
}

// slow reports whether the content comes so slowly that it may not go on. The time
// for which nobody wanted any is not the client's.
func (b *body) slow() bool {
	c := b.st.k.cfg
	return !b.messages && c.Pace.Slow(b.st.k.info, b.total, b.waited, c.Timeouts.Read)
}

// next reads content, or the end of it with the trailer section.
func (b *body) next() ([]byte, error) {
	in := &b.st.in
	for {
		var p []byte
		var err error
		at := in.read
		if b.left == 0 {
			err = b.frame()
		} else {
			p, err = in.some(b.left)
			b.left -= uint64(len(p))
			err = inFrame(err)
		}
		switch {
		case len(p) > 0:
			return p, nil
		case err == errLate && in.read == at && b.later():
		case err != nil:
			return nil, err
		}
	}
}

// later moves the time by which a client must send that is silent while answers come, as
// one that watches something is.
func (b *body) later() bool {
	if !b.messages || !b.st.writer.moved.Swap(false) {
		return false
	}
	b.armed = time.Now().Add(2 * b.patience)
	_ = b.st.str.SetReadDeadline(b.armed)
	return !b.cancelled.Load() // before the deadline was moved
}

// frame finds the next DATA frame that is not empty; io.EOF when none follows.
func (b *body) frame() error {
	in, declared := &b.st.in, b.st.Request.ContentLength
	for {
		kind, length, err := in.frame()
		switch {
		case err == io.EOF && declared > b.total:
			return section.ErrLength
		case err != nil:
			return err
		case kind == frameData:
			if declared >= 0 && length > uint64(declared-b.total) {
				return section.ErrLength
			}
			if b.left = length; length > 0 {
				return nil
			}
		case kind == frameHeaders:
			if declared > b.total {
				return section.ErrLength
			}
			return b.trailers(length)
		case known(kind):
			return connError(codeUnexpected)
		}
		if err := in.skip(length); err != nil {
			return err
		}
	}
}

// trailers reads the trailer section, after which nothing follows that is known.
func (b *body) trailers(length uint64) error {
	st := b.st
	if length > uint64(st.k.cfg.Limits.Head) {
		return section.ErrTooLong
	}
	block, err := st.in.whole(int(length))
	if err != nil {
		return err
	}
	st.section.Begin()
	if err := decode(st.k.cfg, block, st.late); err != nil {
		return err
	}
	if st.section.Bad != nil {
		return st.section.Bad
	}
	st.Request.Trailer = append(st.Request.Trailer[:0], st.section.Trailer...)
	for {
		kind, length, err := st.in.frame()
		switch {
		case err != nil:
			return err
		case known(kind):
			return connError(codeUnexpected)
		}
		if err := st.in.skip(length); err != nil {
			return err
		}
	}
}

// fail turns what a stream can end with into the contract's errors, and does what
// the protocol asks for.
func (b *body) fail(err error) *exchange.Error {
	switch e := err.(type) { //nolint:errorlint // made here, never wrapped
	case *exchange.Error:
		if section.Malformed(e) {
			b.st.str.CancelRead(codeMessage)
			b.st.str.CancelWrite(codeMessage)
		}
		return e
	case connError:
		b.st.k.close(quic.ApplicationErrorCode(e))
	}
	switch {
	case b.cancelled.Load():
		return errCancelled
	case err == errLate:
		return errSlow
	}
	return errIncomplete
}
