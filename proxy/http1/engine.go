package http1

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/record"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// engine is what drives a connection: a socket.Conn, or a record.Conn.
type engine interface {
	io.ReadWriter
	Drive(step func() bool) error
	TryRead(p []byte) (int, error)
	Write2(a, b []byte) error
}

// engines stay with a conn in its pool. Each is nil before it is wanted.
type engines struct {
	clear  *socket.Conn
	secure *record.Conn
}

// attach finds an engine for the connection.
func (c *conn) attach() error {
	c.probe = true
	switch t := c.nc.(type) {
	case *socket.Accepted:
		if !socket.Raw {
			return nil
		}
		if c.own.clear == nil {
			c.own.clear = socket.Unused()
		}
		c.sock = c.own.clear
		c.own.clear.UseAccepted(t, c.cfg.WriteTimeout)
	case *tls.Conn:
		if c.own.secure == nil {
			c.own.secure = record.Unused()
		}
		driven, err := c.own.secure.Use(t, c.cfg.WriteTimeout)
		if driven {
			c.sock = c.own.secure
		}
		return err
	}
	return nil
}

// settle gets ready to serve a request whose content another goroutine may read.
func (c *conn) settle() error {
	if c.sock != engine(c.own.clear) {
		return nil
	}
	return c.own.clear.Settle()
}

// detach takes the connection from its engine: from now on nc is all there is.
func (c *conn) detach() {
	switch c.sock {
	case nil:
	case c.own.clear:
		c.own.clear.Forget()
	case c.own.secure:
		c.own.secure.Forget()
	}
	c.sock = nil
}

// begun reports whether something has come that cannot be read yet: part of a record.
func (c *conn) begun() bool {
	return c.sock != nil && c.sock == engine(c.own.secure) && c.own.secure.Within()
}

// leave makes the connection, which it returns, one that somebody else serves.
func (c *conn) leave() (nc net.Conn, err error) {
	c.detach()
	nc = c.nc
	if a, ok := nc.(*socket.Accepted); ok {
		if nc, err = a.TCP(); err != nil {
			return nil, err
		}
	}
	if t, ok := nc.(*tls.Conn); ok {
		nc = record.Told(t)
	}
	return nc, nc.SetDeadline(time.Time{})
}

// Gone implements exchange.Watched.
func (w *writer) Gone() bool {
	below := w.s.conn.below()
	if b, ok := below.(*record.Below); ok {
		below = b.Conn
	}
	return socket.Gone(below)
}

// below is the connection that TLS is over, if there is TLS. Closing it sends no
// farewell, and may be done by anyone.
func (c *conn) below() net.Conn {
	if t, ok := c.nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c.nc
}
