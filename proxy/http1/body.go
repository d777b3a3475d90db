package http1

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// body is the exchange.Body of a session: content as it comes from the client.
type body struct {
	s         *session
	chunked   bool
	expect    bool // 100 Continue is still owed
	done      bool
	left      int64 // not chunked: bytes still to come
	total     int64 // bytes returned so far
	chunks    wire.Chunks
	buf       []byte        // what was read behind session.in; nil until that is needed
	r, w      int           // unread are buf[r:w]
	waited    time.Duration // for the client
	err       error
	cancelled atomic.Bool
	shared    bool        // another goroutine than the connection's reads it
	complete  atomic.Bool // done, for those that do not read it
}

func (b *body) begin(h *wire.RequestHead) {
	b.chunked, b.expect, b.left = h.Chunked, h.Expect, h.ContentLength
	b.done, b.total, b.err, b.r, b.w = false, 0, nil, 0, 0
	b.waited = 0
	b.shared = false
	b.cancelled.Store(false)
	b.complete.Store(false)
	b.chunks.Reset()
}

func (b *body) free() {
	if b.buf != nil {
		putBuffer(b.buf)
		b.buf = nil
	}
}

// here reports whether all content has been read from the connection.
func (b *body) here() bool {
	return b.done || !b.chunked && b.left <= int64(b.s.w-b.s.r)
}

// Continue implements exchange.Body.
func (b *body) Continue() error {
	b.shared = true
	return b.proceed()
}

// proceed sends 100 Continue if that is owed.
func (b *body) proceed() error {
	if !b.expect {
		return nil
	}
	b.expect = false
	if b.s.r < b.s.w || b.done || b.s.out.state != waiting {
		return nil // it did not wait, or has its answer already
	}
	b.s.out.buf = wire.AppendContinue(b.s.out.buf)
	return b.s.out.Flush()
}

// Cancel implements exchange.Body.
func (b *body) Cancel() {
	b.cancelled.Store(true)
	b.s.conn.nc.SetReadDeadline(past()) //nolint:errcheck // closed meanwhile: just as well
}

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	for b.err == nil {
		if b.done {
			return nil, io.EOF
		}
		if p := b.take(); len(p) > 0 {
			return p, nil
		}
		if b.done || b.err != nil {
			continue
		}
		if b.err = b.proceed(); b.err == nil {
			b.err = b.fill()
		}
	}
	return nil, b.err
}

// take returns content that has been read already.
func (b *body) take() []byte {
	s := b.s
	for !b.done && b.err == nil {
		src, at := s.in[s.r:s.w], &s.r
		if len(src) == 0 {
			src, at = b.buf[b.r:b.w], &b.r
		}
		if len(src) == 0 {
			return nil
		}
		var p []byte
		if b.chunked {
			p = b.decode(src, at)
		} else {
			p = src[:min(int64(len(src)), b.left)]
			*at += len(p)
			b.left -= int64(len(p))
			b.done = b.left == 0
		}
		b.total += int64(len(p))
		s.x.Trace.BytesIn = b.total
		if limit := s.conn.cfg.MaxBody; limit > 0 && b.total > limit {
			b.err, b.done = errTooLarge, false
			return nil
		}
		if b.done {
			// Before the last bytes go on: their reader may answer at once.
			b.complete.Store(true)
		}
		if len(p) > 0 {
			return p
		}
	}
	return nil
}

// decode takes the content out of the chunks in src, of which it counts in at what is
// used up. It moves that of several together, over what was between them: each piece
// is a write to the backend, and chunks may be of one byte.
func (b *body) decode(src []byte, at *int) (content []byte) {
	for len(src) > 0 && !b.done {
		data, n, done, err := b.chunks.Next(src)
		*at += n
		src = src[n:]
		if err != nil {
			b.err = err
			return content
		}
		if len(content) == 0 {
			content = data
		} else {
			content = append(content, data...)
		}
		b.done = done
	}
	if b.done {
		b.s.x.Request.Trailer = append(b.s.x.Request.Trailer[:0], b.chunks.Trailer...)
	}
	return content
}

var errTooLarge = &exchange.Error{Status: 413, Code: "content_too_large", Detail: "the request's content is larger than this gateway takes"}

// fill reads more from the client.
func (b *body) fill() error {
	if b.buf == nil {
		b.buf = mem.GetLarge()
	}
	b.r, b.w = 0, 0
	to := b.buf
	if !b.chunked {
		to = to[:min(int64(len(to)), b.left)]
	}
	var err error
	b.w, err = b.await(func() (int, error) { return b.s.conn.read(to) })
	return err
}

// await reads by read, for as long as the client may take.
func (b *body) await(read func() (int, error)) (int, error) {
	c := b.s.conn
	if c.driving {
		return 0, errors.New("http1: content is read inside the long read")
	}
	now := time.Now()
	if c.cfg.Pace.Slow(c.info, b.total, b.waited, c.cfg.BodyTimeout) {
		return 0, slowBody()
	}
	n, err := c.readWithin(now, c.cfg.BodyTimeout, read, &b.cancelled)
	b.waited += time.Since(now) // the time for which nobody wanted any is not the client's
	switch {
	case err == nil:
		return n, nil
	case b.cancelled.Load():
		return 0, &exchange.Error{Status: 499, Code: "cancelled", Detail: "the content is not wanted any more"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, slowBody()
	}
	return 0, &exchange.Error{Status: 400, Code: "content_incomplete", Detail: "the connection ended before the request's content did"}
}

func slowBody() *exchange.Error {
	return &exchange.Error{Status: 408, Code: "content_timeout", Detail: "the request's content came too slowly"}
}

// drainable reports whether what is left of the content is so little, and so
// sure to come, that reading it is better than closing the connection.
func (b *body) drainable() bool {
	if b.shared {
		return b.complete.Load()
	}
	if b.done {
		return true
	}
	return b.err == nil && !b.expect && !b.chunked && b.left <= b.s.conn.cfg.MaxDrain
}

// drain reads what is left, and reports whether that worked. What came behind
// the content becomes the session's input.
func (b *body) drain() bool {
	for !b.done {
		if _, err := b.Next(); err != nil && err != io.EOF {
			return false
		}
	}
	if b.r < b.w {
		s := b.s
		s.setInput(b.buf)
		s.r, s.w = b.r, b.w
		b.buf = nil
	}
	b.free()
	return true
}
