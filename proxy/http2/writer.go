package http2

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// responseWriter is what the library's writer can do. Each method is named by
// net/http's ResponseController.
type responseWriter interface {
	http.ResponseWriter
	deadlines
	FlushError() error
}

type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// writer takes one answer to its stream.
type writer struct {
	x      *exchange.Exchange
	rw     responseWriter
	stall  time.Duration
	armed  time.Time // the write deadline
	ending *atomic.Bool
	ended  bool
}

// Head implements exchange.Writer. The head of content whose length is not
// known leaves at once, since nobody can tell when the content will come.
func (w *writer) Head(x *exchange.Exchange) error {
	if err := w.arm(); err != nil {
		return err
	}
	a, h := &x.Response, w.rw.Header()
	keep(a.Header, "", h)
	if a.ContentLength >= 0 && a.Status >= 200 && a.Status != 204 {
		h["Content-Length"] = []string{strconv.FormatInt(a.ContentLength, 10)}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // else the library guesses one
	}
	if w.ending.Load() {
		h["Connection"] = []string{"close"} // how the library is told to send GOAWAY
	}
	w.rw.WriteHeader(a.Status)
	if a.ContentLength < 0 {
		return w.rw.FlushError()
	}
	return nil
}

// Write implements exchange.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.arm(); err != nil {
		return 0, err
	}
	n, err := w.rw.Write(p)
	w.x.Trace.BytesOut += int64(n)
	return n, err
}

// Flush implements exchange.Writer.
func (w *writer) Flush() error {
	if err := w.arm(); err != nil {
		return err
	}
	return w.rw.FlushError()
}

// End implements exchange.Writer. What is staged leaves when the stream's
// goroutine returns to the library, in one frame with the end of the stream.
func (w *writer) End(x *exchange.Exchange) error {
	keep(x.Response.Trailer, http.TrailerPrefix, w.rw.Header())
	w.ended = true
	return w.arm()
}

// abort resets the stream, so that the client cannot take a part of an answer
// for the whole.
func (w *writer) abort() { _ = w.rw.SetWriteDeadline(time.Unix(1, 0)) }

// arm gives the client time to read, moving the deadline in steps.
func (w *writer) arm() error {
	now := time.Now()
	if w.armed.Sub(now) >= w.stall {
		return nil
	}
	w.armed = now.Add(2 * w.stall)
	return w.rw.SetWriteDeadline(w.armed)
}

// keep copies fields into the library's header, in one allocation: it reads
// them when the exchange, which they are views of, is over.
func keep(fields exchange.Header, prefix string, into http.Header) {
	size := 0
	for i := range fields {
		size += len(prefix) + len(fields[i].Name) + len(fields[i].Value)
	}
	buf, values := make([]byte, 0, size), make([]string, 0, len(fields))
	add := func(parts ...string) string {
		start := len(buf)
		for _, s := range parts {
			buf = append(buf, s...)
		}
		return mem.String(buf[start:])
	}
	for i := range fields {
		f := &fields[i]
		if f.Name == "" || connectionSpecific(f.Name) {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(add(prefix, f.Name))
		if into[name] == nil {
			values = append(values, add(f.Value))
			into[name] = values[len(values)-1 : len(values) : len(values)]
		} else {
			into[name] = append(into[name], add(f.Value))
		}
	}
}

// connectionSpecific reports fields that HTTP/2 must not carry (RFC 9113, section 8.2.2).
func connectionSpecific(name string) bool {
	for _, banned := range [...]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length"} {
		if len(name) == len(banned) && strings.EqualFold(name, banned) {
			return true
		}
	}
	return false
}
