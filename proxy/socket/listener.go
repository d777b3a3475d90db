package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Listener accepts connections. One goroutine calls Accept; the rest is for anyone.
type Listener struct {
	addr  net.Addr
	local netip.AddrPort // of all connections; not valid where addr is every address

	plain *net.TCPListener // where Raw is false
	file  *os.File         // where it is true
	raw   syscall.RawConn

	onAccept func(fd uintptr) bool // accept, bound once
	got      *Accepted             // of the Accept under way
	woken    bool                  // it has waited, so that there is something
	err      error
}

// Listen makes a Listener of ln, which is of no more use then.
func Listen(ln *net.TCPListener) (*Listener, error) {
	l := &Listener{addr: ln.Addr(), plain: ln}
	if !Raw {
		return l, nil
	}
	defer ln.Close() // its descriptor lives on in file
	var err error
	if l.file, err = ln.File(); err != nil { // net lets nobody wait for what is to be accepted
		return nil, err
	}
	if l.raw, err = l.file.SyscallConn(); err == nil {
		err = l.file.SetReadDeadline(time.Time{}) // fails where the poller has not taken it
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	l.plain, l.onAccept = nil, l.accept
	if at := addrPort(l.addr); !at.Addr().IsUnspecified() {
		l.local = at
	}
	return l, nil
}

// Addr returns what it is bound to.
func (l *Listener) Addr() net.Addr { return l.addr }

// SyscallConn implements syscall.Conn.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if l.plain != nil {
		return l.plain.SyscallConn()
	}
	return l.raw, nil
}

// Close ends Accept, and the queue of connections not accepted.
func (l *Listener) Close() error {
	if l.plain != nil {
		return l.plain.Close()
	}
	return l.file.Close()
}

// SetDeadline ends an Accept at t, which returns os.ErrDeadlineExceeded then.
func (l *Listener) SetDeadline(t time.Time) error {
	if l.plain != nil {
		return l.plain.SetDeadline(t)
	}
	return l.file.SetReadDeadline(t)
}

// Accept waits for a connection and makes a, which is new or was closed, that. The error
// is net.ErrClosed after Close.
func (l *Listener) Accept(a *Accepted) error {
	if l.plain != nil {
		c, err := l.plain.AcceptTCP()
		if err == nil {
			*a = Accepted{tcp: c, peer: addrPort(c.RemoteAddr())}
		}
		return err
	}
	l.got, l.woken, l.err = a, false, nil
	switch err := l.raw.Read(l.onAccept); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil: // os has no name for it
		return net.ErrClosed
	}
	return l.err
}

// accept asks before it accepts, unless it was woken: to ask takes a tenth of what it takes
// the kernel to find that there is nothing to accept, a socket and a file being made for it first.
func (l *Listener) accept(of uintptr) bool {
	if !l.woken && !sysPending(int(of)) {
		l.woken = true
		return false
	}
	for {
		fd, peer, errno := sysAccept(int(of))
		switch errno {
		case 0:
			*l.got = Accepted{fd: fd, local: l.local, peer: peer}
			return true
		case syscall.EAGAIN:
			return false
		case syscall.ECONNABORTED: // it is gone already
		default:
			l.err = os.NewSyscallError("accept4", errno)
			return true
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		p := tcp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
