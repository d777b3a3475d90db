package http1

import (
	"errors"
	"net"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

var (
	errOrder  = errors.New("http1: answer written out of order")
	errLength = errors.New("http1: content differs from its length")
)

// writer is the exchange.Writer of a session.
type writer struct {
	s       *session
	buf     []byte // staged; its memory stays with the session
	state   state
	noBody  bool
	chunked bool
	close   bool  // the answer said Connection: close
	left    int64 // content still to come; -1 when not known
	err     error // the client is gone
}

type state uint8

const (
	waiting  state = iota // for Head
	headed                // Head was called
	ended                 // End was called
	tunneled              // the connection is no longer ours
)

func (w *writer) begin() {
	w.state, w.noBody, w.chunked, w.close, w.left, w.err = waiting, false, false, false, 0, nil
}

// maxStaging is the largest head for which a session keeps the memory.
const maxStaging = 16 << 10

func (w *writer) free() {
	if w.buf = w.buf[:0]; cap(w.buf) > maxStaging {
		w.buf = nil
	}
}

// Head implements exchange.Writer.
func (w *writer) Head(x *exchange.Exchange) error {
	if w.state != waiting {
		return errOrder
	}
	w.state = headed
	r, s := &x.Response, w.s
	o := wire.ResponseOptions{Date: s.conn.srv.clock.Date(x.Start)}
	w.noBody = r.Status < 200 || r.Status == 204 || r.Status == 304 || x.Request.Method == "HEAD"
	w.left = r.ContentLength
	if r.Status == 101 {
		o.Upgrade, o.Date = x.Request.Upgrade, ""
	} else {
		if !w.noBody && w.left < 0 {
			o.Chunked = s.head.Minor == 1
		}
		o.Close = !s.conn.keep() || !w.noBody && w.left < 0 && !o.Chunked
		o.KeepAlive = s.head.Minor == 0
	}
	w.chunked, w.close = o.Chunked, o.Close
	w.buf = wire.AppendResponseHead(w.buf, x, o)
	return nil
}

// Write implements exchange.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.state != headed {
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
	w.s.x.Trace.BytesOut += int64(len(p))
	if !w.chunked {
		w.send(p)
		return len(p), w.err
	}
	w.buf = wire.AppendChunkHead(w.buf, len(p))
	w.send(p)
	w.buf = append(w.buf, '\r', '\n')
	return len(p), w.err
}

// send stages p if it fits, and otherwise sends what is staged together with p.
func (w *writer) send(p []byte) {
	if len(w.buf)+len(p) <= cap(w.buf) {
		w.buf = append(w.buf, p...)
		return
	}
	w.err = w.s.conn.write2(w.buf, p)
	w.buf = w.buf[:0]
}

// Flush implements exchange.Writer.
func (w *writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		w.err = w.s.conn.write(w.buf)
		w.buf = w.buf[:0]
	}
	return w.err
}

// End implements exchange.Writer.
func (w *writer) End(x *exchange.Exchange) error {
	if w.state != headed {
		return errOrder
	}
	switch {
	case w.noBody || w.err != nil:
	case w.chunked:
		w.buf = wire.AppendLastChunk(w.buf, x.Response.Trailer)
	case w.left > 0:
		w.err = errLength
	}
	if c := w.s.conn; w.close && w.err == nil && len(w.buf) > 0 && c.sock == engine(c.own.clear) {
		w.err = c.own.clear.WriteLast(w.buf)
		w.buf = w.buf[:0]
	}
	if w.Flush() == nil {
		w.state = ended
	}
	return w.err
}

// Tunnel implements exchange.Tunneler.
func (w *writer) Tunnel() (net.Conn, error) {
	if w.state != headed || w.s.conn.sock != nil && w.s.conn.driving {
		return nil, errOrder
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	c := w.s.conn
	c.tunnel.Store(true)
	nc, err := c.leave()
	if err != nil {
		return nil, err
	}
	w.state, w.buf = tunneled, nil // a tunnel may go on for days
	t := &socket.Ahead{Conn: nc, Bytes: w.s.in[w.s.r:w.s.w]}
	w.s.r = w.s.w
	return t, nil
}
