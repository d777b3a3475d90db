package http2

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// A connection is drained in two steps (section 6.8). A GOAWAY that still takes
// every stream asks the client to leave; once a PING behind it has been answered,
// all that was on its way has arrived, and the final GOAWAY says which streams
// were taken.

// drain is how far that is.
type drain struct {
	state draining
	by    time.Time // when the PING must have been answered
}

type draining uint8

const (
	open draining = iota
	announced
	final
)

// pong is what the PING carries.
const pong = "goodbye!"

// roundTrip bounds the wait for the answer.
const roundTrip = time.Second

// announce begins to drain c.
func (c *conn) announce() {
	if c.drain.state != open {
		return
	}
	c.drain = drain{announced, time.Now().Add(roundTrip)}
	c.stage(frame.AppendGoAway(c.staged(), frame.MaxStream, frame.NoError, ""))
	c.stage(frame.AppendPing(c.staged(), 0, []byte(pong)))
}

// settle is the second step; the reader's, since only it knows the last stream that was
// taken. No other is from then on.
func (c *conn) settle() {
	if c.drain.state == announced {
		c.drain.state = final
		c.stage(frame.AppendGoAway(c.staged(), c.in.taken, frame.NoError, "")) // a head that is incomplete is none
	}
}

// done reports whether the connection has nothing left to do.
func (c *conn) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.failed || c.drain.state == final && c.streams.open == 0
}

// waning reports whether the connection is drained without having been answered
// in time. It sees to it that the reader wakes when it may be.
func (c *conn) waning() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drain.state != announced {
		return false
	}
	if now := time.Now(); now.Before(c.drain.by) {
		c.in.readBy = c.drain.by
		return c.nc.SetReadDeadline(c.drain.by) != nil
	}
	c.settle()
	c.flush()
	return c.streams.open == 0
}
