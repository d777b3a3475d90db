package forward_test

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// request and reply are what the benchmark sends and its backend answers.
const (
	request = "GET /orders/17?full=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n"
	reply   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n"
)

// fixed is a backend that answers every packet with reply and does not allocate.
func fixed(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in, out := make([]byte, 8<<10), append([]byte(reply), bytes.Repeat([]byte("x"), 128)...)
		for {
			if _, err := c.Read(in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// loop returns a function that makes one request and reads its answer, without allocating.
func loop(t testing.TB) func() {
	c := start(t, options{}, fixed(t)).dial().Conn
	out, in := []byte(request), make([]byte, 8<<10)
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	size, err := c.Read(in)
	if err != nil || !bytes.HasPrefix(in, []byte("HTTP/1.1 200 ")) {
		t.Fatalf("got %q, %v", in[:size], err)
	}
	return func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, in[:size]); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	once := loop(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
