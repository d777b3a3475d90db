package socket

import (
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
