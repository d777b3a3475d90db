package http2

import (
	"errors"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

var (
	errOrder  = errors.New("http2: answer written out of order")
	errLength = errors.New("http2: content differs from its length")
	errGone   = errors.New("http2: the client has gone")
	errStall  = errors.New("http2: the client takes the answer too slowly")
)

// writer is the exchange.Writer of a stream.
type writer struct {
	st     *stream
	block  []byte // the head, until it is staged; its memory stays with the stream
	state  state
	noBody bool
	left   int64 // content still to come; -1 when not known
	err    error
	wake   frame.Waiter
	begun  bool // the answer is, for those who hold the connection's lock
	sent   bool // and all of it
	moved  bool // for them too: content has gone out since somebody looked

	// Where the stream's last frame is, so that it can be made the last: from byte
	// at of what is staged in round.
	at    int
	round uint32
}

type state uint8

const (
	waiting state = iota // for Head
	headed               // Head was called
	staged               // and the head has been staged
	ended                // End was called
)

func (w *writer) ended() bool { return w.state == ended }

// reset makes w ready for another stream.
func (w *writer) reset() {
	if w.block = w.block[:0]; cap(w.block) > mem.Large {
		w.block = nil
	}
	w.state, w.noBody, w.left, w.err, w.begun, w.sent, w.moved = waiting, false, 0, nil, false, false, false
	w.wake.Clear() // it was meant for the stream before
}

// Head implements exchange.Writer. The head of content whose length is not
// known leaves at once, since nobody can tell when the content will come.
func (w *writer) Head(x *exchange.Exchange) error {
	if w.state != waiting {
		return errOrder
	}
	r, c := &x.Response, w.st.c
	if r.Status == 101 {
		return errOrder // HTTP/2 switches to nothing
	}
	b := frame.AppendStatus(w.block[:0], r.Status)
	b = frame.AppendFields(b, r.Header)
	if r.Status < 200 {
		w.block = b
		return w.interim()
	}
	if r.ContentLength >= 0 && r.Status != 204 {
		b = frame.AppendLength(b, r.ContentLength)
	}
	if _, ok := r.Header.Get("date"); !ok {
		b = frame.AppendField(b, "date", c.srv.clock.Date(x.Start))
	}
	w.block, w.state, w.left = b, headed, r.ContentLength
	w.noBody = r.Status == 204 || r.Status == 304 || x.Request.Method == "HEAD"
	ending := c.srv.ending.Load()
	if w.left >= 0 && !ending {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ending {
		c.announce()
	}
	if w.left < 0 && !w.noBody {
		w.begin()
		c.flush()
	}
	return w.gone()
}

// interim stages and sends an informational answer; another head follows.
func (w *writer) interim() error {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := w.gone(); err != nil {
		return err
	}
	w.headers(w.block, 0)
	c.flush()
	return nil
}

// gone returns the error of a stream that nobody listens to. The connection's
// lock is held by callers of this and the methods below.
func (w *writer) gone() error {
	if w.err == nil && w.st.gone {
		w.err = errGone
	}
	return w.err
}

// headers stages a header block.
func (w *writer) headers(block []byte, flags uint8) {
	c := w.st.c
	out := c.staged()
	w.at, w.round = len(out), c.out.round
	if c.peer.shrunk {
		c.peer.shrunk = false
		block = append(frame.AppendTableSize(make([]byte, 0, len(block)+1)), block...)
	}
	c.stage(frame.AppendHeaders(out, w.st.id, flags, block, c.peer.frame))
}

// begin stages the head, if that has not been done.
func (w *writer) begin() {
	if w.state == headed && !w.st.gone {
		w.state, w.begun = staged, true
		w.headers(w.block, 0)
	}
}

// Write implements exchange.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.state != headed && w.state != staged {
		return 0, errOrder
	}
	if w.err != nil || w.noBody || len(p) == 0 {
		return len(p), w.err
	}
	if w.left >= 0 {
		if w.left -= int64(len(p)); w.left < 0 {
			w.err = errLength
			return 0, w.err
		}
	}
	c := w.st.c
	c.mu.Lock()
	n, err := w.content(p)
	c.mu.Unlock()
	w.st.Trace.BytesOut += int64(n)
	return n, err
}

// content stages p as the windows and the room in the output let it.
func (w *writer) content(p []byte) (int, error) {
	c, st := w.st.c, w.st
	var until time.Time
	for sent := 0; ; {
		if err := w.gone(); err != nil {
			return sent, err
		}
		w.begin()
		if n := c.sendable(st, len(p)-sent); n > 0 {
			w.data(p[sent : sent+n])
			if sent += n; sent == len(p) {
				return sent, nil
			}
			continue
		}
		if until.IsZero() {
			until = time.Now().Add(c.cfg.Timeouts.Write * time.Duration(1+len(p)/mem.Large))
		}
		if !w.pause(until) {
			c.reset(st, frame.Cancel)
			w.err = errStall
			return sent, w.err
		}
	}
}

// data stages p as one frame, which the windows and the room in the output let it.
func (w *writer) data(p []byte) {
	c, st := w.st.c, w.st
	out := c.staged()
	w.at, w.round, w.moved = len(out), c.out.round, true
	out = frame.Append(out, frame.Head{Length: len(p), Type: frame.Data, Stream: st.id})
	c.stage(append(out, p...))
	st.window.send -= int64(len(p))
	c.window.send -= int64(len(p))
	c.out.useful += idleGain(len(p))
}

// pause waits for a window or for room, and returns false when it is too late for that, or
// too many wait already whose requests nobody has taken on: no other limit counts them.
func (w *writer) pause(until time.Time) bool {
	c := w.st.c
	if all := c.cfg.Untaken; all != nil && w.st.Held == nil {
		defer all.Give(1)
		if !all.Take(1) {
			return false
		}
	}
	c.flush()
	c.out.blocked++
	c.mu.Unlock()
	ok := w.wake.Wait(until)
	c.mu.Lock()
	c.out.blocked--
	return ok
}

// Flush implements exchange.Writer.
func (w *writer) Flush() error {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.noBody { // else End is next, and the head leaves with it
		w.begin()
	}
	c.flush()
	return w.gone()
}

// End implements exchange.Writer.
func (w *writer) End(x *exchange.Exchange) error {
	if w.state != headed && w.state != staged {
		return errOrder
	}
	if w.left > 0 && !w.noBody && w.err == nil {
		w.err = errLength
	}
	trailer := w.trailer(x)
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := w.gone(); err != nil {
		return err
	}
	switch {
	case len(trailer) > 0:
		w.begin()
		w.headers(trailer, frame.EndStream)
	case w.state == headed:
		w.headers(w.block, frame.EndStream)
	case w.round == c.out.round && len(c.out.staged) > 0:
		c.out.staged[w.at+frame.FlagsAt] |= frame.EndStream
	default:
		c.stage(frame.Append(c.staged(), frame.Head{Type: frame.Data, Flags: frame.EndStream, Stream: w.st.id}))
	}
	w.state, w.begun, w.sent = ended, true, true
	c.streams.settle(w.st)
	if w.st.bad == nil {
		c.out.answered++
	}
	c.flush()
	return nil
}

// trailer returns the header block of the trailer section, behind the head's in
// memory; nothing if there is none.
func (w *writer) trailer(x *exchange.Exchange) []byte {
	if len(x.Response.Trailer) == 0 || w.noBody {
		return nil
	}
	head := len(w.block)
	w.block = frame.AppendFields(w.block, x.Response.Trailer)
	trailer := w.block[head:]
	w.block = w.block[:head]
	return trailer
}
