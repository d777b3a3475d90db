//go:build !race

package h2

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// fixed answers each request, when it is complete, with the same.
func fixed(c net.Conn) {
	in, w := make([]byte, 64<<10), 0
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	var blocks [2][]byte // the first fills the table that the others refer to
	for i := range blocks {
		b.Reset()
		_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		_ = enc.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
		blocks[i] = bytes.Clone(b.Bytes())
	}
	out := frame.AppendSettings(make([]byte, 0, 64<<10))
	if _, err := io.ReadFull(c, in[:len(frame.Preface)]); err != nil {
		return
	}
	for {
		n, err := c.Read(in[w:])
		if err != nil {
			return
		}
		w += n
		r := 0
		for w-r >= frame.HeadSize {
			h := frame.Parse(in[r:])
			if w-r < frame.HeadSize+h.Length {
				break
			}
			r += frame.HeadSize + h.Length
			if h.Type <= frame.Headers && h.Has(frame.EndStream) {
				out = frame.AppendHeaders(out, h.Stream, 0, blocks[0], frame.MinMaxSize)
				blocks[0] = blocks[1]
				out = append(frame.Append(out, frame.Head{Length: 5, Flags: frame.EndStream, Stream: h.Stream}), "hello"...)
			}
		}
		w = copy(in, in[r:w])
		if _, err := c.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

// Under the race detector sync.Pool forgets at random, so this counts without it.
func TestAllocs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := l.Accept(); err == nil {
			fixed(c)
			_ = c.Close()
		}
	}()
	p := pool(Config{}, l.Addr().String())
	defer func() {
		p.Close()
		_ = l.Close()
		<-ended
	}()
	x, in, head := exchangeOf("POST", "/a.B/C"), make([]byte, 1024), make(exchange.Header, 0, 8)
	x.Request.Header.Add("content-type", "application/grpc")
	x.Request.Body = &exchange.Buffered{}
	ctx := context.Background()
	once := func() {
		s, err := p.Open(ctx, time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ask(x, in[:5]); err != nil {
			t.Fatal(err)
		}
		status, _, _, err := s.Head(head)
		n, rerr := s.Read(in)
		if _, end := s.Read(in); status != 200 || err != nil || n != 5 || rerr != nil || end != io.EOF {
			t.Fatal(status, err, n, rerr, end)
		}
		s.Close()
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(1000, once); n >= 1 {
		t.Errorf("%v allocations a request, want none", n)
	}
}
