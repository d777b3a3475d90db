//go:build !unix

package listener

import (
	"errors"
	"net"
)

// peek has no way to look at bytes and leave them.
func peek(*net.TCPConn, []byte, func(int) bool) error {
	return errors.New("PROXY headers are not read on this system")
}

// swallow cannot tell, so there may be more.
func swallow(*net.TCPConn, int) bool { return false }
