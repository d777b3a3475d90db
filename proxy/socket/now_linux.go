package socket

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Gone reports whether the peer of c has closed the connection, or at least its
// side of it. It asks the kernel and never waits, and may be called inside a step.
func Gone(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}

// WriteNow writes what the kernel takes of p at once, and fails where that is not all.
func WriteNow(c *net.TCPConn, p []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(fd uintptr) {
		if k, errno := sysWrite(int(fd), p); errno == 0 {
			n = k
		}
	})
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
