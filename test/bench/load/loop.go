package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// client is one connection of a loop, with at most one request under way.
type client struct {
	file *os.File
	fd   int
	busy bool
	due  time.Duration // of the request under way, since the loop's start
	in   []byte
}

// looper is a loop under way: one thread, one epoll.
type looper struct {
	spec    Spec
	request []byte
	want    int // bytes of an answer; 0: as its head says
	epoll   int
	timer   int
	events  []unix.EpollEvent
	clients []*client
	byFD    map[int32]*client
	free    []*client
	began   time.Time
	next    int64 // request to send, with a rate
	took    []time.Duration
	totals  Totals
}

// loop sends messages and awaits what comes back. With a rate, requests fall due at
// fixed times whether or not earlier ones were answered; one that finds no free
// connection waits, and its latency counts from when it fell due. So a proxy that
// stalls cannot make the load wait for it and leave out the slow answers ("coordinated omission").
func loop(ctx context.Context, s Spec) (Totals, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Wake up when asked to, not up to 50 us later.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return Totals{}, err
	}
	l := &looper{spec: s, byFD: map[int32]*client{}, events: make([]unix.EpollEvent, 64)}
	switch s.Message {
	case HTTP:
		l.request = httpRequest(s)
	case WebSocket:
		l.request, l.want = clientFrame(s.Body), len(serverFrame(s.Body))
	default:
		l.request, l.want = message(s), s.Body
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Totals{}, err
	}
	defer unix.Close(l.epoll)
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK); err != nil {
		return Totals{}, err
	}
	defer unix.Close(l.timer)
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.timer)}); err != nil {
		return Totals{}, err
	}
	defer func() {
		for _, c := range l.clients {
			c.file.Close()
		}
	}()
	for range s.Connections {
		if err := l.connect(ctx); err != nil {
			return Totals{}, err
		}
	}
	return l.run(ctx)
}

func httpRequest(s Spec) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", s.Path, s.Host)
	for _, h := range s.Headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// connect opens one connection and, for WebSocket, makes it one.
func (l *looper) connect(ctx context.Context) error {
	network := "tcp"
	if l.spec.Datagrams {
		network = "udp"
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, l.spec.Address)
	if err != nil {
		return err
	}
	defer nc.Close() // its file is another descriptor of the same socket
	if l.spec.Message == WebSocket {
		if err := upgrade(nc, l.spec); err != nil {
			return err
		}
	}
	f, err := nc.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return err
	}
	c := &client{file: f, fd: int(f.Fd()), in: make([]byte, 0, 16<<10)}
	l.clients, l.byFD[int32(c.fd)], l.free = append(l.clients, c), c, append(l.free, c)
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)})
}

// upgrade asks for WebSocket and reads the answer's head.
func upgrade(c net.Conn, s Spec) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", s.Path, s.Host, key); err != nil {
		return err
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := io.ReadFull(c, one); err != nil {
			return fmt.Errorf("asking for WebSocket: %w after %q", err, head)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || field(head, "sec-websocket-accept") != accept(key) {
		return fmt.Errorf("asking for WebSocket: %q", head)
	}
	return c.SetDeadline(time.Time{})
}

// run sends until the time is up, then waits a second at most for the last answers.
func (l *looper) run(ctx context.Context) (Totals, error) {
	length := time.Duration(l.spec.Seconds * float64(time.Second))
	l.began = time.Now()
	for ctx.Err() == nil {
		now := time.Since(l.began)
		if now < length {
			if err := l.send(ctx, now); err != nil {
				return l.totals, err
			}
		} else if len(l.free) == len(l.clients) || now > length+time.Second {
			break
		}
		if err := l.await(ctx, l.pause(now)); err != nil {
			return l.totals, err
		}
	}
	l.totals.Failed += int64(len(l.clients) - len(l.free))
	l.totals.Microseconds = min(time.Since(l.began), length).Microseconds()
	if len(l.took) > 0 {
		slices.Sort(l.took)
		l.totals.P50, l.totals.P99 = l.quantile(0.5), l.quantile(0.99)
		l.totals.P999, l.totals.Max = l.quantile(0.999), l.quantile(1)
	}
	return l.totals, ctx.Err()
}

// quantile is the least latency that at least the share q does not exceed, in microseconds.
func (l *looper) quantile(q float64) int64 {
	return l.took[max(0, min(int(q*float64(len(l.took))), len(l.took)-1))].Microseconds()
}

// due is when request i falls due.
func (l *looper) due(i int64) time.Duration {
	return time.Duration(i * int64(time.Second) / int64(l.spec.Rate))
}

// send sends what is due by now, as far as connections are free.
func (l *looper) send(ctx context.Context, now time.Duration) error {
	for len(l.free) > 0 && (l.spec.Rate == 0 || l.due(l.next) <= now) {
		c := l.free[len(l.free)-1]
		l.free = l.free[:len(l.free)-1]
		c.busy, c.due = true, now
		if l.spec.Rate > 0 {
			c.due = l.due(l.next)
			l.next++
		}
		if n, err := unix.Write(c.fd, l.request); err != nil || n != len(l.request) {
			if err := l.lost(ctx, c, fmt.Errorf("sending: %d bytes, %w", n, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause is how long there is nothing to send.
func (l *looper) pause(now time.Duration) time.Duration {
	if l.spec.Rate == 0 || len(l.free) == 0 {
		return 100 * time.Millisecond
	}
	return min(max(0, l.due(l.next)-now), 100*time.Millisecond)
}

// await reads what comes within the pause. epoll_wait counts in milliseconds, so a
// timer of nanoseconds wakes it where the pause is not over at once.
func (l *looper) await(ctx context.Context, pause time.Duration) error {
	limit := 100 // milliseconds
	switch {
	case pause == 0:
		limit = 0
	case l.spec.Rate > 0:
		value := unix.ItimerSpec{Value: unix.NsecToTimespec(pause.Nanoseconds())}
		if err := unix.TimerfdSettime(l.timer, 0, &value, nil); err != nil {
			return err
		}
	}
	n, err := unix.EpollWait(l.epoll, l.events, limit)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range l.events[:n] {
		if int(e.Fd) == l.timer {
			if _, err := unix.Read(l.timer, make([]byte, 8)); err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			continue
		}
		if c := l.byFD[e.Fd]; c != nil { // else it was lost a moment ago
			if err := l.receive(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive reads from a connection that has something.
func (l *looper) receive(ctx context.Context, c *client) error {
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err != nil || n == 0 {
		return l.lost(ctx, c, fmt.Errorf("the proxy closed a connection after %d answers: %w", l.totals.Requests, err))
	}
	c.in = c.in[:len(c.in)+n]
	whole, good := len(c.in) >= l.want, len(c.in) == l.want
	if l.want == 0 {
		whole, good = wholeAnswer(c.in)
	}
	if !whole {
		return nil
	}
	c.in = c.in[:0]
	if !c.busy || !good {
		if l.spec.Lossy {
			return l.lost(ctx, c, nil)
		}
		l.totals.Failed++
		return nil
	}
	l.totals.Requests++
	if l.spec.Rate > 0 {
		l.took = append(l.took, time.Since(l.began)-c.due)
	}
	c.busy = false
	l.free = append(l.free, c)
	return nil
}

// lost puts a new connection in the place of one that is of no use because of err, if the
// load may lose some: a request under way on it has failed.
func (l *looper) lost(ctx context.Context, c *client, err error) error {
	if !l.spec.Lossy {
		return err
	}
	if c.busy {
		l.totals.Failed++
	}
	is := func(other *client) bool { return other == c }
	l.clients, l.free = slices.DeleteFunc(l.clients, is), slices.DeleteFunc(l.free, is)
	delete(l.byFD, int32(c.fd))
	c.file.Close()
	return l.connect(ctx)
}

// wholeAnswer reports whether an HTTP/1.1 answer with Content-Length is there, and
// whether it is 200 and nothing follows it.
func wholeAnswer(b []byte) (whole, good bool) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return false, false
	}
	n, err := strconv.Atoi(field(b[:end+2], "content-length"))
	if err != nil {
		return true, false
	}
	length := end + 4 + n
	return len(b) >= length, len(b) == length && bytes.HasPrefix(b, []byte("HTTP/1.1 200 "))
}
