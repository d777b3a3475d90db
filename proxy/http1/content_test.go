package http1_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/http1"
)

// TestLargeContent sends content back that is more than anything on its way
// holds, to a client which reads late, with another request behind it.
func TestLargeContent(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		content := strings.Repeat("0123456789abcde\n", 256<<10/16)
		c := s.dial()
		for range 3 {
			sent := make(chan error, 1)
			go func() {
				_, err := fmt.Fprintf(c, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s%s", len(content), content, get)
				sent <- err
			}()
			c.want(200, "POST "+s.scheme()+"://h/b? "+content)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			c.want(200, "GET "+s.scheme()+"://h.example/a? ")
		}
		c.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n" + get)
		time.Sleep(20 * time.Millisecond) // until the kernel holds all it can
		c.want(200, strings.Repeat("x", 8<<20))
		c.want(200, "*")
	})
}

// TestEndWithinContent ends the client's side in the middle of its content, and
// right behind it.
func TestEndWithinContent(t *testing.T) {
	both(t, http1.Config{LingerTime: 50 * time.Millisecond}, func(t *testing.T, s *stack) {
		for content, status := range map[string]int{"hel": 400, "hello": 200} {
			c := s.dial()
			c.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n" + content)
			if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.want(status, "*")
			c.closed()
		}
	})
}

// TestSlowRecord sends a record byte by byte, of which no request can be seen: it
// has the time of a head, and not the time of a connection that waits for each byte.
func TestSlowRecord(t *testing.T) {
	s := start(t, http1.Config{HeadTimeout: 100 * time.Millisecond}, driven)
	c := s.dial()
	c.send(get)
	c.want(200, "*")
	below := c.Conn.(*tls.Conn).NetConn()
	if _, err := below.Write([]byte{23, 3, 3, 0x40, 0}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := below.Write([]byte{0}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want an end", err)
	}
	below.Close()
}
