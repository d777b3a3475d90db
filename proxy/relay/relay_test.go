package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const long = 10 * time.Second

// ways are the two in which connections are joined.
func ways(t *testing.T, f func(t *testing.T, r Relay)) {
	t.Run("goroutines", func(t *testing.T) { f(t, Relay{Idle: time.Minute}) })
	if poll.Available {
		t.Run("loop", func(t *testing.T) { f(t, Relay{Idle: time.Minute, Poll: loops(t)}) })
	}
}

func loops(t testing.TB) *poll.Set {
	t.Helper()
	if !poll.Available {
		t.Skip("this system has no loops")
	}
	s, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connected returns the two ends of a TCP connection.
func connected(t testing.TB) (here, there *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	here, there = c.(*net.TCPConn), other.(*net.TCPConn)
	_ = here.SetDeadline(time.Now().Add(long))
	t.Cleanup(func() {
		_ = here.Close()
		_ = there.Close()
	})
	return here, there
}

// joined is two connections and what has become of the relay between them.
type joined struct {
	client, backend *net.TCPConn // as those at the far ends have them
	front, back     *net.TCPConn // as the relay was given them
	in, out         atomic.Uint64
	ok              chan bool
}

// newJoined does what join does but for joining.
func newJoined(t testing.TB) *joined {
	j := &joined{ok: make(chan bool, 1)}
	j.client, j.front = connected(t)
	j.backend, j.back = connected(t)
	return j
}

func (j *joined) join(t testing.TB, r Relay) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.ok <- r.Join(j.front, j.back, Count{In: &j.in, Out: &j.out})
		_ = j.front.Close()
		_ = j.back.Close()
	}()
	t.Cleanup(func() {
		_ = j.client.Close()
		_ = j.backend.Close()
		<-done
	})
}

func join(t testing.TB, r Relay) *joined {
	j := newJoined(t)
	j.join(t, r)
	return j
}

// want waits for the relay's end.
func (j *joined) want(t *testing.T, ok bool) {
	t.Helper()
	select {
	case got := <-j.ok:
		if got != ok {
			t.Errorf("Join is %v, want %v", got, ok)
		}
	case <-time.After(long):
		t.Fatal("the relay goes on")
	}
}

func write(t testing.TB, c net.Conn, p string) {
	t.Helper()
	if _, err := io.WriteString(c, p); err != nil {
		t.Fatal(err)
	}
}

// reads reads exactly that from c.
func reads(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// ends reads exactly that from c, and then its end.
func ends(t testing.TB, c net.Conn, want string) {
	t.Helper()
	if got, err := io.ReadAll(c); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q and the end", got, err, want)
	}
}

func TestEverythingArrives(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		for _, size := range []int{0, 1, 32 << 10, 64 << 10, 5 << 20} {
			j := join(t, r)
			go func() {
				_, _ = io.Copy(j.backend, j.backend)
				_ = j.backend.CloseWrite()
			}()
			send := bytes.Repeat([]byte("gatehouse"), size/9+1)[:size]
			go func() {
				_, _ = j.client.Write(send)
				_ = j.client.CloseWrite()
			}()
			got, err := io.ReadAll(j.client)
			if err != nil || !bytes.Equal(got, send) {
				t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
			}
			j.want(t, true)
			if in, out := j.in.Load(), j.out.Load(); in != uint64(size) || out != in {
				t.Errorf("%d bytes: counted %d in, %d out", size, in, out)
			}
		}
	})
}

// TestAhead: what was read already goes first, both ways.
func TestAhead(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		j := newJoined(t)
		front, back := &socket.Ahead{Conn: j.front, Bytes: []byte("a1 ")}, &socket.Ahead{Conn: j.back, Bytes: []byte("b1 ")}
		write(t, j.client, "a2")
		write(t, j.backend, "b2")
		_ = j.client.CloseWrite()
		_ = j.backend.CloseWrite()
		if !r.Join(front, back, Count{In: &j.in, Out: &j.out}) {
			t.Error("broken off")
		}
		ends(t, j.client, "b1 b2")
		ends(t, j.backend, "a1 a2")
		if j.in.Load() != 5 || j.out.Load() != 5 {
			t.Errorf("counted %d in, %d out", j.in.Load(), j.out.Load())
		}
	})
}

// TestEndWithData: an end that is there together with the last bytes is seen, and
// the other direction lasts.
func TestEndWithData(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		for _, first := range []string{"client", "backend"} {
			j := newJoined(t)
			a, b := j.client, j.backend
			if first == "backend" {
				a, b = b, a
			}
			write(t, a, "all of it")
			_ = a.CloseWrite()
			j.join(t, r)
			ends(t, b, "all of it")
			write(t, b, "not yet ")
			reads(t, a, "not yet ")
			write(t, b, "over")
			_ = b.CloseWrite()
			ends(t, a, "over")
			j.want(t, true)
		}
	})
}

// TestReset: a reset ends both, also of one that has said that it sends no more.
func TestReset(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		j := join(t, r)
		write(t, j.client, "x")
		reads(t, j.backend, "x")
		_ = j.client.SetLinger(0)
		_ = j.client.Close()
		if got, _ := io.ReadAll(j.backend); len(got) > 0 {
			t.Errorf("got %q", got)
		}
		j.want(t, false)

		j = join(t, r)
		write(t, j.backend, "x")
		_ = j.backend.CloseWrite()
		ends(t, j.client, "x")
		_ = j.backend.SetLinger(0)
		_ = j.backend.Close()
		if r.Poll == nil {
			write(t, j.client, "y") // otherwise nobody looks
		}
		j.want(t, false)
	})
}

// TestLastWords: what one side has said before it went arrives, also when the other one is
// still sending: servers say why they go, and go.
func TestLastWords(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		for _, size := range []int{1, small, 8 * small} {
			more, last := strings.Repeat("m", size), strings.Repeat("l", size)
			for i := range 40 {
				j := newJoined(t)
				goes, stays := j.backend, j.client
				if i%2 == 0 {
					goes, stays = stays, goes
				}
				write(t, stays, more)
				write(t, goes, last)
				reset(goes)
				j.join(t, r)
				reads(t, stays, last)
				j.want(t, false)
			}
		}
	})
}

// TestIdle: a relay ends when nothing moves in either direction, and not while
// something moves in one.
func TestIdle(t *testing.T) {
	const idle = 700 * time.Millisecond
	ways(t, func(t *testing.T, r Relay) {
		t.Parallel()
		r.Idle = idle
		j := join(t, r)
		start := time.Now()
		for range 30 {
			write(t, j.backend, "x")
			reads(t, j.client, "x")
			time.Sleep(idle / 20)
		}
		ends(t, j.client, "")
		j.want(t, false)
		if took := time.Since(start); took < 2*idle {
			t.Errorf("ended after %v", took)
		}
	})
}

// fill writes until nothing goes out any more, and returns how much has.
func fill(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	b := make([]byte, 64<<10)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		k, err := c.Write(b)
		if n += k; errors.Is(err, os.ErrDeadlineExceeded) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestStalled: a side that takes nothing ends the relay, whatever it sends.
func TestStalled(t *testing.T) {
	ways(t, func(t *testing.T, r Relay) {
		t.Parallel()
		r.Idle = time.Second
		j := join(t, r)
		fill(t, j.client)
		stop := make(chan struct{})
		var sending sync.WaitGroup
		sending.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					_, _ = io.WriteString(j.backend, "x")
				}
			}
		})
		j.want(t, false)
		close(stop)
		sending.Wait()
	})
}

// TestBackpressure: a side that does not read holds up the other, and the relay
// holds no more than one buffer; once it reads, everything arrives.
func TestBackpressure(t *testing.T) {
	r := Relay{Idle: time.Minute, Poll: loops(t)}
	for range 2 {
		j := newJoined(t)
		p := r.pair(j.front, j.back, Count{In: &j.in, Out: &j.out})
		n := fill(t, j.client)
		type state struct {
			held, buf int
			readable  bool
		}
		look := make(chan state, 1)
		p.loop.Do(func() { e := &p.ends[0]; look <- state{len(e.held), cap(e.buf), e.readable} })
		if s := <-look; s.held == 0 || s.buf > mem.Large || !s.readable {
			t.Errorf("after %d bytes it has %+v", n, s)
		}
		_ = j.client.CloseWrite()
		got, err := io.Copy(io.Discard, j.backend)
		if err != nil || int(got) != n || j.in.Load() != uint64(n) {
			t.Errorf("%d of %d bytes arrived, %d were counted, %v", got, n, j.in.Load(), err)
		}
		p.loop.Do(func() { e := &p.ends[0]; look <- state{len(e.held), cap(e.buf), e.readable} })
		if s := <-look; s.held != 0 || s.buf != 0 {
			t.Errorf("at the end it has %+v", s)
		}
		_ = j.backend.CloseWrite()
		if !p.run() {
			t.Error("broken off")
		}
	}
}

// TestBreak: who closes a client's connection breaks off what has taken it over,
// and nothing else.
func TestBreak(t *testing.T) {
	r := Relay{Idle: time.Minute, Poll: loops(t)}
	Break(nil, nil)
	j, other := join(t, r), join(t, r)
	write(t, j.client, "x")
	reads(t, j.backend, "x")
	_ = j.front.Close()
	closed := j.front
	Break(r.Poll, func(c *net.TCPConn) bool { return c == closed })
	j.want(t, false)
	ends(t, j.backend, "")
	write(t, other.client, "x")
	reads(t, other.backend, "x")

	// One that was closed just before it was taken over.
	j = newJoined(t)
	_ = j.front.Close()
	j.join(t, r)
	j.want(t, false)
}

// TestSetClosed: a Set that closes breaks off what it relays, and relays nothing
// any more.
func TestSetClosed(t *testing.T) {
	if !poll.Available {
		t.Skip("this system has no loops")
	}
	s, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	r := Relay{Idle: time.Minute, Poll: s}
	j := join(t, r)
	write(t, j.client, "x")
	reads(t, j.backend, "x")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	j.want(t, false)
	j = join(t, r)
	write(t, j.client, "x")
	reads(t, j.backend, "x")
}

// TestMany: many relays at once, again and again, so that descriptors and places
// in the loops are used again.
func TestMany(t *testing.T) {
	r := Relay{Idle: time.Minute, Poll: loops(t)}
	before := descriptors(t)
	for range 20 {
		all := make([]*joined, 50)
		for i := range all {
			all[i] = join(t, r)
		}
		for range 3 {
			for _, j := range all {
				write(t, j.client, "ping")
				write(t, j.backend, "pong!")
			}
			for _, j := range all {
				reads(t, j.backend, "ping")
				reads(t, j.client, "pong!")
			}
		}
		for _, j := range all {
			_ = j.client.CloseWrite()
			ends(t, j.backend, "")
			_ = j.backend.Close()
			ends(t, j.client, "")
			_ = j.client.Close()
			j.want(t, true)
			if in, out := j.in.Load(), j.out.Load(); in != 12 || out != 15 {
				t.Errorf("counted %d in, %d out", in, out)
			}
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// descriptors returns how many are open.
func descriptors(t *testing.T) int {
	t.Helper()
	if !poll.Available {
		t.Skip("no /proc to count descriptors in")
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func BenchmarkMessage(b *testing.B) {
	for name, r := range map[string]Relay{"goroutines": {Idle: time.Minute}, "loop": {Idle: time.Minute, Poll: loops(b)}} {
		b.Run(name, func(b *testing.B) {
			j := join(b, r)
			message := make([]byte, 128)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = j.client.Write(message)
				_, _ = io.ReadFull(j.backend, message)
			}
		})
	}
}

func BenchmarkBulk(b *testing.B) {
	for name, r := range map[string]Relay{"goroutines": {Idle: time.Minute}, "loop": {Idle: time.Minute, Poll: loops(b)}} {
		b.Run(name, func(b *testing.B) {
			j := join(b, r)
			go func() {
				p := make([]byte, 256<<10)
				for {
					if _, err := j.client.Write(p); err != nil {
						return
					}
				}
			}()
			piece := make([]byte, 1<<20)
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				if _, err := io.ReadFull(j.backend, piece); err != nil {
					b.Fatal(err)
				}
			}
			_ = j.client.Close()
		})
	}
}
