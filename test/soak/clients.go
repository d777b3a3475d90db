package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// patience is the longest that an answer may take.
const patience = 30 * time.Second

func (s *site) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.trusted, ServerName: host, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

func (s *site) http1() *kind {
	t := &http.Transport{}
	return s.asks("HTTP/1.1", "http", s.ports.http, t, t.CloseIdleConnections)
}

func (s *site) overTLS() *kind {
	t := &http.Transport{TLSClientConfig: s.tls()}
	return s.asks("HTTP/1.1, TLS", "https", s.ports.https, t, t.CloseIdleConnections)
}

func (s *site) http2() *kind {
	t := &http.Transport{TLSClientConfig: s.tls(), ForceAttemptHTTP2: true}
	return s.asks("HTTP/2", "https", s.ports.https, t, t.CloseIdleConnections)
}

func (s *site) http3() *kind {
	t := &http3.Transport{TLSClientConfig: s.tls(), Dial: quic.DialAddr}
	return s.asks("HTTP/3", "https", s.ports.https, t, t.CloseIdleConnections)
}

// grpc makes calls as gRPC does, as far as a proxy can tell: h2c to the gateway and
// behind it, and a trailer section.
func (s *site) grpc() *kind {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	t := &http.Transport{Protocols: &protocols}
	client := &http.Client{Transport: t, Timeout: patience}
	return &kind{"gRPC", func(ctx context.Context) error {
		q := s.question(ctx, "http", s.ports.http, "/grpc", 1+rand.IntN(20_000))
		q.Method = http.MethodPost
		q.Header.Set("Content-Type", "application/grpc")
		q.Header.Set("Te", "trailers")
		return s.check(client, q, "/grpc", func(a *http.Response) error {
			if got := a.Trailer.Get("Grpc-Status"); got != "0" {
				return fmt.Errorf("grpc-status %q", got)
			}
			return nil
		})
	}, t.CloseIdleConnections}
}

// asks is a client that asks for one thing after another.
func (s *site) asks(name, scheme string, port int, t http.RoundTripper, rest func()) *kind {
	client := &http.Client{Transport: t, Timeout: patience}
	return &kind{name, func(ctx context.Context) error {
		prefix := s.prefix()
		sent := 0
		// Content for a route that may not be there is not read, and its client may not get to the answer.
		if !strings.HasPrefix(prefix, "/extra/") && rand.IntN(4) == 0 {
			sent = []int{1, 1000, 70_000, 300_000}[rand.IntN(4)]
		}
		q := s.question(ctx, scheme, port, prefix, sent)
		if prefix == "/jwt" {
			q.Header.Set("Authorization", "Bearer "+s.token)
		}
		if prefix == "/key" {
			q.Header.Set("X-Api-Key", s.apiKey)
		}
		return s.check(client, q, prefix, nil)
	}, rest}
}

func (s *site) prefix() string {
	switch rand.IntN(10) {
	case 0:
		return "/jwt"
	case 1:
		return "/key"
	case 2:
		return fmt.Sprintf("/extra/%d", rand.IntN(extras))
	case 3, 4, 5:
		return fmt.Sprintf("/flip/%d", rand.IntN(flips))
	}
	return "/pool"
}

func (s *site) question(ctx context.Context, scheme string, port int, prefix string, sent int) *http.Request {
	size := []int{0, 1, 128, 4000, 65_536, 300_001}[rand.IntN(6)]
	url := fmt.Sprintf("%s://%s%s?size=%d", scheme, peer.Local(port), prefix, size)
	method, content := http.MethodGet, io.Reader(nil)
	if sent > 0 {
		method, content = http.MethodPost, bytes.NewReader(pattern(sent))
		if rand.IntN(2) == 0 { // of a length that is not said
			content = io.MultiReader(content)
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		panic(err) // the URL is ours
	}
	q.Host = host
	q.Header.Set("X-Size", fmt.Sprint(size))
	hash := fnv.New64a()
	_, _ = hash.Write(pattern(sent))
	q.Header.Set("X-Sent", fmt.Sprintf("%d %x", sent, hash.Sum64()))
	return q
}

// check makes a request and looks at the whole of its answer.
func (s *site) check(c *http.Client, q *http.Request, prefix string, more func(*http.Response) error) error {
	began := time.Now()
	a, err := c.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	content, err := io.ReadAll(a.Body)
	if err != nil {
		return fmt.Errorf("%d: reading: %w", a.StatusCode, err)
	}
	if a.StatusCode == http.StatusNotFound && strings.HasPrefix(prefix, "/extra/") {
		return nil
	}
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %.120s", q.Method, prefix, a.StatusCode, content)
	}
	if name := a.Header.Get("X-Backend"); !s.led(prefix, name, began) {
		return fmt.Errorf("%s was answered by %q, which it does not lead to", prefix, name)
	}
	if got, want := a.Header.Get("X-Sent"), q.Header.Get("X-Sent"); got != want {
		return fmt.Errorf("the backend got %q of %q", got, want)
	}
	var size int
	_, _ = fmt.Sscan(q.Header.Get("X-Size"), &size)
	if !bytes.Equal(content, pattern(size)) {
		return fmt.Errorf("%d bytes of %d, or others", len(content), size)
	}
	if more != nil {
		return more(a)
	}
	return nil
}

// webSocket opens one, sends some messages and reads them again.
func (s *site) webSocket() *kind {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	return &kind{"WebSocket", func(context.Context) error {
		c, err := dial(s.ports.http)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", host, key); err != nil {
			return err
		}
		in := bufio.NewReader(c)
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Sec-Websocket-Accept") != accepted(key) || !s.led("/ws", a.Header.Get("X-Backend"), time.Now()) {
			return fmt.Errorf("status %d", a.StatusCode)
		}
		return echoed(c, in, 20)
	}, func() {}}
}

// relay does the same through a TCPRoute.
func (s *site) relay() *kind {
	return &kind{"TCP", func(context.Context) error {
		c, err := dial(s.ports.tcp)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := echoed(c, c, 20); err != nil {
			return err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			return fmt.Errorf("after the end: %d bytes, %w", len(rest), err)
		}
		return nil
	}, func() {}}
}

func dial(port int) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", peer.Local(port), patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

func echoed(w io.Writer, r io.Reader, times int) error {
	for range times {
		sent := pattern(1 + rand.IntN(5000))
		if _, err := w.Write(sent); err != nil {
			return err
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(r, got); err != nil {
			return err
		}
		if !bytes.Equal(sent, got) {
			return errors.New("the echo is another")
		}
	}
	return nil
}
