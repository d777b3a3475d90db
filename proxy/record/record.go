// Package record drives TLS connections as proxy/socket drives those in the
// clear: crypto/tls is given the bytes which a step of the engine has found, so
// that no read of it waits, and what it makes goes out by the engine's writes.
//
// proxy/listener and proxy/upstream put a Below under crypto/tls before the handshake;
// proxy/http1 drives what has come of the former's with a Conn; it calls socket and mem.
//
// crypto/tls keeps what it has of a record when its connection says that there
// is nothing more at the moment: an error which is a net.Error and temporary does not
// last. What it has decrypted and not yet handed over is seen by nobody else, and
// no edge comes for it: so a step must not end before crypto/tls has nothing
// left, and Below counts records to know when that is without asking it.
package record

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// Conn is a TLS connection after its handshake, with the methods of socket.Conn
// and their rules. Writes are crypto/tls's, one at a time.
type Conn struct {
	tls    *tls.Conn
	below  *Below
	sock   *socket.Conn
	onStep func() bool // drive, bound once
	step   func() bool // of Drive
	trying bool        // inside TryRead
	dry    bool        // the socket had nothing more, in this TryRead
	end    error       // came behind what TryRead has returned, which is to be called again for it
}

// Unused returns a Conn without a connection.
func Unused() *Conn {
	c := &Conn{sock: socket.Unused()}
	c.onStep = c.drive
	return c
}

// Use makes c, which has none, a Conn of t, whose handshake is done; stall is as
// for socket.New. It is false when t is not over a Below, or cannot be driven.
// Until Forget, write deadlines are c's, and whoever wants to break t off closes
// what is below it: t's own Close writes.
func (c *Conn) Use(t *tls.Conn, stall time.Duration) (bool, error) {
	b, ok := t.NetConn().(*Below)
	if !ok || !socket.Raw {
		return false, nil
	}
	if err := c.sock.Use(b.tcp(), stall); err != nil {
		return false, err
	}
	c.tls, c.below, b.by, b.told = t, b, c, true
	return true, nil
}

// Forget makes c one without a connection: that one is read and written by its
// own methods again. Nobody may be using c.
func (c *Conn) Forget() {
	if c.below != nil {
		c.below.by, c.below.told = nil, false
	}
	c.sock.Forget()
	*c = Conn{sock: c.sock, onStep: c.onStep}
}

// Drive is as socket.Conn's.
func (c *Conn) Drive(step func() bool) error {
	c.step = step
	return c.sock.Drive(c.onStep)
}

func (c *Conn) drive() bool {
	for !c.step() {
		if c.end == nil {
			return false
		}
	}
	return true
}

// TryRead reads what is there, inside a step only: socket.ErrWouldBlock when
// nothing is, io.EOF at the end. Less than was asked for means that there is no
// more at the moment, in the socket or in crypto/tls.
func (c *Conn) TryRead(p []byte) (n int, err error) {
	c.trying, c.dry = true, false
	for n < len(p) && c.end == nil {
		k, err := c.tls.Read(p[n:])
		if n += k; k > 0 {
			c.below.content()
		}
		if err == errNothing {
			c.below.records.none()
			c.trying = false
			if n == 0 {
				return 0, socket.ErrWouldBlock
			}
			return n, nil
		}
		c.end = err
		if err == nil && n < len(p) && c.below.records.one() && c.dry {
			break
		}
	}
	c.trying = false
	if n == 0 {
		return 0, c.end
	}
	return n, nil
}

// Within reports whether a record has begun to come and is not whole.
func (c *Conn) Within() bool { return c.below.records.within() }

// fetch reads for crypto/tls.
func (c *Conn) fetch(p []byte) (int, error) {
	if !c.trying {
		return c.sock.Read(p)
	}
	if c.dry {
		return 0, errNothing
	}
	n, err := c.sock.TryRead(p)
	c.dry = n < len(p)
	if err == socket.ErrWouldBlock {
		err = errNothing
	}
	return n, err
}

// Read implements io.Reader: it parks until the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.tls.Read(p)
	if n > 0 {
		c.below.content()
		err = nil // it comes again
	}
	return n, err
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) { return c.tls.Write(p) }

// whole is the most that one record carries (RFC 8446, section 5.1).
const whole = 16 << 10

// Write2 writes a and then b, in one record where they fit.
func (c *Conn) Write2(a, b []byte) error {
	if len(a)+len(b) <= whole {
		buf := mem.GetLarge()
		_, err := c.tls.Write(append(append(buf[:0], a...), b...))
		mem.PutLarge(buf)
		return err
	}
	if _, err := c.tls.Write(a); err != nil {
		return err
	}
	_, err := c.tls.Write(b)
	return err
}

// errNothing says that nothing can be read now, so that crypto/tls goes on later.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return socket.ErrWouldBlock.Error() }
func (nothing) Timeout() bool   { return false }
func (nothing) Temporary() bool { return true }
