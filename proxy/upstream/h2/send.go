package h2

import (
	"errors"
	"os"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Ask sends x's request, whose content is all in b, and waits for the head of
// the answer. untouched tells, after an error, that the backend has not looked at it.
func (s *Stream) Ask(x *exchange.Exchange, b []byte) (untouched bool, err error) {
	s.head(x, int64(len(b)))
	s.lock.Lock()
	s.kept, s.last = b, true
	s.replay()
	s.lock.Unlock()
	err = s.wait()
	return errors.Is(err, errUnprocessed), err
}

// Send begins to send x's request; its content follows with Write and Last.
func (s *Stream) Send(x *exchange.Exchange) {
	s.head(x, x.Request.ContentLength)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.kept = s.own[:0]
	s.replay()
}

// head encodes the head of x's request.
func (s *Stream) head(x *exchange.Exchange, length int64) {
	q := &x.Request
	s.method = q.Method
	r := frame.Request{Method: q.Method, Scheme: s.pool.dialer.scheme, Authority: q.Authority, Path: q.Path, RawQuery: q.RawQuery, EmptyQuery: q.EmptyQuery}
	if r.Authority == "" {
		r.Authority = s.pool.addr
	}
	b := frame.AppendRequest(s.block[:0], r)
	tame(q.Header)
	b = frame.AppendFields(b, q.Header)
	if length > 0 || length == 0 && (q.Body != nil || wire.WantsLength(q.Method)) {
		b = frame.AppendLength(b, length)
	}
	s.block = frame.AppendTrailers(b) // trailer fields are passed on
	s.size = listed(&r, q.Header)
}

// listed returns the size of a head as section 6.5.2 counts, without Content-Length.
func listed(r *frame.Request, h exchange.Header) int64 {
	const line = 32 // what a field counts beside its text
	n := 5*line + len(":method:scheme:authority:path?tetrailers")
	n += len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Path) + len(r.RawQuery)
	for i := range h {
		n += line + len(h[i].Name) + len(h[i].Value)
	}
	return int64(n)
}

// replay sends what has been given to us so far, on the connection there is room on;
// nothing if the stream has been aborted meanwhile. The stream's lock is held.
func (s *Stream) replay() {
	whole := s.last && len(s.kept) == 0 && len(s.trailer) == 0
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.aborted.Load() {
		c.abort(s, errRefused, frame.Cancel)
		return
	}
	if c.state.err != nil || c.state.leaving || c.next > frame.MaxStream-2 {
		c.state.leaving = true
		c.end(s, errUnprocessed, false)
		return
	}
	if s.size > c.peer.head {
		c.end(s, errHead, false)
		return
	}
	s.id, s.early = c.next, !c.peer.settled
	c.next += 2
	s.window = window{send: c.peer.window, recv: int64(c.dialer.cfg.Buffer)}
	at := c.at(s.id)
	s.flow.next, *at, s.open = *at, s, true
	c.out.unheard = true
	flags := uint8(0)
	if whole {
		flags, s.sentLast = frame.EndStream, true
	}
	c.stageHeaders(s.id, flags, s.block)
	if !whole {
		if _, err := c.content(s, s.kept, s.last && len(s.trailer) == 0); err == nil && s.last {
			c.finish(s)
		}
	}
	c.flush()
}

// stageHeaders stages a header block. The connection's lock is held.
func (c *conn) stageHeaders(id uint32, flags uint8, block []byte) {
	if c.peer.shrunk {
		c.peer.shrunk = false
		block = append(frame.AppendTableSize(make([]byte, 0, len(block)+1)), block...)
	}
	c.out.staged = frame.AppendHeaders(c.staged(), id, flags, block, c.peer.frame)
}

// content stages p as the windows and the room in the output let it, and the end
// of the stream with it; it returns how much was staged before the stream ended. The
// connection's lock is held but for when it waits.
func (c *conn) content(s *Stream, p []byte, last bool) (staged int, _ error) {
	for staged < len(p) {
		if s.done {
			return staged, s.refused()
		}
		n := c.sendable(s, len(p)-staged)
		if n <= 0 {
			c.flush()
			c.stall(s)
			continue
		}
		flags := uint8(0)
		if last && staged+n == len(p) {
			flags, s.sentLast = frame.EndStream, true
		}
		c.stageData(s, flags, p[staged:staged+n])
		staged += n
	}
	return staged, nil
}

// sendable returns how much of n bytes of content s can stage now; nothing if that
// is not above 0.
func (c *conn) sendable(s *Stream, n int) int {
	n = int(min(int64(n), s.window.send, c.window.send, int64(c.peer.frame)))
	return min(n, outputLimit-len(c.out.staged)-frame.HeadSize)
}

// stageData stages p, which is sendable, as one frame.
func (c *conn) stageData(s *Stream, flags uint8, p []byte) {
	h := frame.Head{Length: len(p), Type: frame.Data, Flags: flags, Stream: s.id}
	c.out.staged = append(frame.Append(c.staged(), h), p...)
	s.window.send -= int64(len(p))
	c.window.send -= int64(len(p))
	s.moved, c.out.unheard = true, true
}

// glance is how often who waits for a window looks whether it is too late.
const glance = 100 * time.Millisecond

// stall waits for a window, or for room in the output.
func (c *conn) stall(s *Stream) {
	c.out.blocked++
	c.mu.Unlock()
	ok := s.writing.Wait(time.Now().Add(glance))
	c.mu.Lock()
	c.out.blocked--
	if !ok {
		s.late(c)
	}
}

// late ends s when its time has passed or its client has gone. The connection's
// lock is held.
func (s *Stream) late(c *conn) {
	switch {
	case s.ctx.Err() != nil:
		c.abort(s, s.ctx.Err(), frame.Cancel)
	case time.Now().Before(s.until):
	case s.moved && s.patience > 0: // it waits for the rest of the request, not we for the backend
		s.moved, s.until = false, time.Now().Add(s.patience)
	default:
		c.abort(s, os.ErrDeadlineExceeded, frame.Cancel)
	}
}

// refused is why no more content is taken.
func (s *Stream) refused() error {
	if s.err == errUnprocessed {
		return errUnprocessed
	}
	return errRefused
}

// finish ends the request. The connection's lock is held.
func (c *conn) finish(s *Stream) {
	if s.sentLast || s.done {
		return
	}
	s.sentLast = true
	if len(s.trailer) > 0 {
		c.stageHeaders(s.id, frame.EndStream, frame.AppendFields(nil, s.trailer))
	} else {
		c.out.staged = frame.Append(c.staged(), frame.Head{Type: frame.Data, Flags: frame.EndStream, Stream: s.id})
	}
}

// Write sends content, and returns when it has been taken: no more than the
// backend's windows let it. Where the backend has not looked at the request, it waits until
// that has been sent again, as far as it is kept, by who waits for the answer, and goes on
// from there: so no more has to be kept than has been sent.
func (s *Stream) Write(p []byte) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	for {
		n, err := s.put(p)
		s.keep(p[:n])
		if err != errUnprocessed {
			return err
		}
		if !s.retried() {
			return errRefused
		}
		p = p[n:]
	}
}

// retried waits until the request may have been sent again, and reports whether it still
// can be. The stream's lock is held but for when it waits.
func (s *Stream) retried() bool {
	if !s.keeping.Load() || s.aborted.Load() {
		return false
	}
	s.lock.Unlock()
	told := s.resent.Wait(time.Now().Add(glance))
	s.lock.Lock()
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !told && (s.ctx.Err() != nil || time.Now().After(s.until)) { // nobody waits for the answer
		s.keeping.Store(false)
	}
	return true
}

// put is content on the stream's connection as it is now.
func (s *Stream) put(p []byte) (staged int, err error) {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	staged, err = c.content(s, p, false)
	c.flush()
	return staged, err
}

// keep keeps content that has been sent, so that it can be sent again, as long as all
// of it is little enough.
func (s *Stream) keep(p []byte) {
	if !s.keeping.Load() {
		return
	}
	if len(s.kept)+len(p) > replayable {
		s.keeping.Store(false)
		s.kept, s.own = nil, nil
		return
	}
	s.kept = append(s.kept, p...)
	s.own = s.kept
}

// Last ends the content.
func (s *Stream) Last(trailer exchange.Header) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.last, s.trailer = true, append(s.trailer[:0], trailer...)
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(s)
	c.flush()
}
