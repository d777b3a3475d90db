package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // what a WebSocket's handshake asks for (RFC 6455, section 4.2.2)
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// backend answers for one name: what it was sent, by its hash, and as much as is
// asked for. The one called tcp echoes.
type backend struct {
	name   string
	port   int
	ln     net.Listener
	server *http.Server
}

func newBackend(name string) (*backend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{name: name, port: ln.Addr().(*net.TCPAddr).Port, ln: ln}
	if name == "tcp" {
		go echo(ln)
		return b, nil
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	b.server = &http.Server{Handler: b, Protocols: &protocols, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = b.server.Serve(ln) }()
	return b, nil
}

func (b *backend) close() {
	if b.server != nil {
		_ = b.server.Shutdown(context.Background())
	}
	_ = b.ln.Close()
}

func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}()
	}
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if key := r.Header.Get("Sec-Websocket-Key"); key != "" {
		b.upgrade(rw, key)
		return
	}
	hash := fnv.New64a()
	n, err := io.Copy(hash, r.Body)
	if err != nil {
		return // the client has gone
	}
	size, _ := strconv.Atoi(r.URL.Query().Get("size"))
	rw.Header().Set("X-Backend", b.name)
	rw.Header().Set("X-Sent", fmt.Sprintf("%d %x", n, hash.Sum64()))
	if r.Header.Get("Content-Type") == "application/grpc" {
		rw.Header().Set("Content-Type", "application/grpc")
		rw.Header().Set("Trailer", "Grpc-Status")
		defer rw.Header().Set("Grpc-Status", "0")
	} else if size%2 == 0 {
		rw.Header().Set("Content-Length", strconv.Itoa(size))
	}
	for p := pattern(size); len(p) > 0; {
		n := min(len(p), 32<<10)
		if _, err := rw.Write(p[:n]); err != nil {
			return
		}
		p = p[n:]
	}
}

func (b *backend) upgrade(rw http.ResponseWriter, key string) {
	c, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nX-Backend: %s\r\n\r\n",
		accepted(key), b.name); err != nil {
		return
	}
	_, _ = io.Copy(c, buffered)
}

func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// pattern is content that tells its length.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i+n)%26)
	}
	return b
}
