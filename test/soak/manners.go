package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// manner is a way in which callers behave badly.
type manner struct {
	name string
	once func() error // an error is one of the gateway's
}

func (s *site) manners() []manner {
	get := fmt.Sprintf("GET /pool?size=1000000 HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	return []manner{
		{"connects and goes", s.sends("", 0, "")},
		{"breaks off in the head", s.sends(get[:20], 0, "")},
		{"breaks off in its content", s.sends(fmt.Sprintf("POST /pool HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nabc", host), 0, "")},
		{"breaks off in the answer", s.sends(get, 1000, "")},
		{"reads slowly", s.dawdles(get)},
		{"writes slowly", s.drips(get)},
		{"is half closed", s.halfCloses},
		{"space before a colon", s.sends("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 0, "400")},
		{"two lengths", s.sends(fmt.Sprintf("POST /pool HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", host), 0, "400")},
		{"no credentials", s.sends(fmt.Sprintf("GET /jwt HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host), 0, "401")},
		{"a wrong key", s.sends(fmt.Sprintf("GET /key HTTP/1.1\r\nHost: %s\r\nX-API-Key: soak-x\r\nConnection: close\r\n\r\n", host), 0, "401")},
		{"no handshake", s.noHandshake},
	}
}

// sends connects, sends text, reads n bytes, and breaks off with a reset; or looks
// for a status.
func (s *site) sends(text string, n int, status string) func() error {
	return func() error {
		c, err := dial(s.ports.http)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = io.WriteString(c, text)
		if status != "" {
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || len(line) < 12 || line[9:12] != status {
				return fmt.Errorf("answered %q, %w; want %s", line, err, status)
			}
			return nil
		}
		_, _ = io.CopyN(io.Discard, c, int64(n))
		_ = c.(*net.TCPConn).SetLinger(0)
		return nil
	}
}

func (s *site) dawdles(text string) func() error {
	return func() error {
		c, err := dial(s.ports.http)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = io.WriteString(c, text)
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			_, _ = io.CopyN(io.Discard, c, 500)
		}
		return nil
	}
}

func (s *site) drips(text string) func() error {
	return func() error {
		c, err := dial(s.ports.http)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, b := range []byte(text[:20]) {
			time.Sleep(100 * time.Millisecond)
			if _, err := c.Write([]byte{b}); err != nil {
				return nil //nolint:nilerr // the gateway may have had enough
			}
		}
		return nil
	}
}

// halfCloses sends a request and says that no other will come: it is answered.
func (s *site) halfCloses() error {
	c, err := dial(s.ports.http)
	if err != nil {
		return err
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "GET /pool?size=10 HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	_ = c.(*net.TCPConn).CloseWrite()
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if content, err := io.ReadAll(a.Body); err != nil || a.StatusCode != 200 || len(content) != 10 {
		return fmt.Errorf("%d with %d bytes, %w", a.StatusCode, len(content), err)
	}
	return nil
}

// noHandshake begins TLS and leaves.
func (s *site) noHandshake() error {
	c, err := dial(s.ports.https)
	if err != nil {
		return err
	}
	defer c.Close()
	_, _ = c.Write([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3})
	time.Sleep(50 * time.Millisecond)
	return nil
}
