//go:build !linux

package socket

import "net"

// Gone reports whether the peer of c has closed the connection. Here that cannot
// be told without a read.
func Gone(net.Conn) bool { return false }

// WriteNow writes p; here it may wait.
func WriteNow(c net.Conn, p []byte) (int, error) { return c.Write(p) }
