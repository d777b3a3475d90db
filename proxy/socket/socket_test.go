package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair returns both ends of a loopback connection.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*net.TCPConn), y.(*net.TCPConn)
}

func wrap(t testing.TB, c *net.TCPConn) *Conn {
	t.Helper()
	s, err := New(c, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return s
}

// TestDriveEcho sends lines one by one and in bunches, and expects every one back.
func TestDriveEcho(t *testing.T) {
	if !Raw {
		t.Log("no raw engine on this system: nothing to drive")
		return
	}
	a, b := pair(t)
	s := wrap(t, b)
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		var last error
		err := s.Drive(func() bool {
			for {
				n, err := s.TryRead(buf)
				if err == ErrWouldBlock {
					return false
				}
				if err != nil {
					last = err
					return true
				}
				if _, err := s.Write(buf[:n]); err != nil {
					last = err
					return true
				}
				if n < len(buf) {
					return false
				}
			}
		})
		done <- errors.Join(err, last)
	}()
	a.SetDeadline(time.Now().Add(10 * time.Second))
	for i := range 500 {
		want := bytes.Repeat([]byte{byte(i)}, i%200+1)
		if _, err := a.Write(want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(a, got); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: got %q", i, got)
		}
	}
	a.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Fatalf("drive ended with %v, want EOF", err)
	}
}

// TestWriteToSlowReader checks that a write larger than the kernel's buffers
// arrives in whole, in order, from inside a step and outside.
func TestWriteToSlowReader(t *testing.T) {
	big := make([]byte, 8<<20)
	for i := range big {
		big[i] = byte(i * 7)
	}
	write := map[string]func(s *Conn) error{
		"Write":  func(s *Conn) error { _, err := s.Write(big); return err },
		"Write2": func(s *Conn) error { return s.Write2(big[:12345], big[12345:]) },
	}
	if Raw {
		for name, f := range map[string]func(s *Conn) error{"Write": write["Write"], "Write2": write["Write2"]} {
			write[name+" driving"] = func(s *Conn) (err error) {
				derr := s.Drive(func() bool { err = f(s); return true })
				return errors.Join(derr, err)
			}
		}
	}
	for name, f := range write {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			s := wrap(t, b)
			done := make(chan error, 1)
			go func() { err := f(s); b.CloseWrite(); done <- err }()
			time.Sleep(20 * time.Millisecond)
			got, err := io.ReadAll(a)
			if err != nil || !bytes.Equal(got, big) {
				t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(big))
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestStalledReader checks that a peer which never reads ends the write.
func TestStalledReader(t *testing.T) {
	_, b := pair(t)
	s, err := New(b, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Write(make([]byte, 32<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 32<<20 {
		t.Fatalf("wrote %d, %v; want a part and a passed deadline", n, err)
	}
}

// TestSteadyReader checks that a write may take longer than stall in whole, as
// long as every piece of it does not.
func TestSteadyReader(t *testing.T) {
	const stall, all = time.Second, 4 << 20
	a, b := pair(t)
	if err := errors.Join(a.SetReadBuffer(64<<10), b.SetWriteBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	s, err := New(b, stall)
	if err != nil {
		t.Fatal(err)
	}
	done, began := make(chan error, 1), time.Now()
	go func() {
		_, err := s.Write(make([]byte, all))
		done <- errors.Join(err, b.CloseWrite())
	}()
	n, part := 0, make([]byte, 32<<10)
	for err == nil {
		var k int
		k, err = a.Read(part)
		n += k
		time.Sleep(20 * time.Millisecond) // a small part of stall for each piece, so that a busy machine may take many times as long
	}
	if err := <-done; err != nil || n != all {
		t.Fatalf("%d bytes arrived, %v; want all of them", n, err)
	}
	if took := time.Since(began); took < 2*stall {
		t.Errorf("it took %v, in which no deadline can have passed", took)
	}
}

func TestAsk(t *testing.T) {
	cases := []struct {
		name string
		peer func(c *net.TCPConn)
		req  int
		want string
		sent bool
		fail bool
	}{
		{name: "answer", peer: func(c *net.TCPConn) { io.ReadFull(c, make([]byte, 10)); c.Write([]byte("yes")) }, req: 10, want: "yes", sent: true},
		{name: "late answer", peer: func(c *net.TCPConn) { time.Sleep(30 * time.Millisecond); c.Write([]byte("yes")) }, req: 10, want: "yes", sent: true},
		{name: "big request", peer: func(c *net.TCPConn) { io.ReadFull(c, make([]byte, 8<<20)); c.Write([]byte("yes")) }, req: 8 << 20, want: "yes", sent: true},
		{name: "closed after", peer: func(c *net.TCPConn) { io.ReadFull(c, make([]byte, 10)); c.Close() }, req: 10, sent: true, fail: true},
		{name: "closed before", peer: func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, req: 10, fail: true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a, b := pair(t)
			s := wrap(t, b)
			done := make(chan struct{})
			go func() { defer close(done); tc.peer(a) }()
			if tc.name == "closed before" {
				<-done
				time.Sleep(10 * time.Millisecond)
			}
			var got []byte
			n, sent, err := s.Ask(make([]byte, tc.req), &got)
			if (err != nil) != tc.fail || sent > 0 != tc.sent || tc.sent && sent != tc.req || string(got[:n]) != tc.want {
				t.Fatalf("got %q, sent %v, %v; want %q, sent %v, failure %v", got[:n], sent, err, tc.want, tc.sent, tc.fail)
			}
			<-done
		})
	}
}

func TestQuiet(t *testing.T) {
	if !Raw {
		t.Log("no raw engine on this system: every connection passes for quiet")
		return
	}
	cases := map[string]struct {
		peer func(c *net.TCPConn)
		want bool
	}{
		"idle":   {func(*net.TCPConn) {}, true},
		"data":   {func(c *net.TCPConn) { c.Write([]byte("x")) }, false},
		"closed": {func(c *net.TCPConn) { c.Close() }, false},
		"reset":  {func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			s := wrap(t, b)
			tc.peer(a)
			time.Sleep(10 * time.Millisecond)
			if got := s.Quiet(); got != tc.want {
				t.Fatalf("got %v, want %v", got, tc.want)
			}
		})
	}
}
