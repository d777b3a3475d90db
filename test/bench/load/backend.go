package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// What backends answer.
const (
	SmallPath     = "/api/v1/items"
	LargePath     = "/api/64k"
	WebSocketPath = "/api/ws"
	EchoPath      = "/bench.Echo/Unary"
	SmallSize     = 128
	LargeSize     = 64 << 10
)

// Listen are the addresses of the backends.
type Listen struct {
	Site, API, GRPC, TCP, UDP string
}

// Backends serves until ctx ends. Site and API answer HTTP/1.1 with their name in
// X-Backend, GRPC answers HTTP/2 without TLS, TCP and UDP send back what comes.
func Backends(ctx context.Context, at Listen) error {
	group, ctx := errgroup.WithContext(ctx)
	serve := func(addr string, connection func(net.Conn)) error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { l.Close() })
		group.Go(func() error {
			for {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				go connection(c)
			}
		})
		return nil
	}
	err := errors.Join(
		serve(at.Site, answerer("site")), serve(at.API, answerer("api")), serve(at.GRPC, answerGRPC), serve(at.TCP, echo),
	)
	if err != nil {
		return err
	}
	datagrams, err := net.ListenPacket("udp", at.UDP)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { datagrams.Close() })
	group.Go(func() error { return echoDatagrams(datagrams.(*net.UDPConn)) })
	if err := group.Wait(); ctx.Err() == nil || !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func echoDatagrams(c *net.UDPConn) error {
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return err
		}
		if _, err := c.WriteToUDPAddrPort(b[:n], from); errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// drive calls take with what has been read of c and not yet taken; take returns
// how much it took, and false to end.
func drive(nc net.Conn, take func(c *socket.Conn, b []byte) (int, bool)) {
	c, err := socket.New(nc.(*net.TCPConn), time.Minute)
	if err != nil {
		nc.Close()
		return
	}
	defer c.Close()
	in, w := make([]byte, 64<<10), 0
	_ = c.Drive(func() bool {
		for {
			n, err := c.TryRead(in[w:])
			if err != nil {
				return !errors.Is(err, socket.ErrWouldBlock)
			}
			full := n == len(in)-w
			w += n
			taken, more := take(c, in[:w])
			if w = copy(in, in[taken:w]); !more || w == len(in) {
				return true
			}
			if !full {
				return false
			}
		}
	})
}

func echo(nc net.Conn) {
	drive(nc, func(c *socket.Conn, b []byte) (int, bool) {
		_, err := c.Write(b)
		return len(b), err == nil
	})
}

// answers are a backend's, whole.
type answers struct{ small, large []byte }

func answer(name string, size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: %s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"+
		"Content-Type: text/plain\r\nContent-Length: %d\r\nX-Backend: %s\r\n\r\n%s", name, size, name, strings.Repeat("x", size))
}

// session is what a backend knows of one connection.
type session struct {
	answers   *answers
	body      int64 // bytes of the request's that are still to come
	websocket bool
}

func answerer(name string) func(net.Conn) {
	all := &answers{answer(name, SmallSize), answer(name, LargeSize)}
	return func(c net.Conn) {
		s := &session{answers: all}
		drive(c, s.take)
	}
}

// take answers the requests, or the WebSocket frames, that are whole in b.
func (s *session) take(c *socket.Conn, b []byte) (taken int, more bool) {
	for taken < len(b) {
		rest := b[taken:]
		switch {
		case s.websocket:
			n, err := echoFrame(c, rest)
			if taken += n; n == 0 || err != nil {
				return taken, err == nil
			}
		case s.body > 0:
			n := min(int64(len(rest)), s.body)
			taken += int(n)
			if s.body -= n; s.body == 0 {
				if _, err := c.Write(s.answers.small); err != nil {
					return taken, false
				}
			}
		default:
			end := bytes.Index(rest, []byte("\r\n\r\n"))
			if end < 0 {
				return taken, true
			}
			taken += end + len("\r\n\r\n")
			if err := s.head(c, rest[:end+2]); err != nil {
				return taken, false
			}
		}
	}
	return taken, true
}

// head answers a request without content, and remembers one's with it.
func (s *session) head(c *socket.Conn, head []byte) (err error) {
	switch {
	case bytes.HasPrefix(head, []byte("POST ")):
		value := field(head, "content-length")
		if s.body, err = strconv.ParseInt(value, 10, 64); err != nil || s.body <= 0 {
			return fmt.Errorf("content-length %q: %w", value, err)
		}
	case bytes.HasPrefix(head, []byte("GET "+LargePath)):
		_, err = c.Write(s.answers.large)
	case bytes.HasPrefix(head, []byte("GET "+WebSocketPath)):
		s.websocket = true
		_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+accept(field(head, "sec-websocket-key"))+"\r\n\r\n")
	default:
		_, err = c.Write(s.answers.small)
	}
	return err
}

// field is a header's value. The name is in lower case.
func field(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		key, value, found := bytes.Cut(line, []byte(":"))
		if found && strings.EqualFold(string(key), name) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
