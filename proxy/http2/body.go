package http2

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// How a request's content can fail.
var (
	errTooLarge   = &exchange.Error{Status: 413, Code: "content_too_large", Detail: "the request's content is larger than this gateway takes", Close: true}
	errSlow       = &exchange.Error{Status: 408, Code: "content_timeout", Detail: "the request's content came too slowly", Close: true}
	errIncomplete = &exchange.Error{Status: 400, Code: "content_incomplete", Detail: "the stream ended before the request's content did", Close: true}
	errCancelled  = &exchange.Error{Status: 499, Code: "cancelled", Detail: "the content is not wanted any more", Close: true}
)

// body is a request's content: what the reader has put there, until the handler
// takes it. The window bounds it.
type body struct {
	st        *stream
	declared  int64 // Content-Length; -1 for none
	received  int64
	limit     int64 // of all content; not above 0: none
	total     int64 // taken
	patience  time.Duration
	chunks    []chunk // guarded by the connection's lock
	lent      bool    // the first chunk holds what Next has returned
	expect    bool    // 100 Continue is still owed
	err       error   // what Next returns from now on
	cancelled atomic.Bool
	wake      waiter
}

// chunk is content in a pooled buffer: buf[r:w].
type chunk struct {
	buf  []byte
	r, w int
}

// begin makes b the content of a request that has some.
func (b *body) begin(declared int64, expect bool) {
	st, cfg := b.st, &b.st.c.srv.cfg
	b.declared, b.expect, b.patience, b.limit = declared, expect, cfg.Timeouts.Read, cfg.MaxBody
	if st.GRPC() { // a stream of messages, without end if need be, whose client may well be silent
		b.patience, b.limit = max(b.patience, cfg.Timeouts.Stream), 0
	}
}

// put adds p, which the window has room for.
func (b *body) put(p []byte) {
	for len(p) > 0 {
		n := len(b.chunks)
		if n == 0 || b.chunks[n-1].w == len(b.chunks[n-1].buf) {
			buf := mem.GetSmall
			if len(p) > mem.Small {
				buf = mem.GetLarge
			}
			b.chunks = append(b.chunks, chunk{buf: buf()})
			n++
		}
		last := &b.chunks[n-1]
		k := copy(last.buf[last.w:], p)
		last.w += k
		p = p[k:]
	}
}

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	c := b.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b.giveBack()
	var until time.Time
	for {
		switch {
		case b.cancelled.Load():
			b.err = errCancelled
		case len(b.chunks) > 0:
			return b.take()
		case b.st.gone:
			b.err = errIncomplete
		case b.st.closed:
			b.err = io.EOF
		}
		if b.err != nil {
			return nil, b.err
		}
		b.proceed()
		if until.IsZero() {
			until = time.Now().Add(b.patience)
		}
		c.mu.Unlock()
		ok := b.wake.wait(until)
		c.mu.Lock()
		if !ok && len(b.chunks) == 0 && !b.st.closed {
			b.err = errSlow
			return nil, b.err
		}
	}
}

// take returns the first chunk's content.
func (b *body) take() ([]byte, error) {
	first := &b.chunks[0]
	p := first.buf[first.r:first.w]
	first.r, b.lent = first.w, true
	b.total += int64(len(p))
	b.st.Trace.BytesIn = b.total
	b.st.credit(int64(len(p)))
	if b.limit > 0 && b.total > b.limit {
		b.err = errTooLarge
		return nil, b.err
	}
	return p, nil
}

// giveBack ends the loan of what Next has returned.
func (b *body) giveBack() {
	if !b.lent {
		return
	}
	b.lent = false
	if first := &b.chunks[0]; first.r == first.w {
		free(first.buf)
		n := copy(b.chunks, b.chunks[1:])
		b.chunks[n] = chunk{}
		b.chunks = b.chunks[:n]
	}
}

func free(buf []byte) {
	if cap(buf) == mem.Small {
		mem.PutSmall(buf)
	} else {
		mem.PutLarge(buf)
	}
}

// drop forgets what nobody will take, and returns how much that was.
func (b *body) drop() (n int64) {
	for i := range b.chunks {
		n += int64(b.chunks[i].w - b.chunks[i].r)
		free(b.chunks[i].buf)
		b.chunks[i] = chunk{}
	}
	b.chunks, b.lent = b.chunks[:0], false
	return n
}

// proceed sends 100 Continue if that is owed. The connection's lock is held.
func (b *body) proceed() {
	if !b.expect || b.st.gone {
		return
	}
	b.expect = false
	if b.received > 0 || b.st.closed || b.st.writer.state != waiting {
		return // it did not wait, or has its answer already
	}
	c := b.st.c
	var block [8]byte
	b.st.writer.headers(frame.AppendStatus(block[:0], 100), 0)
	c.flush()
}

// Continue implements exchange.Stream.
func (b *body) Continue() error {
	c := b.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b.proceed()
	if b.st.gone {
		return errGone
	}
	return nil
}

// Cancel implements exchange.Stream.
func (b *body) Cancel() {
	b.cancelled.Store(true)
	b.wake.signal()
}

// reset makes b ready for another stream. drop has been called.
func (b *body) reset() {
	b.declared, b.received, b.limit, b.total, b.patience = -1, 0, 0, 0, 0
	b.expect, b.err = false, nil
	b.cancelled.Store(false)
}
