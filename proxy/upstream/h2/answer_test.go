package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// script is a connection to a backend that has sent what it will ever send.
type script struct {
	net.Conn
	in *bytes.Reader
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) Close() error                     { return nil }

// gated holds back what the backend has sent until the request has gone out.
type gated struct {
	script
	asked chan struct{}
}

func (g *gated) Read(p []byte) (int, error) {
	<-g.asked
	return g.script.Read(p)
}

// asked sends one request to a backend that answers with sent, and returns the
// status and the content, or how it failed.
func asked(t testing.TB, method string, sent []byte) (status int, content string, err error) {
	t.Helper()
	d := New(Config{Conns: 1, Streams: 10, ConnectTimeout: time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Second, Head: 16 << 10, Fields: 50, Buffer: 256 << 10})
	p := d.Pool("a:1")
	g := &gated{script{in: bytes.NewReader(sent)}, make(chan struct{})}
	p.conns = append(p.conns, newConn(d, g))
	s, err := p.Open(context.Background(), time.Now().Add(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := exchangeOf(method, "/")
	x.Request.ContentLength = -1
	s.Send(x)
	p.mu.Lock()
	p.dialer.cfg.Conns = 0 // nothing is sent again
	p.mu.Unlock()
	close(g.asked)
	if status, _, _, err = s.Head(nil); err != nil {
		return 0, "", err
	}
	var all []byte
	for b := make([]byte, 4096); ; {
		n, err := s.Read(b)
		if all = append(all, b[:n]...); err == io.EOF {
			return status, string(all), nil
		} else if err != nil {
			return status, string(all), err
		}
	}
}

func encode(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

func headers(flags uint8, fields ...string) []byte {
	return frame.AppendHeaders(nil, 1, flags, encode(fields...), frame.MinMaxSize)
}

func data(stream uint32, flags uint8, s string) []byte {
	return append(frame.Append(nil, frame.Head{Length: len(s), Type: frame.Data, Flags: flags, Stream: stream}), s...)
}

// TestBackendsThatLie has answers that HTTP/2 does not allow: none passes for a
// whole one.
func TestBackendsThatLie(t *testing.T) {
	settings := frame.AppendSettings(nil)
	ok := headers(0, ":status", "200")
	end := uint8(frame.EndStream)
	for name, c := range map[string]struct {
		method string
		sent   [][]byte
		want   error // nil: 200 and content "hi", none of HEAD
	}{
		"an answer":                {"GET", [][]byte{settings, ok, data(1, end, "hi")}, nil},
		"interim answers":          {"GET", [][]byte{settings, headers(0, ":status", "103"), ok, data(1, 0, "h"), data(1, end, "i")}, nil},
		"padding":                  {"GET", [][]byte{settings, ok, data(1, end|frame.Padded, "\x02hi\x00\x00")}, nil},
		"trailers":                 {"GET", [][]byte{settings, ok, data(1, 0, "hi"), headers(end, "x-a", "b")}, nil},
		"length":                   {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "2"), data(1, end, "hi")}, nil},
		"unknown frames":           {"GET", [][]byte{settings, frame.Append(nil, frame.Head{Type: 0xbe, Stream: 7}), ok, data(1, end, "hi")}, nil},
		"no settings":              {"GET", [][]byte{ok}, errProtocol},
		"HTTP/1.1":                 {"GET", [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, errFrameSize},
		"nothing":                  {"GET", [][]byte{settings}, io.ErrUnexpectedEOF},
		"ends in its content":      {"GET", [][]byte{settings, ok, data(1, 0, "hi")}, io.ErrUnexpectedEOF},
		"shorter than its length":  {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "3"), data(1, end, "hi")}, errMalformed},
		"longer":                   {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "1"), data(1, end, "hi")}, errMalformed},
		"shorter, with trailers":   {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "3"), data(1, 0, "hi"), headers(end, "x", "y")}, errMalformed},
		"no content of a length":   {"GET", [][]byte{settings, headers(end, ":status", "200", "content-length", "3")}, errMalformed},
		"two lengths":              {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "2", "content-length", "3")}, errMalformed},
		"a length that is none":    {"GET", [][]byte{settings, headers(0, ":status", "200", "content-length", "-2")}, errMalformed},
		"content of HEAD":          {"HEAD", [][]byte{settings, headers(0, ":status", "200", "content-length", "2"), data(1, end, "hi")}, nil}, // dropped
		"its content that goes on": {"HEAD", [][]byte{settings, ok, data(1, 0, "hi")}, nil},
		"content before a head":    {"GET", [][]byte{settings, data(1, end, "hi")}, errMalformed},
		"no status":                {"GET", [][]byte{settings, headers(0, "x", "y")}, errMalformed},
		"status behind a field":    {"GET", [][]byte{settings, headers(0, "x", "y", ":status", "200")}, errMalformed},
		"status behind a length":   {"GET", [][]byte{settings, headers(end, "content-length", "0", ":status", "200")}, errMalformed},
		"two statuses":             {"GET", [][]byte{settings, headers(0, ":status", "200", ":status", "201")}, errMalformed},
		"status 20":                {"GET", [][]byte{settings, headers(0, ":status", "20")}, errMalformed},
		"status 101":               {"GET", [][]byte{settings, headers(0, ":status", "101")}, errMalformed},
		"an interim end":           {"GET", [][]byte{settings, headers(end, ":status", "103")}, errMalformed},
		"interim without end":      {"GET", [][]byte{settings, bytes.Repeat(headers(0, ":status", "103"), maxInterim+1)}, errMalformed},
		"a second head":            {"GET", [][]byte{settings, ok, ok}, errMalformed},
		"trailers that end not":    {"GET", [][]byte{settings, ok, headers(0, "x", "y")}, errMalformed},
		"upper case":               {"GET", [][]byte{settings, headers(0, ":status", "200", "X", "y")}, errMalformed},
		"a line break in a value":  {"GET", [][]byte{settings, headers(0, ":status", "200", "x", "y\r\nset-cookie: a")}, errMalformed},
		"an unknown pseudo-field":  {"GET", [][]byte{settings, headers(0, ":status", "200", ":x", "y")}, errMalformed},
		"a large head":             {"GET", [][]byte{settings, headers(0, ":status", "200", "x", strings.Repeat("a", 17<<10))}, errFields},
		"all fields":               {"GET", [][]byte{settings, headers(0, append([]string{":status", "200"}, strings.Fields(strings.Repeat("x y ", 50))...)...), data(1, end, "hi")}, nil},
		"a field too many":         {"GET", [][]byte{settings, headers(0, append([]string{":status", "200"}, strings.Fields(strings.Repeat("x y ", 51))...)...), data(1, end, "hi")}, errFields},
		"too many fields":          {"GET", [][]byte{settings, headers(0, append([]string{":status", "200"}, strings.Fields(strings.Repeat("x y ", 60))...)...)}, errFields},
		"a block without end":      {"GET", [][]byte{settings, frame.Append(nil, frame.Head{Type: frame.Headers, Stream: 1}), bytes.Repeat(frame.Append(nil, frame.Head{Type: frame.Continuation, Stream: 1}), 100_000)}, errLong},
		"a block interrupted":      {"GET", [][]byte{settings, frame.Append(nil, frame.Head{Type: frame.Headers, Stream: 1}), frame.AppendPing(nil, 0, make([]byte, 8))}, errProtocol},
		"a broken block":           {"GET", [][]byte{settings, frame.AppendHeaders(nil, 1, 0, []byte{0xff, 0xff}, 100)}, errBlock},
		"a push":                   {"GET", [][]byte{settings, frame.Append(nil, frame.Head{Type: frame.PushPromise, Stream: 1})}, errProtocol},
		"a stream nobody began":    {"GET", [][]byte{settings, data(3, 0, "hi")}, errProtocol},
		"a reset":                  {"GET", [][]byte{settings, frame.AppendReset(nil, 1, frame.InternalError)}, errReset},
		"a cancellation":           {"GET", [][]byte{settings, frame.AppendReset(nil, 1, frame.Cancel)}, errCancelled},
		"a refusal":                {"GET", [][]byte{settings, frame.AppendReset(nil, 1, frame.RefusedStream)}, errUnprocessed},
		"a window that overflows":  {"GET", [][]byte{settings, frame.AppendWindowUpdate(nil, 0, frame.MaxWindow)}, errFlow},
		"a stream's that does":     {"GET", [][]byte{settings, frame.AppendWindowUpdate(nil, 1, frame.MaxWindow)}, errFlow},
		"pings, and it reads none": {"GET", [][]byte{settings, bytes.Repeat(frame.AppendPing(nil, 0, make([]byte, 8)), 100_000)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status, content, err := asked(t, c.method, bytes.Join(c.sent, nil))
			switch {
			case strings.HasPrefix(name, "pings"): // acknowledged as fast as they are read, or the end
				if err == nil {
					t.Error("there was an answer")
				}
			case c.want == nil:
				content = c.method + content
				if status != 200 || content != "GEThi" && content != "HEAD" || err != nil {
					t.Errorf("got %d %q, %v", status, content, err)
				}
			case !errors.Is(err, c.want):
				t.Errorf("got %d %q, %v; want %v", status, content, err, c.want)
			}
		})
	}
}

// FuzzConnection has backends that send anything: every request ends.
func FuzzConnection(f *testing.F) {
	settings := frame.AppendSettings(nil)
	f.Add(bytes.Join([][]byte{settings, headers(0, ":status", "200"), data(1, frame.EndStream, "hi")}, nil))
	f.Add(bytes.Join([][]byte{settings, headers(0, ":status", "103"), headers(frame.EndStream, ":status", "204", "x", "y")}, nil))
	f.Add(bytes.Join([][]byte{settings, frame.AppendGoAway(nil, 0, frame.NoError, "bye"), frame.AppendReset(nil, 1, frame.RefusedStream)}, nil))
	f.Add(bytes.Join([][]byte{settings, frame.AppendPing(nil, 0, make([]byte, 8)), frame.AppendWindowUpdate(nil, 1, 9), headers(0, ":status", "200")}, nil))
	f.Fuzz(func(t *testing.T, sent []byte) {
		start := time.Now()
		_, _, err := asked(t, "GET", sent)
		if errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 3*time.Second {
			t.Errorf("the request did not end: %v", err)
		}
	})
}

// A backend is told how much may wait of one answer, and that of all together may
// as much as of each: one that nobody takes holds up no other.
func TestBuffers(t *testing.T) {
	for _, c := range []struct{ streams, buffer, connection int }{
		{100, 256 << 10, 100 * 256 << 10},
		{1, 64 << 10, 64 << 10},
		{1 << 20, 1 << 30, math.MaxInt32},
	} {
		here, there := net.Pipe()
		conn := newConn(New(Config{Conns: 1, Streams: c.streams, ConnectTimeout: time.Second, IdleTimeout: time.Minute, WriteTimeout: 10 * time.Second, Head: 1, Fields: 1, Buffer: c.buffer}), here)
		_ = there.SetDeadline(time.Now().Add(10 * time.Second))
		told := make([]byte, len(frame.Preface)+9+3*6+9+4)
		if _, err := io.ReadFull(there, told); err != nil {
			t.Fatal(err)
		}
		_ = there.Close()
		stream := int(binary.BigEndian.Uint32(told[len(frame.Preface)+9+6+2:]))
		if more := int(binary.BigEndian.Uint32(told[len(told)-4:])); stream != c.buffer || frame.InitialWindow+more != c.connection {
			t.Errorf("%+v: %d, and %d of all", c, stream, frame.InitialWindow+more)
		}
		conn.mu.Lock()
		conn.fail(io.EOF)
		conn.mu.Unlock()
	}
}
