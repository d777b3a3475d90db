package http1_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/http1"
)

// TestEndBehindPieces has a client whose end comes in one packet with the last
// piece of a head.
func TestEndBehindPieces(t *testing.T) {
	s := start(t, http1.Config{HeadTimeout: time.Hour}, clear)
	for range 5 {
		c := s.dial()
		c.send(get[:10])
		time.Sleep(10 * time.Millisecond) // most times the server waits by then
		endWith(t, c, get[10:])
		c.want(200, "*")
		c.closed()
	}
}

// endWith sends what is left and the end in one packet.
func endWith(t *testing.T, c *client, rest string) {
	t.Helper()
	tcp := c.Conn.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	c.send(rest)
	tcp.CloseWrite()
}
