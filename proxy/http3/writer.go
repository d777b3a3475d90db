package http3

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

var (
	errOrder = errors.New("http3: answer written out of order")
	errSize  = errors.New("http3: content differs from its length")
)

// maxHead is what a frame's type and length take at most here: four bytes say all
// lengths that are staged.
const maxHead = 1 + 4

// writer is the exchange.Writer of a stream. It stages what leaves together.
type writer struct {
	st     *stream
	str    *quic.Stream
	buf    []byte    // staged; nil before there is anything to
	armed  time.Time // the write deadline
	state  state
	noBody bool
	begun  bool        // something of the answer has left
	left   int64       // content still to come; -1 when not known
	moved  atomic.Bool // content has gone out since somebody looked
}

type state uint8

const (
	waiting state = iota // for Head
	headed               // Head was called
	ended                // End was called, or the stream was reset
)

func (w *writer) begin(st *stream) {
	*w = writer{st: st, str: st.str}
}

func (w *writer) release() {
	release(w.buf)
	*w = writer{}
}

// Head implements exchange.Writer. The head of content whose length is not
// known leaves at once, since nobody can tell when the content will come.
func (w *writer) Head(x *exchange.Exchange) error {
	r := &x.Response
	if w.state != waiting || r.Status == 101 { // HTTP/3 switches to nothing
		return errOrder
	}
	block := mem.GetSmall()
	b := appendFields(appendStatus(appendPrefix(block[:0]), r.Status), r.Header)
	defer func() { release(b) }()
	if r.Status < 200 {
		return w.interim(b)
	}
	if r.ContentLength >= 0 && r.Status != 204 {
		b = appendLength(b, r.ContentLength)
	}
	if _, ok := r.Header.Get("date"); !ok {
		b = appendField(b, "date", w.st.k.srv.clock.Date(x.Start))
	}
	w.state, w.left = headed, r.ContentLength
	w.noBody = r.Status == 204 || r.Status == 304 || x.Request.Method == "HEAD"
	w.headers(b)
	if w.left < 0 && !w.noBody {
		return w.Flush()
	}
	return nil
}

// interim sends an informational answer; another head follows.
func (w *writer) interim(block []byte) error {
	if w.state != waiting {
		return errOrder
	}
	w.headers(block)
	return w.Flush()
}

// headers stages a header block.
func (w *writer) headers(block []byte) {
	if w.buf == nil {
		w.buf = mem.GetSmall()[:0]
	}
	w.buf = appendFrame(w.buf, frameHeaders, len(block))
	w.buf = append(w.buf, block...)
}

// Write implements exchange.Writer. What fits is staged; more goes out in a DATA
// frame of its own.
func (w *writer) Write(p []byte) (int, error) {
	if w.state != headed {
		return 0, errOrder
	}
	if w.noBody || len(p) == 0 {
		return len(p), nil
	}
	all := len(p)
	w.moved.Store(true)
	if w.left >= 0 {
		if w.left -= int64(all); w.left < 0 {
			return 0, errSize
		}
	}
	w.buf = append(w.buf, frameData)
	w.buf = quicvarint.Append(w.buf, uint64(len(p)))
	if len(w.buf)+len(p)+maxHead <= cap(w.buf) {
		w.buf = append(w.buf, p...)
		w.st.Trace.BytesOut += int64(len(p))
		return len(p), nil
	}
	if n := cap(w.buf) - len(w.buf); n > 0 { // a packet is filled first
		n = min(n, len(p))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		w.st.Trace.BytesOut += int64(n)
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	n, err := w.send(p)
	w.st.Trace.BytesOut += int64(n)
	return all - len(p) + n, err
}

// Flush implements exchange.Writer.
func (w *writer) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.send(w.buf)
	w.buf = w.buf[:0]
	return err
}

// End implements exchange.Writer.
func (w *writer) End(x *exchange.Exchange) error {
	if w.state != headed {
		return errOrder
	}
	if w.left > 0 && !w.noBody {
		return errSize
	}
	if len(x.Response.Trailer) > 0 && !w.noBody {
		block := appendFields(appendPrefix(mem.GetSmall()[:0]), x.Response.Trailer)
		w.headers(block)
		release(block)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w.state = ended
	return w.str.Close()
}

// send gives the client time to read, moving the deadline in steps.
func (w *writer) send(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	stall := w.st.k.cfg.Timeouts.Write
	if now := time.Now(); w.armed.Sub(now) < stall {
		w.armed = now.Add(2 * stall)
		if err := w.str.SetWriteDeadline(w.armed); err != nil {
			return 0, err
		}
	}
	n, err := w.str.Write(p)
	w.begun = w.begun || err == nil && w.state != waiting
	return n, err
}
