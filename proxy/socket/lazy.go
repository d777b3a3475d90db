package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Lazy reads a connection into buffers that are taken only once there is
// something to read, so that one which is quiet holds none. It belongs to one
// goroutine.
type Lazy struct {
	conn   *net.TCPConn
	raw    syscall.RawConn
	onRead func(fd uintptr) bool
	take   func(b []byte) bool // of Each
	b      []byte              // what was not taken
	errno  syscall.Errno
}

// NewLazy returns a reader of c.
func NewLazy(c *net.TCPConn) (*Lazy, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &Lazy{conn: c, raw: raw}
	l.onRead = l.read
	return l, nil
}

// Each hands what comes to take, piece by piece, until take returns false or c's
// read deadline passes. A piece which take has taken is not its any more when it
// returns; the one which it has not is returned, and is to be given back with
// Put. An empty piece means the end.
//
// All of it is one long read, during which nobody can close c: take must not
// wait for anything.
func (l *Lazy) Each(take func(b []byte) bool) ([]byte, error) {
	if !Raw {
		return l.plain(take)
	}
	l.take, l.errno = take, 0
	if err := l.raw.Read(l.onRead); err != nil {
		return nil, err
	}
	if l.errno != 0 {
		return nil, os.NewSyscallError("read", l.errno)
	}
	b := l.b
	l.b = nil
	return b, nil
}

// Put gives back a buffer.
func (l *Lazy) Put(b []byte) { mem.PutLarge(b) }

func (l *Lazy) read(fd uintptr) bool {
	b := mem.GetLarge()
	for {
		n, errno := sysRead(int(fd), b)
		switch {
		case errno != 0:
			mem.PutLarge(b)
			l.errno = errno
			if errno == syscall.EAGAIN {
				l.errno = 0
				return false
			}
			return true
		case !l.take(b[:n]):
			l.b = b[:n]
			return true
		}
	}
}

func (l *Lazy) plain(take func(b []byte) bool) ([]byte, error) {
	for {
		b := mem.GetLarge()
		n, err := l.conn.Read(b)
		if err != nil && !errors.Is(err, io.EOF) {
			mem.PutLarge(b)
			return nil, err
		}
		if !take(b[:n]) {
			return b[:n], nil
		}
		mem.PutLarge(b)
	}
}
