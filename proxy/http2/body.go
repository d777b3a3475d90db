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
	errTooLarge   = &exchange.Error{Status: 413, Code: "content_too_large", Detail: "the request's content is larger than this gateway takes"}
	errSlow       = &exchange.Error{Status: 408, Code: "content_timeout", Detail: "the request's content came too slowly"}
	errIncomplete = &exchange.Error{Status: 400, Code: "content_incomplete", Detail: "the stream ended before the request's content did"}
	errCancelled  = &exchange.Error{Status: 499, Code: "cancelled", Detail: "the content is not wanted any more"}
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
	waited    time.Duration // for the client
	messages  bool          // its pace is its own
	queue     mem.Queue     // guarded by the connection's lock
	expect    bool          // 100 Continue is still owed
	err       error         // what Next returns from now on
	cancelled atomic.Bool
	wake      frame.Waiter
	relay     relay // guarded by the connection's lock
}

// begin makes b the content of a request that has some.
func (b *body) begin(declared int64, expect bool) {
	st, cfg := b.st, b.st.c.cfg
	b.declared, b.expect, b.patience, b.limit = declared, expect, cfg.Timeouts.Read, cfg.MaxBody
	if b.messages = st.Messages(); b.messages {
		b.patience, b.limit = max(b.patience, cfg.Timeouts.Stream), 0
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
	var until time.Time
	for late := false; ; {
		var p []byte
		if !b.cancelled.Load() { // else what is queued stays there, and is given back with it
			p = b.queue.Next()
		}
		switch {
		case len(p) > 0:
			return b.take(p)
		case b.cancelled.Load():
			b.err = errCancelled
		case b.st.gone:
			b.err = errIncomplete
		case b.st.closed:
			b.err = io.EOF
		case late, b.slow():
			b.err = errSlow
		}
		if b.err != nil {
			b.st.Trace.BytesIn = b.total
			return nil, b.err
		}
		b.proceed()
		now := time.Now()
		if until.IsZero() {
			until = now.Add(b.patience)
		}
		b.relay.open = true
		c.mu.Unlock()
		late = !b.wake.Wait(until)
		b.waited += time.Since(now)
		c.mu.Lock()
		b.relay.open = false
		if late {
			until, late = b.later()
		}
	}
}

// later is until when else a client is waited for whose time has passed, and whether that
// is over too. Messages may have gone past Next; and who is silent while answers come, as
// one that watches something is, is there.
func (b *body) later() (until time.Time, late bool) {
	now := time.Now()
	until = b.relay.passed.Add(b.patience)
	if w := &b.st.writer; b.messages && w.moved {
		w.moved, until = false, now.Add(b.patience)
	}
	return until, !now.Before(until)
}

// slow reports whether the content comes so slowly that it may not go on. The time
// for which nobody wanted any is not the client's.
func (b *body) slow() bool {
	cfg := b.st.c.cfg
	return !b.messages && cfg.Pace.Slow(b.st.c.info, b.total, b.waited, cfg.Timeouts.Read)
}

// take counts what is taken.
func (b *body) take(p []byte) ([]byte, error) {
	b.total += int64(len(p))
	b.st.Trace.BytesIn = b.total
	b.st.credit(int64(len(p)))
	if b.limit > 0 && b.total > b.limit {
		b.err = errTooLarge
		return nil, b.err
	}
	return p, nil
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

// Continue implements exchange.Body.
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

// Cancel implements exchange.Body.
func (b *body) Cancel() {
	b.cancelled.Store(true)
	b.wake.Signal()
}

// reset makes b ready for another stream. What was not taken has been dropped.
func (b *body) reset() {
	b.declared, b.received, b.limit, b.total, b.patience, b.waited = -1, 0, 0, 0, 0, 0
	b.expect, b.err, b.relay = false, nil, relay{}
	b.cancelled.Store(false)
}
