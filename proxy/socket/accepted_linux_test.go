package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// accepting returns a Listener on loopback.
func accepting(t *testing.T, network, at string) *Listener {
	t.Helper()
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // some tests have closed it
	return l
}

// accepted returns the two ends of a connection, of which hello has come.
func accepted(t *testing.T, hello string) (a *Accepted, client *net.TCPConn) {
	t.Helper()
	l := accepting(t, "tcp", "127.0.0.1:0")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client = c.(*net.TCPConn)
	t.Cleanup(func() { _ = client.Close() })
	if err := client.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	a = &Accepted{}
	if err := l.Accept(a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	say(t, client, hello)
	for b := make([]byte, len(hello)); len(hello) > 0; {
		n, _, err := syscall.Recvfrom(a.fd, b, syscall.MSG_PEEK|syscall.MSG_WAITALL)
		if err != nil {
			t.Fatal(err)
		}
		if n == len(b) {
			break
		}
	}
	return a, client
}

func say(t *testing.T, to io.Writer, what string) {
	t.Helper()
	if _, err := io.WriteString(to, what); err != nil {
		t.Fatal(err)
	}
}

func drive(a *Accepted) *Conn {
	c := Unused()
	c.UseAccepted(a, time.Minute)
	return c
}

func hear(t *testing.T, from net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(from, b); err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
}

// TestAcceptedAtOnce: what has come with a connection is answered without the poller.
func TestAcceptedAtOnce(t *testing.T) {
	a, client := accepted(t, "hello")
	c := drive(a)
	err := c.Drive(func() bool {
		b := make([]byte, 100)
		n, err := c.TryRead(b)
		if err != nil || string(b[:n]) != "hello" {
			t.Errorf("got %q, %v", b[:n], err)
		}
		say(t, c, "answer")
		if err := c.Write2([]byte(" in"), []byte(" pieces")); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if a.Known() != nil {
		t.Error("the poller knows the connection")
	}
	fd := a.fd
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	hear(t, client, "answer in pieces")
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d, %v after the end", n, err)
	}
	if err := syscall.Fstat(fd, &syscall.Stat_t{}); err == nil && stillOurs(fd, client) {
		t.Error("the descriptor is open")
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := a.TCP(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("TCP after the end: %v", err)
	}
	if err := c.Drive(func() bool { t.Error("a step after the end"); return true }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Drive after the end: %v", err)
	}
}

// TestWriteLast: what is written last reaches the peer with the end, whatever the peer has sent.
func TestWriteLast(t *testing.T) {
	a, client := accepted(t, "hello")
	c := drive(a)
	err := c.Drive(func() bool {
		if n, err := c.TryRead(make([]byte, 4)); n != 4 || err != nil {
			t.Error(n, err)
		}
		if err := c.WriteLast([]byte("answer")); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
	hear(t, client, "answer")
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d, %v after the end", n, err)
	}
}

// TestWriteLastUnread: closing drops nothing of it where the peer has sent what nobody reads.
func TestWriteLastUnread(t *testing.T) {
	a, client := accepted(t, "hello")
	c := drive(a)
	if err := c.Drive(func() bool { return c.WriteLast([]byte("answer")) == nil }); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	hear(t, client, "answer")
}

// TestWriteLastFull: what a peer takes only later is written all the same.
func TestWriteLastFull(t *testing.T) {
	a, client := accepted(t, "")
	c := drive(a)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	done := make(chan error, 1)
	go func() {
		done <- c.Drive(func() bool {
			if err := c.WriteLast(big); err != nil {
				t.Error(err)
			}
			return true
		})
		done <- a.Close()
	}()
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, big) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// stillOurs reports whether fd, whose number may be another file's by now, is the other end of client.
func stillOurs(fd int, client net.Conn) bool {
	at, err := syscall.Getpeername(fd)
	four, ok := at.(*syscall.SockaddrInet4)
	return err == nil && ok && four.Port == client.LocalAddr().(*net.TCPAddr).Port
}

// TestAcceptedWaits: the poller learns of a connection when there is something to wait for.
func TestAcceptedWaits(t *testing.T) {
	a, client := accepted(t, "one")
	c := drive(a)
	heard := make(chan string)
	var got []string
	var driving sync.WaitGroup
	driving.Go(func() {
		defer close(heard)
		err := c.Drive(func() bool {
			b := make([]byte, 100)
			for {
				n, err := c.TryRead(b)
				if err == ErrWouldBlock {
					return false
				}
				if err != nil {
					return true
				}
				heard <- string(b[:n])
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	for s := range heard {
		if got = append(got, s); len(got) < 3 {
			say(t, client, "more")
		} else {
			_ = client.CloseWrite()
		}
	}
	driving.Wait()
	if strings.Join(got, " ") != "one more more" {
		t.Errorf("got %q", got)
	}
	if a.Known() == nil {
		t.Error("the poller does not know the connection")
	}
}

// TestAcceptedDeadlines: deadlines that were set before the poller learns of a connection hold.
func TestAcceptedDeadlines(t *testing.T) {
	a, _ := accepted(t, "")
	c := drive(a)
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	err := c.Drive(func() bool {
		_, err := c.TryRead(make([]byte, 1))
		return err != ErrWouldBlock
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := a.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestAcceptedFull: within the first step, more is written than the socket takes.
func TestAcceptedFull(t *testing.T) {
	a, client := accepted(t, "hello")
	c := drive(a)
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var driving sync.WaitGroup
	driving.Go(func() {
		if err := c.Drive(func() bool {
			if n, err := c.Write(long); n != len(long) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			say(t, c, "the end")
			return true
		}); err != nil {
			t.Error(err)
		}
		_ = a.Close()
	})
	b, err := io.ReadAll(client)
	// hello was not read, so that the close resets the connection
	if err != nil && !errors.Is(err, syscall.ECONNRESET) || !bytes.HasPrefix(b, long[:1<<20]) {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	driving.Wait()
}

// TestAcceptedClosedMeanwhile: another goroutine closes the connection within its
// first step, before and after the poller has learned of it.
func TestAcceptedClosedMeanwhile(t *testing.T) {
	for _, known := range []bool{false, true} {
		a, client := accepted(t, "hello")
		c := drive(a)
		err := c.Drive(func() bool {
			if known {
				if _, err := a.TCP(); err != nil {
					t.Error(err)
				}
			}
			var closing sync.WaitGroup
			closing.Go(func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
			closing.Wait()
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("known %v: wrote, %v", known, err)
			}
			return true
		})
		if err != nil {
			t.Errorf("known %v: %v", known, err)
		}
		if stillOurs(a.fd, client) {
			t.Errorf("known %v: the descriptor is open", known)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("known %v: the client was sent something", known)
		}
	}
}

// TestAcceptedGone: the end of the client is seen, and a reset can be sent.
func TestAcceptedGone(t *testing.T) {
	for _, known := range []bool{false, true} {
		a, client := accepted(t, "")
		if known {
			if _, err := a.TCP(); err != nil {
				t.Fatal(err)
			}
		}
		if Gone(a) {
			t.Errorf("known %v: gone", known)
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); !Gone(a); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("known %v: not gone", known)
			}
		}
		if _, err := WriteNow(a, []byte("bye")); err != nil {
			t.Error(err)
		}
		hear(t, client, "bye")
		if err := a.SetLinger(0); err != nil {
			t.Error(err)
		}
		_ = a.Close()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("known %v: got %v, want a reset", known, err)
		}
		if !Gone(a) || a.SetLinger(0) == nil || a.Known() == nil == known {
			t.Errorf("known %v: not closed", known)
		}
	}
}

type forgetful struct{ fds []int }

func (f *forgetful) Forget(fd int) { f.fds = append(f.fds, fd) }

// TestAcceptedLeft: a loop is to forget what goes on elsewhere, not what is closed.
func TestAcceptedLeft(t *testing.T) {
	loop := &forgetful{}
	a, _ := accepted(t, "")
	a.Left(loop)
	_ = a.Close()
	b, _ := accepted(t, "")
	b.Left(loop)
	fd := b.fd
	for range 2 {
		if _, err := b.TCP(); err != nil {
			t.Fatal(err)
		}
	}
	if len(loop.fds) != 1 || loop.fds[0] != fd {
		t.Errorf("forgets %v, want %d", loop.fds, fd)
	}
}

func TestListener(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
		l := accepting(t, "tcp", at)
		to := netip.MustParseAddrPort(l.Addr().String())
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		client, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		a := &Accepted{}
		if err := l.Accept(a); err != nil {
			t.Fatal(err)
		}
		local, peer := a.Local(), a.Peer()
		if local != to || peer.String() != client.LocalAddr().String() {
			t.Errorf("%s: from %v to %v", at, peer, local)
		}
		if a.LocalAddr().String() != client.RemoteAddr().String() || a.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("%s: from %v to %v", at, a.RemoteAddr(), a.LocalAddr())
		}
		_ = client.Close()
		_ = a.Close()

		if err := l.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
		if err := l.Accept(&Accepted{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: after the deadline: %v", at, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Accept(&Accepted{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: after the end: %v", at, err)
		}
		if c, err := net.Dial("tcp", to.String()); err == nil {
			t.Errorf("%s: connected after the end", at)
			_ = c.Close()
		}
	}
}

// TestAcceptedClosedInStep: whoever closes the connection waits for the step under
// way, which may set deadlines meanwhile.
func TestAcceptedClosedInStep(t *testing.T) {
	a, _ := accepted(t, "hello")
	c := drive(a)
	if _, err := a.TCP(); err != nil {
		t.Fatal(err)
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	err := c.Drive(func() bool {
		closing.Go(func() { _ = a.Close() })
		for a.SetReadDeadline(time.Time{}) == nil { // until it is closed
			time.Sleep(time.Millisecond)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}
