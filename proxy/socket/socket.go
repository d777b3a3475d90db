// Package socket is the engine below the protocols: a TCP connection read and
// written with as few system calls, scheduler visits and timer changes as the
// Go runtime's network poller allows.
//
// proxy/http1 drives client connections with it, proxy/upstream asks backends
// through it, and what proxy/relay and proxy/udp (by a Hub) pass on goes through
// it; it calls mem for buffers. Where the runtime has no such poller (Raw is false)
// the same calls go through net.TCPConn.
//
// The technique: syscall.RawConn.Read holds the descriptor and calls back until
// the callback is content, parking on the poller in between. A whole keep-alive
// connection is served inside one such call, with reads and writes that never
// block and so need not tell the scheduler. One rule keeps wake-ups from being
// lost: every RawConn.Read forgets what the poller saw before it, so its first
// callback either tries to read, or does what provokes the next edge (sending a
// request). Between callbacks of one RawConn.Read nothing is forgotten.
//
// A connection that a client makes (Listener) is not even told the poller before
// something of it has to be waited for (Accepted).
package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// ErrWouldBlock says that nothing can be read now.
var ErrWouldBlock = errors.New("socket: would block")

// Conn is one TCP connection. One goroutine reads it at a time and one writes;
// while Drive runs they are the same. Close may be called by anyone.
type Conn struct {
	raw     syscall.RawConn
	step    func() bool // of Drive
	fd      int         // good while driving
	driving bool        // a step is running

	onDrive, onAsk func(fd uintptr) bool // bound once, as those below are: no closure per call

	rd reading
	wr writing

	onRead, onWrite, onTry, onQuiet func(fd uintptr) bool

	tcp   *net.TCPConn
	fresh *Accepted     // what the poller is to be told of before anything is waited for; else nil
	stall time.Duration // how long one blocking write may take, at least; at most twice that
}

// reading is the Read or Ask under way.
type reading struct {
	out  []byte  // Ask: what is still to be sent
	into *[]byte // Ask: where what comes in goes
	n    int
	err  error
	in   []byte // Read: where what comes in goes
}

// writing is the blocking write under way.
type writing struct {
	pending [2][]byte // what is still to be written
	n       int       // TryWrite: what has been
	err     error
	until   time.Time // the write deadline that is armed
}

// New wraps c. A write that cannot go out at once, because the peer does not
// read, fails when 32 KiB of it take stall to twice stall.
func New(c *net.TCPConn, stall time.Duration) (*Conn, error) {
	s := Unused()
	return s, s.Use(c, stall)
}

// Unused returns a Conn without a connection.
func Unused() *Conn {
	s := &Conn{}
	s.onDrive, s.onRead, s.onAsk, s.onWrite, s.onTry, s.onQuiet = s.drive, s.read, s.ask, s.write, s.try, s.quiet
	return s
}

// Use makes s, which has none, a Conn of c; see New.
func (c *Conn) Use(tcp *net.TCPConn, stall time.Duration) (err error) {
	c.tcp, c.stall = tcp, stall
	c.raw, err = tcp.SyscallConn()
	return err
}

// UseAccepted makes c, which has none, a Conn of a. Only where Raw is true.
func (c *Conn) UseAccepted(a *Accepted, stall time.Duration) { c.fresh, c.stall = a, stall }

// Settle sees to it that the poller knows the connection, as it must when one goroutine
// reads and another one writes.
func (c *Conn) Settle() error {
	if c.fresh == nil {
		return nil
	}
	tcp, err := c.fresh.TCP()
	if err != nil {
		return err
	}
	c.fresh = nil
	return c.Use(tcp, c.stall)
}

// Forget makes c one without a connection. Nobody may be using it.
func (c *Conn) Forget() {
	c.fresh, c.tcp, c.raw, c.step = nil, nil, nil, nil
	c.rd, c.wr = reading{}, writing{}
}

// TCP returns the connection below, for its addresses, deadlines and Close.
func (c *Conn) TCP() *net.TCPConn { return c.tcp }

// Close closes the connection; reads and writes under way return an error.
func (c *Conn) Close() error { return c.tcp.Close() }

// Drive calls step once at once and then whenever something arrived, until step
// returns true or the read deadline passes. step may use TryRead, and must have
// called it until it returned ErrWouldBlock or less than was asked for before
// it returns false. Inside a step, Read must not be called. Only where Raw is true.
func (c *Conn) Drive(step func() bool) error {
	c.step = step
	if c.fresh != nil && c.first() {
		return nil
	}
	if err := c.Settle(); err != nil {
		return err
	}
	return c.raw.Read(c.onDrive)
}

// first is a step of a connection that the poller does not know.
func (c *Conn) first() (done bool) {
	fresh := c.fresh
	fd, ok := fresh.enter()
	if !ok {
		return false
	}
	defer fresh.exit()
	return c.drive(uintptr(fd))
}

func (c *Conn) drive(fd uintptr) bool {
	c.fd, c.driving = int(fd), true
	done := c.step()
	c.driving = false
	return done
}

// TryRead reads what is there, inside a step only: ErrWouldBlock when nothing
// is, io.EOF at the end.
func (c *Conn) TryRead(p []byte) (int, error) { return result(sysRead(c.fd, p)) }

// Read implements io.Reader. It first tries, then parks until the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	if !Raw {
		return c.tcp.Read(p)
	}
	if err := c.Settle(); err != nil {
		return 0, err
	}
	c.rd.in = p
	err := c.raw.Read(c.onRead)
	c.rd.in = nil
	if err != nil {
		return 0, err
	}
	return c.rd.n, c.rd.err
}

func (c *Conn) read(fd uintptr) bool { return c.readInto(int(fd), c.rd.in) }

// readInto reports whether there was something.
func (c *Conn) readInto(fd int, p []byte) bool {
	n, errno := sysRead(fd, p)
	if errno == syscall.EAGAIN {
		return false
	}
	c.rd.n, c.rd.err = result(n, errno)
	return true
}

// Ask sends req and reads the beginning of what comes back into *into: one write, one
// read. If *into is nil it becomes a buffer of mem.Large once there is something. sent
// is how many bytes of req can have reached the peer; after all of them Read goes on
// where Ask has failed.
func (c *Conn) Ask(req []byte, into *[]byte) (n, sent int, err error) {
	if !Raw {
		if sent, err = c.Write(req); err != nil {
			return 0, sent, err
		}
		n, err = c.tcp.Read(Room(into))
		return n, sent, err
	}
	c.rd.into, c.rd.out = into, req
	if err = c.raw.Read(c.onAsk); err == nil {
		n, err = c.rd.n, c.rd.err
	}
	sent = len(req) - len(c.rd.out)
	c.rd.into, c.rd.out = nil, nil
	return n, sent, err
}

func (c *Conn) ask(fd uintptr) bool {
	if len(c.rd.out) == 0 {
		return c.readInto(int(fd), Room(c.rd.into))
	}
	n, errno := sysWrite(int(fd), c.rd.out)
	switch {
	case n == len(c.rd.out):
		c.rd.out = nil
	case errno != 0 && errno != syscall.EAGAIN:
		c.rd.err = errno
		return true
	default:
		c.rd.err = c.block(c.rd.out[max(n, 0):], nil)
		if c.rd.out = c.wr.pending[0]; c.rd.err != nil {
			return true
		}
	}
	// The answer's edge comes after the write, so there is no need to look for it now.
	return false
}

// Room returns *p, which becomes a buffer of mem.Large if it is nil.
func Room(p *[]byte) []byte {
	if *p == nil {
		*p = mem.GetLarge()
	}
	return *p
}

// Quiet reports whether the peer has sent nothing: no bytes, no end, no reset.
// A pooled connection which is not quiet is of no use.
func (c *Conn) Quiet() bool {
	if !Raw {
		return true
	}
	err := c.raw.Read(c.onQuiet)
	return err == nil && c.rd.err == ErrWouldBlock
}

func (c *Conn) quiet(fd uintptr) bool {
	var one [1]byte
	_, c.rd.err = result(sysRead(int(fd), one[:]))
	return true
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	n := 0
	if c.driving {
		var errno syscall.Errno
		if n, errno = sysWrite(c.fd, p); errno != 0 && errno != syscall.EAGAIN {
			return 0, errno
		}
		if n = max(n, 0); n == len(p) {
			return n, nil
		}
	}
	err := c.block(p[n:], nil)
	if err != nil {
		return len(p) - len(c.wr.pending[0]), err
	}
	return len(p), nil
}

// WriteLast writes p, behind which nothing comes but the end. Inside a step both go out in
// one packet, so that the peer hears of them at once. It is the end that sends it, not
// Close, which would drop it where the peer has sent what nobody reads.
func (c *Conn) WriteLast(p []byte) error {
	if c.driving {
		if n, _ := sysWriteMore(c.fd, p); n == len(p) {
			sysCloseWrite(c.fd)
			return nil
		} else if n > 0 {
			p = p[n:]
		}
	}
	_, err := c.Write(p) // also says why it is not all
	return err
}

// TryWrite writes what goes out at once. With ErrWouldBlock that is less than p.
// Only where Raw is true.
func (c *Conn) TryWrite(p []byte) (int, error) {
	c.wr.pending[0], c.wr.n, c.wr.err = p, 0, nil
	if err := c.raw.Write(c.onTry); err != nil {
		return 0, err
	}
	c.wr.pending[0] = nil
	return c.wr.n, c.wr.err
}

func (c *Conn) try(fd uintptr) bool {
	n, errno := sysWrite(int(fd), c.wr.pending[0])
	switch {
	case errno != 0 && errno != syscall.EAGAIN:
		c.wr.err = errno
	case n < len(c.wr.pending[0]):
		c.wr.n, c.wr.err = max(n, 0), ErrWouldBlock
	default:
		c.wr.n = n
	}
	return true
}

// Write2 writes a and then b, together where that is possible.
func (c *Conn) Write2(a, b []byte) error {
	if c.driving {
		n, errno := sysWrite2(c.fd, a, b)
		if errno != 0 && errno != syscall.EAGAIN {
			return errno
		}
		if a, b = skip(a, b, n); len(b) == 0 {
			return nil
		}
	}
	return c.block(a, b)
}

// piece is how much a peer must take within stall.
const piece = 32 << 10

// block writes a and b, parking as long as the peer does not read, at most stall
// for each piece. What could not be written is left in pending.
func (c *Conn) block(a, b []byte) error {
	for {
		x := a[:min(len(a), piece)]
		y := b[:min(len(b), piece-len(x))]
		err := c.blockPiece(x, y)
		a, b = a[len(x)-len(c.wr.pending[0]):], b[len(y)-len(c.wr.pending[1]):]
		if err != nil || len(a)+len(b) == 0 {
			c.wr.pending = [2][]byte{a, b}
			return err
		}
	}
}

func (c *Conn) blockPiece(a, b []byte) error {
	c.wr.pending, c.wr.err = [2][]byte{a, b}, nil
	if err := c.armWrite(); err != nil {
		return err
	}
	if !Raw {
		return c.writePending()
	}
	if err := c.raw.Write(c.onWrite); err != nil {
		return err
	}
	return c.wr.err
}

// armWrite sees to it that a write which waits fails after stall to twice that.
func (c *Conn) armWrite() error {
	if err := c.Settle(); err != nil {
		return err
	}
	now := time.Now()
	if c.wr.until.Sub(now) >= c.stall {
		return nil
	}
	c.wr.until = now.Add(2 * c.stall)
	return c.tcp.SetWriteDeadline(c.wr.until)
}

func (c *Conn) write(fd uintptr) bool {
	for len(c.wr.pending[0])+len(c.wr.pending[1]) > 0 {
		n, errno := sysWrite2(int(fd), c.wr.pending[0], c.wr.pending[1])
		if errno == syscall.EAGAIN {
			return false
		}
		if errno != 0 {
			c.wr.err = errno
			return true
		}
		c.wr.pending[0], c.wr.pending[1] = skip(c.wr.pending[0], c.wr.pending[1], n)
	}
	c.wr.pending = [2][]byte{}
	return true
}

// writePending is write without raw system calls.
func (c *Conn) writePending() error {
	for i := range c.wr.pending {
		n, err := c.tcp.Write(c.wr.pending[i])
		if c.wr.pending[i] = c.wr.pending[i][n:]; err != nil {
			return err
		}
	}
	return nil
}

// skip takes the first n bytes off a and b; n may be negative, for none.
func skip(a, b []byte, n int) ([]byte, []byte) {
	n = max(n, 0)
	k := min(n, len(a))
	return a[k:], b[n-k:]
}

func result(n int, errno syscall.Errno) (int, error) {
	switch {
	case errno == syscall.EAGAIN:
		return 0, ErrWouldBlock
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
