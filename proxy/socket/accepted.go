package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Accepted is a connection that a client made. The runtime's poller is told of it
// only when something has to be waited for: a client that sends its request with
// the connection and wants one answer, as many do, is served without.
//
// It is used again once it was closed (Listener.Accept), and whoever still has it would
// have another's connection then. It is a net.Conn. Anyone may close it and set its
// deadlines; the rest is for one goroutine at a time.
type Accepted struct {
	peer netip.AddrPort

	mu       sync.Mutex
	local    netip.AddrPort // not valid before Local was asked for it, where the listener's is every address
	tcp      *net.TCPConn   // as the poller knows it; nil: it does not
	fd       int            // as long as tcp is nil, and within a step
	stepping bool           // fd is in use
	old      *os.File       // has fd, within a step since which there is tcp
	closed   bool
	loop     Loop      // may know fd, which it is to forget; nil: none does
	readBy   time.Time // deadlines, as long as tcp is nil
	writeBy  time.Time
}

// Loop is what has waited for something to come of an Accepted.
type Loop interface{ Forget(fd int) }

// Left tells a that l waits no more, and is to forget the connection unless that is
// closed before the poller hears of it.
func (a *Accepted) Left(l Loop) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loop = l
}

// Peer returns the client's end. Addresses of IPv4 are such.
func (a *Accepted) Peer() netip.AddrPort { return a.peer }

// Local returns our end, as Peer does. It is not valid when the connection was closed before
// anybody asked for it: few do, and most times that is a system call.
func (a *Accepted) Local() netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.local.IsValid():
	case a.tcp != nil:
		a.local = addrPort(a.tcp.LocalAddr())
	case !a.closed:
		a.local = sysLocal(a.fd)
	}
	return a.local
}

// TCP returns the connection as the poller knows it, from now on. It costs a dozen
// short system calls.
func (a *Accepted) TCP() (*net.TCPConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tcp != nil {
		return a.tcp, nil
	}
	if a.closed {
		return nil, net.ErrClosed
	}
	if a.loop != nil {
		a.loop.Forget(a.fd)
	}
	// The descriptor blocks, so that os.File leaves the poller to net, which duplicates it.
	f := os.NewFile(uintptr(a.fd), "tcp")
	c, err := net.FileConn(f)
	if a.stepping {
		a.old = f
	} else {
		err = errors.Join(err, f.Close())
	}
	if err != nil { // as a rule no more descriptors may be had
		a.closed = true
		return nil, err
	}
	a.tcp = c.(*net.TCPConn)
	_ = a.tcp.SetReadDeadline(a.readBy) // only a closed connection has none
	_ = a.tcp.SetWriteDeadline(a.writeBy)
	return a.tcp, nil
}

// Known returns the connection if the poller knows it, else nil.
func (a *Accepted) Known() *net.TCPConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tcp
}

// enter returns a descriptor that stays open until exit. It is false when the
// connection is closed, or the poller knows it.
func (a *Accepted) enter() (fd int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stepping = !a.closed && a.tcp == nil
	return a.fd, a.stepping
}

func (a *Accepted) exit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stepping = false
	switch {
	case a.old != nil:
		_ = a.old.Close()
		a.old = nil
	case a.closed:
		_ = sysClose(a.fd)
	}
}

// Close implements net.Conn. Within a step what is under way ends first, with an error.
func (a *Accepted) Close() error {
	tcp, err := a.end()
	if tcp != nil { // not under the lock: it waits for the step under way, which may want that
		err = errors.Join(err, tcp.Close())
	}
	return err
}

// Break ends the connection for its peer and for whoever serves it, who is to close it,
// and waits for nobody.
func (a *Accepted) Break() {
	if !Raw {
		_ = a.Close() // nobody is within a step
		return
	}
	_ = a.Control(func(fd uintptr) { _ = sysShutdown(int(fd)) }) // closed already: just as well
}

// end closes the connection but for what the poller knows, which it returns.
func (a *Accepted) end() (*net.TCPConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.closed
	a.closed = true
	switch {
	case was:
		return nil, net.ErrClosed
	case a.stepping:
		return a.tcp, sysShutdown(a.fd)
	case a.tcp != nil:
		return a.tcp, nil
	}
	return nil, sysClose(a.fd)
}

// Control calls f with a descriptor of the connection, which stays open meanwhile.
func (a *Accepted) Control(f func(fd uintptr)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.tcp != nil: // none of what is asked of it under the lock waits for anything
		return control(a.tcp, f)
	case a.closed:
		return net.ErrClosed
	}
	f(uintptr(a.fd))
	return nil
}

// control is c's Control; c is an Accepted or a net.TCPConn.
func control(c net.Conn, f func(fd uintptr)) error {
	switch c := c.(type) {
	case *Accepted:
		return c.Control(f)
	case *net.TCPConn:
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		return raw.Control(f)
	}
	return errors.ErrUnsupported
}

// SetLinger is net.TCPConn's.
func (a *Accepted) SetLinger(seconds int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.tcp != nil:
		return a.tcp.SetLinger(seconds)
	case a.closed:
		return net.ErrClosed
	}
	return sysLinger(a.fd, seconds)
}

// CloseWrite tells the peer that no more comes.
func (a *Accepted) CloseWrite() error {
	c, err := a.TCP()
	if err != nil {
		return err
	}
	return c.CloseWrite()
}

// Read implements net.Conn.
func (a *Accepted) Read(p []byte) (int, error) {
	c, err := a.TCP()
	if err != nil {
		return 0, err
	}
	return c.Read(p)
}

// Write implements net.Conn.
func (a *Accepted) Write(p []byte) (int, error) {
	c, err := a.TCP()
	if err != nil {
		return 0, err
	}
	return c.Write(p)
}

// SetDeadline implements net.Conn.
func (a *Accepted) SetDeadline(t time.Time) error {
	return errors.Join(a.SetReadDeadline(t), a.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (a *Accepted) SetReadDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.readBy = t; a.tcp != nil {
		return a.tcp.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (a *Accepted) SetWriteDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writeBy = t; a.tcp != nil {
		return a.tcp.SetWriteDeadline(t)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (a *Accepted) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(a.Local()) }

// RemoteAddr implements net.Conn.
func (a *Accepted) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.peer) }
