package upstream

import "github.com/gatehouse-dev/gatehouse/proxy/socket"

// Plain reports whether content goes to a socket as it is, so that a socket.Pipe
// can take it there.
func (c *Call) Plain() bool { return c.stream == nil && c.conn.secure == nil && !c.chunked }

// Pass sends content that is in p, past Write.
func (c *Call) Pass(p *socket.Pipe) error {
	c.moved.Store(true)
	return p.Drain(c.conn.Conn)
}
