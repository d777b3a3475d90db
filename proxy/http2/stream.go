package http2

import (
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// stream is one request and its answer; reused. It is the job that serves it.
type stream struct {
	exchange.Exchange
	c      *conn
	id     uint32
	head   wire.RequestHead
	bad    *exchange.Error // what the request is refused for; nil if it is not
	body   body
	writer writer
	client *client

	// Guarded by the connection's lock.
	next   *stream // in the connection's list
	window window
	closed bool // the client has sent all
	gone   bool // reset by either side, or the connection is: nobody reads the answer
	ours   bool // reset by us
	over   bool // does not count any more; see streams.settle
}

var pool = sync.Pool{New: func() any {
	st := &stream{client: &client{}}
	st.Exchange.Request.Header = make(exchange.Header, 0, 32)
	st.Exchange.Response.Header = make(exchange.Header, 0, 32)
	st.Exchange.Writer, st.body.st, st.writer.st = &st.writer, st, st
	st.writer.block = make([]byte, 0, 512)
	st.body.wake.Init()
	st.writer.wake.Init()
	return st
}}

// getStream returns a stream of c, not yet open.
func getStream(c *conn, id uint32) *stream {
	st := pool.Get().(*stream)
	st.c, st.id = c, id
	st.Exchange.Conn = c.info
	return st
}

// putStream takes st back, which nobody else knows of any more.
func putStream(st *stream) {
	st.Exchange.Reset()
	st.body.reset()
	st.writer.reset()
	st.client.cancel()
	st.client = st.client.again()
	st.c, st.bad, st.Exchange.Conn, st.Exchange.Context = nil, nil, nil, nil
	st.closed, st.gone, st.ours, st.over = false, false, false, false
	pool.Put(st)
}

// run serves the stream.
func (st *stream) run() {
	x, s := &st.Exchange, st.c.srv
	s.waiting.Add(-1)
	if st.bad != nil {
		x.Fail(st.bad)
		_ = x.WriteReply() // a client that is gone needs no answer
		if s.cfg.Refused != nil {
			s.cfg.Refused(x)
		}
	} else {
		x.Context = st.client
		s.cfg.Handler.Handle(x)
	}
	if st.bad == nil || st.bad.Status != 400 {
		st.linger()
	}
	st.finish()
}

// What is taken of content that nobody wants, once its request has been answered.
const (
	lingerTime = 2 * time.Second
	lingerMost = 16 << 20
)

// linger takes what a client still sends of a request that was answered early: a
// reset, though it is no error (section 8.1), takes the answer from some that have
// not read it yet, and from curl where it waits to be told to send and both come in one
// piece. One that sends without end is not listened to.
func (st *stream) linger() {
	c, b := st.c, &st.body
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.Request.Body == nil || b.messages || !st.writer.ended() {
		return
	}
	b.cancelled.Store(true)
	if n := b.queue.Drop(); n > 0 {
		st.credit(int64(n))
	}
	c.flush()
	until, most := time.Now().Add(lingerTime), b.received+lingerMost
	for in := true; in && !st.closed && !st.gone && b.received < most; {
		c.mu.Unlock()
		in = b.wake.Wait(until)
		c.mu.Lock()
	}
}

// finish ends the stream: an answer that is incomplete is broken off, and so is a
// request that is not wanted any more (section 8.1), or was malformed (8.1.1).
func (st *stream) finish() {
	c := st.c
	c.mu.Lock()
	if !st.gone {
		switch {
		case !st.writer.ended():
			c.reset(st, frame.InternalError)
		case st.bad != nil && st.bad.Status == 400:
			c.reset(st, frame.ProtocolError)
		case !st.closed:
			c.reset(st, frame.NoError)
		}
	}
	c.streams.remove(st)
	if n := st.body.queue.Drop(); n > 0 && !c.out.failed {
		c.credit(int64(n))
	}
	c.flush()
	idle := c.streams.open == 0
	if c.out.failed {
		c.wake.Signal()
	} else if idle && c.drain.state == final {
		c.nudge()
	}
	c.mu.Unlock()
	putStream(st)
}

// reset breaks st off.
func (c *conn) reset(st *stream, code frame.Code) {
	if !st.gone {
		st.ours = true
		c.stage(frame.AppendReset(c.staged(), st.id, code))
		c.abandon(st)
	}
}

// abandon tells whoever works for st that it is over.
func (c *conn) abandon(st *stream) {
	st.gone = true
	c.streams.settle(st)
	st.client.cancel()
	st.body.wake.Signal()
	st.writer.wake.Signal()
}
