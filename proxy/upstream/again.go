package upstream

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
	if c.sent && in.done && in.r == in.w && in.mode != untilClose && in.mode != tunnel && !c.Head.Close {
		k.release(c.now)
	} else {
		k.close()
	}
}

// forget makes nothing of the answer good any more.
func (c *Call) forget() {
	in := &c.in
	give(in.buf)
	give(in.head)
	in.reset()
	c.sent = false
	clear(c.Head.Header)
	c.Head.Reset()
}
