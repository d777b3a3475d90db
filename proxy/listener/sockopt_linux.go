package listener

import (
	"syscall"

	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// keepAlive is how long a connection may be silent before the kernel probes it.
const keepAlive = 15 // seconds

// control sets up a listening socket; accepted ones inherit it.
func control(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		for _, o := range [][3]int{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepAlive},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepAlive},
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		} {
			if failed == nil {
				failed = syscall.SetsockoptInt(int(fd), o[0], o[1], o[2])
			}
		}
	})
	if err == nil {
		err = tcp.Bound("", "", c)
	}
	if err != nil {
		return err
	}
	return failed
}
