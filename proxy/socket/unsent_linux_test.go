package socket

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A peer that has taken much, and then takes nothing, leaves no more in the kernel than is
// settled, be it the side that was accepted or the one that has connected.
func TestBound(t *testing.T) {
	ctx := context.Background()
	lc, d := net.ListenConfig{Control: Bound}, net.Dialer{Control: Bound}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	dialed, err := d.DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dialed.Close() }()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	for name, c := range map[string]struct{ from, to net.Conn }{"accepted": {accepted, dialed}, "dialed": {dialed, accepted}} {
		go func() {
			b := make([]byte, 64<<10)
			for taken := 0; taken < 32<<20; { // the buffers grow
				n, err := c.to.Read(b)
				if err != nil {
					return
				}
				taken += n
			}
			_ = c.from.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // Write says if not
		}()
		b := make([]byte, 64<<10)
		for err = nil; err == nil; _, err = c.from.Write(b) {
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if n := kept(t, c.from); n > unsent+128<<10 {
			t.Errorf("%s: the kernel keeps %d bytes", name, n)
		}
	}
}

// kept is how much the kernel has of what was written to c and has not left.
func kept(t *testing.T, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return n
}
