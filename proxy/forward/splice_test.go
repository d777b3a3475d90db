package forward_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// plain is content that a pipe can take.
type plain interface {
	Plain() bool
	Fill(p *socket.Pipe) int
}

// copied counts what comes out of Next.
type copied struct {
	exchange.Body
	plain
	n *atomic.Int64
}

func (c copied) Next() ([]byte, error) {
	p, err := c.Body.Next()
	c.n.Add(int64(len(p)))
	return p, err
}

// TestSplice sends content of many sizes over one connection, with requests behind
// it. What is much goes past Next but for what came with the head.
func TestSplice(t *testing.T) {
	backend := serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil || !bytes.Equal(b, pattern(0, len(b))) {
			fmt.Fprintf(w, "other content than was sent, %v", err)
			return
		}
		fmt.Fprint(w, len(b))
	}))
	var n atomic.Int64
	s := start(t, options{body: func(b exchange.Body) exchange.Body { return copied{b, b.(plain), &n} }}, backend)
	c := s.dial()
	for _, size := range []int{127 << 10, 128 << 10, 1 << 20, 1<<20 + 1, 5<<20 - 1} {
		n.Store(0)
		sent := make(chan error, 1)
		go func() {
			if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size); err != nil {
				sent <- err
				return
			}
			_, err := c.Write(append(pattern(0, size), "GET / HTTP/1.1\r\nHost: h\r\n\r\n"...))
			sent <- err
		}()
		c.want(200, fmt.Sprint(size))
		c.want(200, "0")
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if much := size >= 128<<10; socket.Raw && (n.Load() < int64(size)) != much {
			t.Errorf("%d bytes of %d were copied", n.Load(), size)
		}
	}
}

// TestSpliceFails has clients that break off, or stall, in the middle of much.
func TestSpliceFails(t *testing.T) {
	complete := make(chan struct{}, 10)
	backend := raw(t, func(_ *net.TCPConn, r *bufio.Reader, _ int) {
		if q, err := http.ReadRequest(r); err == nil {
			if _, err := io.Copy(io.Discard, q.Body); err == nil {
				complete <- struct{}{}
			}
		}
	})
	s := start(t, options{http1: http1.Config{BodyTimeout: 100 * time.Millisecond, LingerTime: 50 * time.Millisecond}}, backend)
	for _, end := range []bool{true, false} {
		c := s.dial()
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", 1<<20, pattern(0, 700<<10)))
		status, code := 408, "content_timeout"
		if end {
			status, code = 400, "content_incomplete"
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}
		if a := c.code(status, code); !a.Close {
			t.Errorf("%s: the connection was kept", code)
		}
		c.closed()
	}
	if len(complete) > 0 {
		t.Error("it seemed complete to the backend")
	}
}
