package tcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend serves each connection with what is given, and returns its address.
func backend(t *testing.T, serve func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return netip.MustParseAddrPort(ln.Addr().String())
}

func route(addrs ...netip.AddrPort) *stream.Route {
	set := upstream.New(upstream.Config{ConnectTimeout: time.Second})
	var eps []table.Endpoint
	for _, a := range addrs {
		eps = append(eps, table.Endpoint{Address: a})
	}
	set.SetEndpoints("shop/db:1", eps)
	return stream.New(&table.Stream{Route: "TCPRoute shop/db", Backends: []table.WeightedBackend{{Backend: "shop/db:1", Weight: 1}}},
		set, telemetry.New("test", telemetry.Sources{}))
}

// open relays a connection over to, and returns the client's end of it.
func open(t *testing.T, r *Relay, ahead string, to *stream.Route) *net.TCPConn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, dialed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		<-dialed
		_ = ln.Close()
		if err != nil {
			return
		}
		r.Serve(c, []byte(ahead), to)
		_ = c.Close()
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	close(dialed)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c.(*net.TCPConn)
}

// all sends, ends sending, and returns what came back until the end.
func all(t *testing.T, c *net.TCPConn, send []byte) []byte {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(send)
		failed <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-failed); err != nil {
		t.Error(err)
	}
	return got
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestEverythingArrives(t *testing.T) {
	addr := backend(t, echo)
	for _, size := range []int{0, 1, 32 << 10, 300 << 10, 5 << 20} {
		send := bytes.Repeat([]byte("gatehouse"), size/9+1)[:size]
		to := route(addr)
		c := open(t, New(Config{}), "hello ", to)
		if got := all(t, c, send); string(got) != "hello "+string(send) {
			t.Errorf("%d bytes: %d came back", size, len(got))
		}
		if in, out := to.Metrics.BytesIn.Load(), to.Metrics.BytesOut.Load(); in != uint64(size+6) || out != in {
			t.Errorf("%d bytes: counted %d in, %d out", size, in, out)
		}
	}
}

// TestHalfClose: the end of one direction is passed on, and the other lasts.
func TestHalfClose(t *testing.T) {
	addr := backend(t, func(c *net.TCPConn) {
		got, _ := io.ReadAll(c) // until the client has ended
		_, _ = c.Write(append([]byte("after the end: "), got...))
	})
	if got := all(t, open(t, New(Config{}), "", route(addr)), []byte("x")); string(got) != "after the end: x" {
		t.Errorf("got %q", got)
	}
}

func TestAnotherEndpointIsTried(t *testing.T) {
	addr := backend(t, echo)
	for range 10 {
		to := route(nobody(t), addr)
		if got := all(t, open(t, New(Config{}), "", to), []byte("x")); string(got) != "x" {
			t.Fatalf("got %q", got)
		}
	}
}

// TestRefused: a client that no backend can take is reset.
func TestRefused(t *testing.T) {
	expect := func(what string, to *stream.Route) {
		t.Helper()
		c := open(t, New(Config{}), "", to)
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", what, err)
		}
		if n := to.Metrics.Refused.Load(); n != 1 {
			t.Errorf("%s: counted %d", what, n)
		}
	}
	expect("no endpoints", route())
	expect("nobody there", route(nobody(t)))
	expect("no backend", stream.New(&table.Stream{Route: "r"}, upstream.New(upstream.Config{}), telemetry.New("test", telemetry.Sources{})))
}

// TestIdle: a connection ends when nothing moves in either direction, and not
// while something moves in one.
func TestIdle(t *testing.T) {
	const idle = 400 * time.Millisecond
	ticks := backend(t, func(c *net.TCPConn) {
		for range 5 {
			time.Sleep(idle / 2)
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, c)
	})
	to := route(ticks)
	got, err := io.ReadAll(open(t, New(Config{Idle: idle}), "", to))
	if string(got) != "xxxxx" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestBrokenBackend: a backend that breaks off ends the client's connection.
func TestBrokenBackend(t *testing.T) {
	addr := backend(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.SetLinger(0)
	})
	to := route(addr)
	c := open(t, New(Config{}), "x", to)
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	for range 100 {
		if to.Metrics.Open.Load() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if to.Metrics.Failed.Load() != 1 || to.Metrics.Open.Load() != 0 {
		t.Errorf("failed %d, open %d", to.Metrics.Failed.Load(), to.Metrics.Open.Load())
	}
}
