package socket

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// udpSocket is one on loopback that fails after a while, lest a test hang.
func udpSocket(t testing.TB, at string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func udpClient(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func udpAddr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func receive(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, maxDatagram)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// ends is an Owner that keeps what it is told.
type ends struct {
	spoke    Spoke
	mu       sync.Mutex
	returned []int
	broke    chan error
}

func (e *ends) Returned(n int, _ time.Time) {
	e.mu.Lock()
	e.returned = append(e.returned, n)
	e.mu.Unlock()
}

func (e *ends) Broke(err error) {
	select {
	case e.broke <- err:
	default:
	}
}

// hubWorld is a hub under way, with a spoke to one backend for each client that comes.
type hubWorld struct {
	hub   *Hub
	conn  *net.UDPConn
	runs  sync.WaitGroup
	mu    sync.Mutex
	known map[Peer]*ends
	lost  int // datagrams that Send did not pass on
}

// serve has what comes to c relayed to backend, until the test ends. Nothing is read before.
func serve(t *testing.T, c *net.UDPConn, backend netip.AddrPort) *hubWorld {
	t.Helper()
	_ = c.SetDeadline(time.Time{})
	hub, err := NewHub(c)
	if err != nil {
		t.Fatal(err)
	}
	w := &hubWorld{hub: hub, conn: c, known: map[Peer]*ends{}}
	w.runs.Go(hub.Run)
	w.runs.Go(func() {
		err := hub.Receive(func(from Peer, d Datagrams) { w.relay(t, from, d, backend) })
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("receiving ended by %v", err)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		w.mu.Lock()
		for _, e := range w.known {
			e.spoke.Close()
			e.spoke.Close() // again is nothing
		}
		w.mu.Unlock()
		_ = hub.Close()
		w.runs.Wait()
	})
	return w
}

func (w *hubWorld) relay(t *testing.T, from Peer, d Datagrams, backend netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.known[from]
	if e == nil {
		e = &ends{broke: make(chan error, 1)}
		if err := w.hub.Dial(&e.spoke, backend, from, e); err != nil {
			t.Error(err)
			return
		}
		w.known[from] = e
	}
	_, left, _ := e.spoke.Send(d)
	w.lost += left.Len()
}

// content is what client i sends as its nth datagram: of any length, none among them.
func content(i, n int) []byte {
	if (i+n)%7 == 3 {
		return nil
	}
	return bytes.Repeat(fmt.Appendf(nil, "%d/%d ", i, n), 1+(i*n)%40)
}

// TestHubOrder has more wait at the hub's socket than a batch holds, from several
// clients in turn and in a row, and the same on the way back.
func TestHubOrder(t *testing.T) {
	const clients, each = 5, 20
	back, front := udpSocket(t, "127.0.0.1:0"), udpSocket(t, "127.0.0.1:0")
	var all []*net.UDPConn
	for range clients {
		all = append(all, udpClient(t, udpAddr(front)))
	}
	write := func(i, n int) {
		if _, err := all[i].Write(content(i, n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range each / 2 {
		for i := range all {
			write(i, n)
		}
	}
	for i := range all {
		for n := each / 2; n < each; n++ {
			write(i, n)
		}
	}
	serve(t, front, udpAddr(back))
	type seen struct{ client, next int }
	by := map[netip.AddrPort]*seen{}
	b := make([]byte, maxDatagram)
	for range clients * each {
		n, from, err := back.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if by[from] == nil {
			by[from] = &seen{client: len(by)} // they begin in their order
		}
		s := by[from]
		if want := content(s.client, s.next); !bytes.Equal(b[:n], want) {
			t.Fatalf("datagram %d of client %d is %q, want %q", s.next, s.client, b[:n], want)
		}
		s.next++
	}
	for n := range each {
		for to, s := range by {
			if _, err := back.WriteToUDPAddrPort(content(s.client, n), to); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range all {
		for n := range each {
			if got, want := receive(t, all[i]), content(i, n); !bytes.Equal(got, want) {
				t.Fatalf("client %d: answer %d is %q, want %q", i, n, got, want)
			}
		}
	}
}

// TestHubLargest sends the most that a datagram of IPv4 holds, next to short ones.
func TestHubLargest(t *testing.T) {
	back, front := udpSocket(t, "127.0.0.1:0"), udpSocket(t, "127.0.0.1:0")
	c := udpClient(t, udpAddr(front))
	serve(t, front, udpAddr(back))
	large := bytes.Repeat([]byte("0123456789abcdef"), maxDatagram/16)[:65507]
	b := make([]byte, maxDatagram)
	for _, want := range [][]byte{large, []byte("short"), large, nil} {
		if _, err := c.Write(want); err != nil {
			t.Fatal(err)
		}
		n, from, err := back.ReadFromUDPAddrPort(b)
		if err != nil || !bytes.Equal(b[:n], want) {
			t.Fatalf("%d of %d bytes came, %v", n, len(want), err)
		}
		if _, err := back.WriteToUDPAddrPort(b[:n], from); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, c); !bytes.Equal(got, want) {
			t.Fatalf("%d of %d bytes came back", len(got), len(want))
		}
	}
}

// TestHubFamilies: clients of IPv4 and IPv6 at one socket of both, with a backend of either.
func TestHubFamilies(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		back, front := udpSocket(t, at), udpSocket(t, "[::]:0")
		port := udpAddr(front).Port()
		serve(t, front, udpAddr(back))
		for _, from := range []string{"127.0.0.1", "::1"} {
			c := udpClient(t, netip.AddrPortFrom(netip.MustParseAddr(from), port))
			if _, err := c.Write([]byte(from)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, to, err := back.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != from {
				t.Fatalf("got %q, %v", b[:n], err)
			}
			if _, err := back.WriteToUDPAddrPort(b[:n], to); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, c); string(got) != from {
				t.Errorf("%s got %q", from, got)
			}
		}
	}
}

// TestHubRefused: a backend that is not there is told of, once it has said so.
func TestHubRefused(t *testing.T) {
	back, front := udpSocket(t, "127.0.0.1:0"), udpSocket(t, "127.0.0.1:0")
	nobody := udpAddr(back)
	_ = back.Close()
	c := udpClient(t, udpAddr(front))
	w := serve(t, front, nobody)
	refused := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.known {
			if w.lost > 0 || len(e.broke) > 0 {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(10 * time.Second); !refused(); time.Sleep(time.Millisecond) {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody was told")
		}
	}
}

// A Spoke that could not be dialled holds no descriptor.
func TestHubUnreachable(t *testing.T) {
	h, err := NewHub(udpSocket(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var s Spoke
	if h.Dial(&s, netip.MustParseAddrPort("255.255.255.255:9"), Peer{}, &ends{}) == nil {
		t.Fatal("a broadcast address was reached, which nobody asked for") // it takes SO_BROADCAST
	}
	other := udpSocket(t, "127.0.0.1:0") // which may have the descriptor by now
	s.Close()
	if _, err := other.WriteToUDPAddrPort([]byte("a"), udpAddr(other)); err != nil {
		t.Errorf("another socket was closed: %v", err)
	}
}

// TestHubDeadline: Receive ends by the deadline, and goes on with what came.
func TestHubDeadline(t *testing.T) {
	front := udpSocket(t, "127.0.0.1:0")
	hub, err := NewHub(front)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(hub.Run)
	defer running.Wait()
	defer hub.Close()
	_ = front.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := hub.Receive(func(Peer, Datagrams) {}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("ended by %v", err)
	}
	if _, err := udpClient(t, udpAddr(front)).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = front.SetReadDeadline(time.Now().Add(20 * time.Second))
	came := 0
	err = hub.Receive(func(_ Peer, d Datagrams) {
		came += d.Len()
		_ = front.SetReadDeadline(time.Now())
	})
	if came != 1 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d came, then %v", came, err)
	}
}

// TestHubClosing closes spokes while both sides send.
func TestHubClosing(t *testing.T) {
	const clients, each = 8, 300
	back, front := udpSocket(t, "127.0.0.1:0"), udpSocket(t, "127.0.0.1:0")
	w := serve(t, front, udpAddr(back))
	var echoing, sending sync.WaitGroup
	echoing.Go(func() {
		b := make([]byte, maxDatagram)
		for {
			n, from, err := back.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = back.WriteToUDPAddrPort(b[:n], from)
		}
	})
	for range clients {
		c := udpClient(t, udpAddr(front))
		sending.Go(func() {
			for range each {
				_, _ = c.Write([]byte("x"))
			}
		})
	}
	sending.Go(func() {
		for range each {
			w.mu.Lock()
			for from, e := range w.known {
				e.spoke.Close()
				delete(w.known, from)
				break
			}
			w.mu.Unlock()
		}
	})
	sending.Wait()
	_ = back.Close()
	echoing.Wait()
}
