package http2

import (
	"bytes"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// script is a connection that has sent what it will ever send.
type script struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) Close() error                     { return nil }

func scripted(h handler) *Server {
	return New(Config{
		Handler: h, Limits: wire.Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}, Streams: 100, Log: logr.Discard(),
		Timeouts: Timeouts{Idle: time.Minute, Read: time.Second, Write: time.Second},
	})
}

// within fails when a connection does not end: every wait of the server's is shorter.
func within(t *testing.T, s *Server, c net.Conn) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		s.Serve(c, nil, &exchange.Conn{})
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		debug.SetTraceback("all")
		panic("the connection does not end")
	}
}

// encode encodes fields as a client would.
func encode(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// FuzzConnection sends anything behind the preface: the server ends, with frames
// that another implementation reads, and that are not out of all proportion to what was sent.
func FuzzConnection(f *testing.F) {
	settings := frame.AppendSettings(nil)
	add := func(parts ...[]byte) { f.Add(bytes.Join(append([][]byte{settings}, parts...), nil)) }
	get, post := encode(common("GET")...), encode(common("POST", "content-length", "5")...)
	headers := func(id uint32, flags uint8, b []byte) []byte {
		return frame.AppendHeaders(nil, id, flags, b, frame.MinMaxSize)
	}
	data := func(id uint32, flags uint8, s string) []byte {
		return append(frame.Append(nil, frame.Head{Length: len(s), Type: frame.Data, Flags: flags, Stream: id}), s...)
	}
	add(headers(1, frame.EndStream, get), headers(3, frame.EndStream, get))
	add(headers(1, 0, post), data(1, frame.EndStream, "hello"))
	add(headers(1, 0, post), data(1, frame.Padded, "\x02hello\x00\x00"), headers(1, frame.EndStream, encode("x-a", "b")))
	add(headers(1, 0, post), frame.AppendReset(nil, 1, frame.Cancel), headers(3, frame.EndStream, get))
	add(frame.AppendPing(nil, 0, []byte("12345678")), frame.AppendWindowUpdate(nil, 0, 5), frame.AppendGoAway(nil, 0, 0, ""))
	add(frame.AppendHeaders(nil, 1, frame.EndStream, get, 3))
	add(frame.AppendSettings(nil, frame.Param{ID: frame.InitialWindowSize, Value: 1}, frame.Param{ID: frame.HeaderTableSize}), headers(1, frame.EndStream, get))
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &script{in: bytes.NewReader(append([]byte(frame.Preface), sent...))}
		within(t, scripted(echo), c)
		if most := 1000 + 100*len(sent); c.out.Len() > most {
			t.Fatalf("%d bytes in answer to %d", c.out.Len(), len(sent))
		}
		answer := http2.NewFramer(nil, &c.out)
		answer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		frames := 0
		for ; ; frames++ {
			_, err := answer.ReadFrame()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("frame %d of the answer: %v", frames, err)
			}
		}
		if most := 5 + len(sent)/2; frames > most {
			t.Fatalf("%d frames in answer to %d bytes", frames, len(sent))
		}
	})
}

// FuzzHeaderBlock decodes any header block: a request that reaches the handler can
// leave as HTTP/1.1 and is read there as it was here.
func FuzzHeaderBlock(f *testing.F) {
	for _, fields := range [][]string{
		common("GET"), common("POST", "content-length", "0", "cookie", "a=1", "cookie", "b=2"), common("OPTIONS", "te", "trailers"),
		{":method", "GET", ":scheme", "https", ":path", "/a?b=c", "host", "A.example:80"},
		{":method", "CONNECT", ":authority", "a:1"},
		common("GET", "connection", "close"), common("GET", "x", "a\r\nb: c"), common("GET", "X", "y"),
	} {
		f.Add(encode(fields...))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) > frame.MinMaxSize {
			return
		}
		s := scripted(func(x *exchange.Exchange) {
			var h wire.RequestHead
			head := wire.AppendRequestHead(nil, x, wire.RequestOptions{})
			n, err := wire.ParseRequest(head, &h, wire.Limits{Head: 64 << 10, Target: 4 << 10, Fields: 200}, nil)
			if err != nil || n != len(head) {
				t.Errorf("%q is read as %d bytes, %v", head, n, err)
			}
			q := &x.Request
			if h.Method != q.Method || h.Authority != q.Authority || h.Path != q.Path || h.RawQuery != q.RawQuery || h.Chunked || h.ContentLength != 0 {
				t.Errorf("%q is read as %+v", head, h)
			}
			if strings.ContainsAny(q.Host, "ABC ") {
				t.Errorf("host %q", q.Host)
			}
			x.Reply(200, "", "")
			_ = x.WriteReply()
		})
		in := append([]byte(frame.Preface), frame.AppendSettings(nil)...)
		in = frame.AppendHeaders(in, 1, frame.EndStream, sent, frame.MinMaxSize)
		within(t, s, &script{in: bytes.NewReader(in)})
	})
}
