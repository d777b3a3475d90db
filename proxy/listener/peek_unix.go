//go:build unix

package listener

import (
	"io"
	"net"
	"syscall"

	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// peek fills b with what has come, and leaves it where it is, each time more has
// come, until enough says that it is.
func peek(c *net.TCPConn, b []byte, enough func(n int) bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK)
		switch {
		case err == syscall.EAGAIN, err == syscall.EINTR:
			return false
		case err != nil:
			failed = err
			return true
		case n == 0:
			failed = io.ErrUnexpectedEOF
			return true
		}
		return enough(n)
	})
	if err != nil {
		return err
	}
	return failed
}

// swallow reports whether no more than most bytes have come that nobody has read,
// and reads them if so. It does not wait.
func swallow(c *tcp.Accepted, most int) bool {
	few := true
	err := c.Control(func(fd uintptr) {
		b := make([]byte, most+1)
		n, _, _ := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if few = n <= most; few && n > 0 {
			_, _, _ = syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT)
		}
	})
	return few || err != nil
}
