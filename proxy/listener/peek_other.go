//go:build !unix

package listener

import (
	"errors"
	"net"

	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// peek has no way to look at bytes and leave them.
func peek(*net.TCPConn, []byte, func(int) bool) error {
	return errors.New("PROXY headers are not read on this system")
}

// swallow cannot tell, so there may be more.
func swallow(*tcp.Accepted, int) bool { return false }
