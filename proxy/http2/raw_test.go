package http2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// raw is a client that sends what it is told, be it right or wrong.
type raw struct {
	t *testing.T
	net.Conn
	framer *http2.Framer
	enc    *hpack.Encoder
	block  bytes.Buffer
	acked  int // acknowledgements seen by until
}

// dial connects, and sends the preface and SETTINGS with params.
func dial(t *testing.T, url string, params ...http2.Setting) *raw {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := &raw{t: t, Conn: c, framer: http2.NewFramer(c, c)}
	r.enc = hpack.NewEncoder(&r.block)
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.framer.AllowIllegalWrites = true
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = r.framer.WriteSettings(params...)
	return r
}

// fields encodes a header block.
func (r *raw) fields(fields ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = r.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(r.block.Bytes())
}

// common is the pseudo-header fields of a plain request.
func common(method string, more ...string) []string {
	return append([]string{":method", method, ":scheme", "http", ":authority", "a", ":path", "/"}, more...)
}

// ask begins a stream.
func (r *raw) ask(id uint32, end bool, fields ...string) {
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(fields...), EndHeaders: true, EndStream: end})
}

// send sends a frame as it stands.
func (r *raw) send(t frame.Type, flags uint8, stream uint32, payload ...byte) {
	_, _ = r.Write(append(frame.Append(nil, frame.Head{Length: len(payload), Type: t, Flags: flags, Stream: stream}), payload...))
}

// next returns the next frame that says something, as text: "200 on 1", "data 5
// on 1 end", "reset CANCEL on 1", "goaway NO_ERROR 1", "ping pong", "closed".
func (r *raw) next() string {
	for {
		f, err := r.framer.ReadFrame()
		if err != nil {
			return "closed"
		}
		end := ""
		if f.Header().Flags.Has(http2.FlagHeadersEndStream) {
			end = " end"
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if len(f.PseudoFields()) == 0 {
				return fmt.Sprintf("trailer on %d%s", f.StreamID, end)
			}
			return fmt.Sprintf("%s on %d%s", f.PseudoValue("status"), f.StreamID, end)
		case *http2.DataFrame:
			return fmt.Sprintf("data %d on %d%s", len(f.Data()), f.StreamID, end)
		case *http2.RSTStreamFrame:
			return fmt.Sprintf("reset %v on %d", f.ErrCode, f.StreamID)
		case *http2.GoAwayFrame:
			return fmt.Sprintf("goaway %v %d", f.ErrCode, f.LastStreamID)
		case *http2.PingFrame:
			r.acked++
			return "ping " + string(f.Data[:])
		case *http2.SettingsFrame:
			if f.IsAck() {
				r.acked++
			}
		}
	}
}

// until reads until something begins with one of want, and returns all of it.
func (r *raw) until(want ...string) string {
	r.t.Helper()
	var seen []string
	for {
		s := r.next()
		for _, w := range want {
			if strings.HasPrefix(s, w) {
				return s
			}
		}
		if seen = append(seen, s); s == "closed" {
			r.t.Errorf("want %q, got %q", want, seen[max(0, len(seen)-10):])
			return s
		}
	}
}

func uint32s(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// dialPlain connects and sends nothing.
func dialPlain(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}
