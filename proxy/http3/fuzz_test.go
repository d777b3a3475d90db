package http3

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// FuzzStream feeds a request stream and a control stream to the readers: a request that
// is taken can leave as HTTP/1.1 and is read there as it was here.
func FuzzStream(f *testing.F) {
	f.Add(headers(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"))
	f.Add(append(appendFrame(nil, frameSettings, 2), 6, 0))
	f.Add(append(quicvarint.Append(nil, 0x21), 0))
	s := New(Config{Limits: wire.Limits{Head: 1 << 10, Target: 512, Fields: 10}})
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &conn{srv: s, cfg: &s.cfg, info: &exchange.Conn{}}
		st := &stream{k: k, in: input{str: bytes.NewReader(b), buf: make([]byte, 64)}}
		st.section.Begin()
		st.Conn = k.info
		if length, err := st.headers(); err == nil && length <= uint64(s.cfg.Limits.Head) {
			if block, err := st.in.whole(int(length)); err == nil && decode(&s.cfg, block, st.take) == nil && st.fill() == nil {
				leaves(t, &st.Exchange)
			}
		}
		_ = k.hear(&input{str: bytes.NewReader(b), buf: make([]byte, 64)})
		_ = encoderOf(&input{str: bytes.NewReader(b), buf: make([]byte, 64)})
	})
}

// leaves checks that x's request, sent as HTTP/1.1, is the same when it is read.
func leaves(t *testing.T, x *exchange.Exchange) {
	q := &x.Request
	if q.Host == "" {
		t.Errorf("a request without a host: %+v", q)
	}
	sent := wire.AppendRequestHead(nil, x, wire.RequestOptions{})
	var h wire.RequestHead
	n, err := wire.ParseRequest(sent, &h, wire.Limits{Head: 64 << 10, Target: 4 << 10, Fields: 200}, nil)
	if err != nil || n != len(sent) {
		t.Errorf("%q is read as %d bytes, %v", sent, n, err)
	}
	chunks := q.Body != nil && q.ContentLength < 0
	if h.Method != q.Method || h.Authority != q.Authority || h.Path != q.Path || h.RawQuery != q.RawQuery || h.Chunked != chunks {
		t.Errorf("%q is read as %+v", sent, h)
	}
}

// FuzzFields encodes any header: another implementation decodes fields that HTTP/3 allows.
func FuzzFields(f *testing.F) {
	f.Add("Content-Type", "text/plain", uint16(200))
	f.Add("X-A", " a\r\nSet-Cookie: b", uint16(404))
	f.Add("Transfer-Encoding", "chunked", uint16(999))
	f.Add("Set-Cookie", "a=b", uint16(103))
	f.Fuzz(func(t *testing.T, name, value string, status uint16) {
		status = 100 + status%900
		block := appendFields(appendStatus(appendPrefix(nil), int(status)), exchange.Header{{Name: name, Value: value}, {Name: "x-last", Value: "z"}})
		var fields []qpack.HeaderField
		for next := qpack.NewDecoder().Decode(block); ; {
			field, err := next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q: %q: %v", name, value, err)
			}
			fields = append(fields, field)
		}
		n := len(fields)
		if n < 2 || n > 3 || fields[0].Name != ":status" || len(fields[0].Value) != 3 || fields[n-1] != (qpack.HeaderField{Name: "x-last", Value: "z"}) {
			t.Fatalf("%q: %q, %d: %v", name, value, status, fields)
		}
		if n == 3 {
			got := fields[1]
			if got.Name != strings.ToLower(name) || strings.ContainsAny(got.Value, "\r\n\x00") || strings.Trim(got.Value, " \t") != got.Value {
				t.Fatalf("%q: %q became %v", name, value, got)
			}
		}
	})
}
