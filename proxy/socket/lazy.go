package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Lazy reads a connection into buffers that are taken only once there is
// something to read, so that one which is quiet holds none. It belongs to one
// goroutine.
type Lazy struct {
	conn   net.Conn
	raw    syscall.RawConn
	pool   Buffers
	onRead func(fd uintptr) bool
	b      []byte
	n      int
	errno  syscall.Errno
}

// Buffers is a pool of buffers of one size.
type Buffers struct {
	Get func() []byte
	Put func([]byte)
}

// RawConn is a connection of the net package, of TCP or UDP.
type RawConn interface {
	net.Conn
	syscall.Conn
}

// NewLazy returns a reader of c.
func NewLazy(c RawConn, pool Buffers) (*Lazy, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &Lazy{conn: c, raw: raw, pool: pool}
	l.onRead = l.read
	return l, nil
}

// Read waits for something to read, until c's read deadline. The bytes read are
// the caller's until he gives the buffer back with Put. Of a stream none means
// its end; of datagrams, an empty one.
func (l *Lazy) Read() ([]byte, error) {
	if !Raw {
		return l.plain()
	}
	if err := l.raw.Read(l.onRead); err != nil {
		return nil, err
	}
	b := l.b
	l.b = nil
	if l.errno != 0 {
		l.pool.Put(b)
		return nil, os.NewSyscallError("read", l.errno)
	}
	return b[:l.n], nil
}

// Put gives back a buffer.
func (l *Lazy) Put(b []byte) { l.pool.Put(b) }

func (l *Lazy) read(fd uintptr) bool {
	l.b = l.pool.Get()
	if l.n, l.errno = sysRead(int(fd), l.b); l.errno == syscall.EAGAIN {
		l.pool.Put(l.b)
		l.b = nil
		return false
	}
	return true
}

func (l *Lazy) plain() ([]byte, error) {
	b := l.pool.Get()
	n, err := l.conn.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		l.pool.Put(b)
		return nil, err
	}
	return b[:n], nil
}
