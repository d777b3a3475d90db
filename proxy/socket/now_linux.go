package socket

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Gone reports whether the peer of c, an Accepted or a net.TCPConn, has closed the
// connection, or at least its side of it. It asks the kernel and never waits, and
// may be called inside a step.
func Gone(c net.Conn) bool {
	gone := false
	err := control(c, func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}

// WriteNow writes what the kernel takes of p at once, and fails where that is not
// all. c is as for Gone.
func WriteNow(c net.Conn, p []byte) (n int, err error) {
	err = control(c, func(fd uintptr) {
		if k, errno := sysWrite(int(fd), p); errno == 0 {
			n = k
		}
	})
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
