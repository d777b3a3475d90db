package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// check sees that a proxy answers as it should.
type check func(ctx context.Context, t target) error

// target is where a check asks, and what.
type target struct {
	addr    string
	path    string
	headers []string
}

// question is a request and what its answer must be.
type question struct {
	method, path string
	content      int // bytes of it
	size         int // of the answer
	backend      string
	protocol     string
	trailer      string // grpc-status
}

// nothing has no check of its own: the load tells each answer's bytes.
func nothing(context.Context, target) error { return nil }

func small(ctx context.Context, t target) error {
	if err := ask(ctx, "http", t, question{"GET", t.path, 0, load.SmallSize, "api", "HTTP/1.1", ""}); err != nil || t.path != load.SmallPath {
		return err
	}
	return ask(ctx, "http", t, question{"GET", "/other", 0, load.SmallSize, "site", "HTTP/1.1", ""})
}

func large(ctx context.Context, t target) error {
	return ask(ctx, "http", t, question{"GET", t.path, 0, load.LargeSize, "api", "HTTP/1.1", ""})
}

func upload(ctx context.Context, t target) error {
	return ask(ctx, "http", t, question{"POST", t.path, 1 << 20, load.SmallSize, "api", "HTTP/1.1", ""})
}

func overTLS(ctx context.Context, t target) error {
	return ask(ctx, "https", t, question{"GET", t.path, 0, load.SmallSize, "api", "HTTP/1.1", ""})
}

func overHTTP2(ctx context.Context, t target) error {
	return ask(ctx, "https", t, question{"GET", t.path, 0, load.SmallSize, "api", "HTTP/2.0", ""})
}

func overHTTP3(ctx context.Context, t target) error {
	return ask(ctx, "https", t, question{"GET", t.path, 0, load.SmallSize, "api", "HTTP/3.0", ""})
}

func unary(ctx context.Context, t target) error {
	t.headers = grpcHeaders()
	return ask(ctx, "https", t, question{"POST", load.EchoPath, load.SmallSize, load.SmallSize, "", "HTTP/2.0", "0"})
}

// ask asks until the answer is right, five seconds at most: the table, or the
// backends' addresses, may come a moment after the listener.
func ask(ctx context.Context, scheme string, t target, q question) error {
	transport := q.transport(t.addr)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := q.ask(ctx, client, scheme+"://"+peer.Host, t.headers)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// transport reaches addr by the question's protocol.
func (q question) transport(addr string) interface {
	http.RoundTripper
	CloseIdleConnections()
} {
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the certificate is the benchmark's own
	if q.protocol == "HTTP/3.0" {
		return &http3.Transport{TLSClientConfig: config, DisableCompression: true, Dial: func(ctx context.Context, _ string, c *tls.Config, s *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, addr, c, s)
		}}
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
		TLSClientConfig:    config,
		ForceAttemptHTTP2:  q.protocol == "HTTP/2.0",
		DisableCompression: true,
	}
}

func (q question) ask(ctx context.Context, client *http.Client, site string, headers []string) error {
	var content io.Reader
	if q.trailer != "" {
		content = strings.NewReader(load.Message(q.content))
	} else if q.content > 0 {
		content = strings.NewReader(strings.Repeat("x", q.content))
	}
	r, err := http.NewRequestWithContext(ctx, q.method, site+q.path, content)
	if err != nil {
		return err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	a, err := client.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return err
	}
	want := q.size
	if q.trailer != "" {
		want = len(load.Message(q.size))
	}
	if a.StatusCode != http.StatusOK || len(text) != want || a.Proto != q.protocol ||
		a.Header.Get("X-Backend") != q.backend || a.Trailer.Get("Grpc-Status") != q.trailer {
		return fmt.Errorf("%s %s: want 200 in %s, %d bytes from backend %q, grpc-status %q; got %d in %s, %d bytes from %q, %q",
			q.method, q.path, q.protocol, want, q.backend, q.trailer,
			a.StatusCode, a.Proto, len(text), a.Header.Get("X-Backend"), a.Trailer.Get("Grpc-Status"))
	}
	return nil
}
