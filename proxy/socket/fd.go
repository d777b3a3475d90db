package socket

import (
	"net"
	"syscall"
)

// FD is the descriptor of a TCP connection that its owner attends to with
// proxy/poll. One goroutine at a time uses it.
type FD int

// Duplicate returns a descriptor of c's connection which lasts when c is closed.
// Only where Raw is true.
func Duplicate(c *net.TCPConn) (fd FD, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(of uintptr) { fd, failed = duplicate(of) })
	if err == nil {
		err = failed
	}
	return fd, err
}

// Recv reads what is there: ErrWouldBlock when nothing is, io.EOF at the end.
func (fd FD) Recv(p []byte) (int, error) { return result(sysRead(int(fd), p)) }

// Send writes what goes out at once, which may be less than p or nothing.
func (fd FD) Send(p []byte) (int, error) {
	n, errno := sysWrite(int(fd), p)
	if errno != 0 && errno != syscall.EAGAIN {
		return 0, errno
	}
	return max(n, 0), nil
}
