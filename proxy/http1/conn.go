package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// conn is one client connection. What a request touches comes first.
type conn struct {
	srv     *Server
	cfg     *Config // the Server's, within what the port allows
	sock    engine  // nil when nc cannot be driven
	info    *exchange.Conn
	ses     *session    // nil while nothing has come of the next request
	step    func() bool // onEdge, bound once
	driving bool        // inside sock.Drive
	probe   bool        // try one more read before parking: an end may have come in the same packet as the data
	outcome outcome
	seen    wire.Seen // what its last request was made of
	headBy  time.Time // when the head that has begun must be complete; zero when none has
	armed   deadlines

	nc     net.Conn
	own    engines // of which sock is one if it is not nil
	tunnel atomic.Bool
}

// deadlines are those that are armed.
type deadlines struct {
	read  time.Time
	write time.Time // of a connection without sock
}

// outcome is how a request, or a step of the engine, ended.
type outcome uint8

const (
	again    outcome = iota // wait for more
	outside                 // the request parsed must be served outside the long read
	closing                 // close the connection; the client has all it gets
	linger                  // the same, but the client may still be sending
	abort                   // break the connection off: an answer is incomplete
	gone                    // the tunnel, or the client, has closed it
	handover                // it speaks HTTP/2
	resting                 // nothing has come for a while: it needs no goroutine
)

// conns keeps what connections are served with: many carry one request, and
// making it would be a good part of their cost.
var conns = sync.Pool{New: func() any {
	c := &conn{}
	c.step = c.onEdge
	return c
}}

// newConn returns a conn for nc; release takes it back.
func newConn(s *Server, nc net.Conn, info *exchange.Conn) (*conn, error) {
	c := conns.Get().(*conn)
	c.srv, c.cfg, c.nc, c.info = s, s.cfg.within(info), nc, info
	return c, c.attach()
}

// release forgets the connection, which has been closed or goes on elsewhere.
func (c *conn) release() {
	c.detach()
	*c = conn{own: c.own, step: c.step}
	conns.Put(c)
}

// run serves the connection until it ends; outcome says how.
func (c *conn) run() {
	if c.sock == nil {
		for c.outcome == again {
			c.outcome = c.plain()
		}
		return
	}
	for {
		if !c.park() {
			return
		}
		if err := c.sock.Drive(c.step); err != nil {
			c.driving = false
			if c.outcome = c.failed(err); c.outcome == again {
				continue
			}
			return
		}
		if c.outcome != outside {
			return
		}
		if c.settle() != nil {
			c.outcome = abort
			return
		}
		if c.outcome = c.serve(); c.outcome == again {
			c.outcome = c.process(0) // what came behind the content
		}
		if c.outcome != again {
			return
		}
	}
}

// onEdge is a step of the engine: it reads what is there and serves what is
// complete. It returns true to leave the long read.
func (c *conn) onEdge() bool {
	c.driving = true
	c.outcome = c.readAll()
	if c.outcome == again && !c.park() {
		c.outcome = closing
	}
	c.driving = c.outcome == again
	return c.outcome != again
}

func (c *conn) readAll() outcome {
	for {
		if c.ses == nil {
			c.ses = getSession(c)
		}
		to := c.ses.room()
		n, err := c.sock.TryRead(to)
		if err == socket.ErrWouldBlock {
			return again
		}
		if err != nil {
			return c.ended(err)
		}
		c.ses.w += n
		if o := c.process(n); o != again {
			return o
		}
		if n < len(to) && !c.probe {
			return again
		}
		c.probe = false
	}
}

// plain reads once, waiting, and serves what is complete.
func (c *conn) plain() outcome {
	if !c.park() {
		return closing
	}
	var to []byte
	if c.ses != nil {
		to = c.ses.room()
	} else {
		to = mem.GetSmall() // all that an idle connection holds
	}
	n, err := c.nc.Read(to)
	if c.ses == nil {
		c.ses = getSession(c)
		c.ses.setInput(to)
	}
	if c.ses.w += n; n > 0 {
		return c.process(n)
	}
	if err == nil {
		return again
	}
	return c.failed(err)
}

// process serves the requests that are complete. fresh is how many bytes at the
// end of the input have not been looked at before.
func (c *conn) process(fresh int) outcome {
	s := c.ses
	for s.r < s.w {
		// A head that comes byte by byte is looked at again once a line ends.
		if fresh > 0 && !c.headBy.IsZero() && !newline(s.in[s.w-fresh:s.w]) && s.w-s.r < c.cfg.Limits.Head {
			return again
		}
		n, err := wire.ParseRequest(s.in[s.r:s.w], &s.head, c.cfg.Limits, &c.seen)
		if err != nil {
			if c.speaksHTTP2() {
				return handover
			}
			s.fill()
			s.x.Request.Body = nil
			return c.refuse(err)
		}
		if n == 0 {
			return again
		}
		s.r += n
		c.probe = c.probe || !c.headBy.IsZero()
		c.headBy = time.Time{}
		s.x.Start = time.Now()
		s.fill()
		if err := s.flawed(); err != nil {
			s.x.Request.Body = nil
			return c.refuse(err)
		}
		if c.driving && (s.x.Request.Upgrade != "" || s.x.Request.Body != nil && !s.body.here()) {
			return outside
		}
		if o := c.serve(); o != again {
			return o
		}
		fresh = 0
		c.probe = c.probe || s.r < s.w
	}
	return again
}

func newline(b []byte) bool {
	for _, c := range b {
		if c == '\n' {
			return true
		}
	}
	return false
}

// serve answers the request that has been parsed, and decides how the connection goes
// on after that.
func (c *conn) serve() outcome {
	s := c.ses
	c.info.Exchanges++
	if s.x.Request.Body != nil && c.cfg.MaxBody > 0 && s.head.ContentLength > c.cfg.MaxBody {
		return c.refuse(errTooLarge)
	}
	c.srv.handler.Handle(&s.x)
	if s.body.cancelled.Load() {
		c.armed.read = time.Time{} // Cancel has changed the deadline
	}
	hasBody := s.x.Request.Body != nil || s.head.ContentLength != 0
	switch {
	case s.out.state == tunneled:
		return gone
	case s.out.state != ended:
		return abort
	case s.out.close && hasBody && !s.body.done:
		return linger
	case s.out.close && s.r < s.w:
		return linger
	case s.out.close:
		return closing
	case hasBody && !s.body.drain():
		return linger
	case hasBody:
		s.x.Took = 0 // what was left of it may have been waited for
	}
	s.head.Header = s.x.Request.Header[:0]
	s.x.Reset()
	return again
}

// keep reports whether the connection can carry another request after the answer.
func (c *conn) keep() bool {
	s := c.ses
	if s.head.Close || c.srv.ending.Load() || c.srv.draining.Load() {
		return false
	}
	if m := c.cfg.MaxRequests; m > 0 && c.info.Exchanges >= m {
		return false
	}
	return s.head.ContentLength == 0 || s.body.drainable()
}

// refuse answers what cannot be handled, and ends the connection.
func (c *conn) refuse(e *exchange.Error) outcome {
	x := &c.ses.x
	c.ses.head.Close = true
	x.Start, x.Request.ClientIP = time.Now(), x.Conn.Peer.Addr()
	x.Fail(e)
	err := x.WriteReply()
	if c.cfg.Refused != nil {
		c.cfg.Refused(x)
	}
	if err != nil {
		return abort
	}
	return linger
}

// ended says what the end of the client's stream means.
func (c *conn) ended(err error) outcome {
	if err == io.EOF && (c.ses == nil || c.ses.r == c.ses.w) {
		return closing
	}
	return abort
}

// failed says what a failed wait means.
func (c *conn) failed(err error) outcome {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return c.ended(err)
	}
	if c.headBy.IsZero() {
		if c.rests() && !c.srv.draining.Load() {
			return resting
		}
		return closing // idle for too long, or draining
	}
	if time.Now().Before(c.headBy) {
		c.armed.read = time.Time{} // woken by Drain: the head may still come
		return again
	}
	s := c.ses
	if s == nil {
		return closing // it is part of a record, which says nothing
	}
	s.head = wire.RequestHead{Header: s.head.Header[:0], Minor: 1}
	s.fill()
	return c.refuse(&exchange.Error{Status: 408, Code: "header_timeout", Detail: "the request's head came too slowly"})
}

// park gets ready to wait for a request or for the rest of a head: it gives
// back what an idle connection needs not, and arms the deadline. It returns
// false when there is nothing to wait for any more.
func (c *conn) park() bool {
	var start time.Time // now is took behind it
	var took time.Duration
	if s := c.ses; s != nil {
		start, took, s.x.Took = s.x.Start, s.x.Took, 0 // nothing has been waited for since then
		if s.r == s.w {
			c.ses = nil
			s.release()
		}
	}
	if took == 0 {
		start = time.Now()
	}
	if c.ses != nil || c.begun() {
		if c.headBy.IsZero() {
			c.headBy = start.Add(took + c.cfg.HeadTimeout)
		}
		return c.armed.read.Equal(c.headBy) || c.armRead(c.headBy) == nil
	}
	c.headBy = time.Time{}
	idle := c.cfg.IdleTimeout
	if c.rests() {
		if idle = c.cfg.Quiet; c.srv.serving.Load() > crowd {
			idle /= 10
		}
	}
	if left := c.armed.read.Sub(start) - took; left < idle {
		if c.armRead(start.Add(took+2*idle)) != nil {
			return false
		}
	}
	// Drain sets its flag before it wakes the connections: either it is seen
	// here, or the deadline just armed is replaced by Drain's.
	return !c.srv.draining.Load()
}

// crowd is how many connections may have a goroutine before those that are quiet
// give theirs up sooner: ten thousand clients that come at once leave no memory
// behind that was needed for a moment.
const crowd = 512

// rests reports whether the connection is handed back when it is quiet, before it
// is closed for that.
func (c *conn) rests() bool { return c.cfg.Quiet > 0 && c.cfg.Quiet < c.cfg.IdleTimeout }

func (c *conn) armRead(t time.Time) error {
	c.armed.read = t
	return c.nc.SetReadDeadline(t)
}

// readWithin reads content by read, waiting from timeout to twice that.
func (c *conn) readWithin(now time.Time, timeout time.Duration, read func() (int, error), cancelled *atomic.Bool) (int, error) {
	for {
		if left := c.armed.read.Sub(now); left < timeout || left > 2*timeout {
			if err := c.armRead(now.Add(2 * timeout)); err != nil {
				return 0, err
			}
		}
		if cancelled.Load() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := read()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || cancelled.Load() {
			return n, err
		}
		if now = time.Now(); !now.Before(c.armed.read) {
			return n, err
		}
		c.armed.read = time.Time{} // woken by Drain, which must not cut content short
	}
}

func (c *conn) read(p []byte) (int, error) {
	if c.sock != nil {
		return c.sock.Read(p)
	}
	return c.nc.Read(p)
}

func (c *conn) write(p []byte) error {
	if c.sock != nil {
		_, err := c.sock.Write(p)
		return err
	}
	now := time.Now()
	if timeout := c.cfg.WriteTimeout; c.armed.write.Sub(now) < timeout {
		c.armed.write = now.Add(2 * timeout)
		if err := c.nc.SetWriteDeadline(c.armed.write); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(p)
	return err
}

func (c *conn) write2(a, b []byte) error {
	if c.sock != nil {
		return c.sock.Write2(a, b)
	}
	if err := c.write(a); err != nil {
		return err
	}
	return c.write(b)
}

// close ends the connection as outcome says.
func (c *conn) close() {
	c.detach()
	switch c.outcome {
	case linger:
		c.lingerOn()
	case abort:
		// A reset tells the client that the answer it has is not whole. Over TLS there is no
		// farewell then, but not all clients miss that.
		below := c.below()
		if t, ok := below.(interface{ SetLinger(int) error }); ok {
			t.SetLinger(0) //nolint:errcheck // then it ends without
		}
		if below != c.nc {
			below.Close()
		}
	}
	c.nc.Close()
	if c.ses != nil {
		c.ses.x.Reset()
		c.ses.release()
		c.ses = nil
	}
}

// lingerMost is how much a closed connection is still read of, beside LingerTime: what
// clients send of content that was refused, most of which look for an answer only behind it.
const lingerMost = 4 << 20

// lingerOn shuts the sending side and reads on for a little: closing while the
// client sends would reset the connection and take the answer from it (RFC
// 9112, section 9.6).
func (c *conn) lingerOn() {
	h, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		return
	}
	if c.armRead(time.Now().Add(c.cfg.LingerTime)) != nil {
		return
	}
	b := mem.GetLarge()
	defer mem.PutLarge(b)
	for total := 0; total < lingerMost; {
		n, err := c.nc.Read(b)
		if err != nil {
			return
		}
		total += n
	}
}
