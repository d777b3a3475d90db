package upstream

import "github.com/gatehouse-dev/gatehouse/proxy/mem"

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
	if c.stream != nil {
		c.closeStream()
	}
	k := c.free()
	if k == nil {
		return
	}
	if c.sent && in.done && in.r == in.w && in.mode < untilClose && !c.Head.Close && !c.last {
		k.release(c.at)
	} else {
		k.close()
	}
}

// forget makes nothing of the answer good any more.
func (c *Call) forget() {
	in := &c.in
	if cap(in.buf) >= mem.Small || c.x != nil || in.mode == chunked {
		c.discard()
	}
	in.buf = nil
	in.base, in.r, in.w, in.left = 0, 0, 0, 0
	in.mode, in.done, in.any = fixed, false, false
	c.sent = false
	c.moved.Store(false)
}

// discard gives back memory of the answer's that is not the call's, and forgets what
// was in it.
func (c *Call) discard() {
	if c.in.mode == chunked {
		c.in.chunks.Reset()
	}
	put(c.in.buf)
	put(c.in.head)
	c.in.head = nil
	clear(c.Head.Header)
	c.Head.Reset()
}
