package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes the kernel keeps of what the peer has given no room for yet, at most. The
// buffer of a connection grows to some MiB while its peer takes much; what stands in it
// when the peer stops is on the account of the container, and some hundred such peers are
// all the memory it has. What is on its way to the peer does not count.
const unsent = 512 << 10

// Bound has connections keep no more than unsent, of a listener's and of a dialer's, whose
// Control it is.
func Bound(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent) // a system without it keeps more
	})
}
