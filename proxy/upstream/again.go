package upstream

import (
	"time"
)

// Again forgets an answer, so that what is staged can be asked once more. The
// connection is kept if the whole answer has come.
func (c *Call) Again() {
	for p, err := c.Next(); len(p) > 0 && err == nil; p, err = c.Next() {
	}
	c.finish()
	c.forget()
}

// finish gives the connection back if nothing speaks against it, else it closes it.
func (c *Call) finish() {
	in := &c.in
	c.closeStream()
	if c.conn == nil {
		return
	}
	if c.sent && in.done && in.r == in.w && in.mode != untilClose && in.mode != tunnel && !c.Head.Close {
		c.free(func(k *Conn, now time.Time) { k.release(now) })
		return
	}
	c.Drop()
}

// forget makes nothing of the answer good any more.
func (c *Call) forget() {
	in := &c.in
	put(in.buf)
	put(in.head)
	in.reset()
	c.sent = false
	clear(c.Head.Header)
	c.Head.Reset()
}
