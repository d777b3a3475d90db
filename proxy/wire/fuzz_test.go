package wire

import (
	"bytes"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// forward makes of a request head what would be sent on.
func forward(h *RequestHead) []byte {
	x := &exchange.Exchange{Request: exchange.Request{
		Method: h.Method, Authority: h.Authority, Path: h.Path, RawQuery: h.RawQuery, TargetForm: exchange.TargetForm{EmptyQuery: h.EmptyQuery},
		Header: h.Header, ContentLength: h.ContentLength, Upgrade: h.Upgrade,
	}}
	if h.ContentLength != 0 {
		x.Request.Body = &exchange.Buffered{}
	}
	return AppendRequestHead(nil, x, RequestOptions{Upgrade: true})
}

// sameWithoutLines checks that send makes out of header also where its fields do not
// know how they came.
func sameWithoutLines(t *testing.T, out []byte, header exchange.Header, send func() []byte) {
	for i := range header {
		header[i].Line = ""
	}
	if plain := send(); !bytes.Equal(plain, out) {
		t.Fatalf("sent on as %q, and without lines as %q", out, plain)
	}
}

// What is accepted stays as it is when more bytes come, and is read the same
// way by the next one on the path, and by net/http.
func FuzzParseRequest(f *testing.F) {
	for _, v := range requests {
		if len(v.message) < 1000 {
			f.Add([]byte(v.message))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again RequestHead
		n, err := ParseRequest(b, &h, wide, nil)
		if n == 0 && err == nil {
			return
		}
		longer := append(bytes.Clone(b), "GET / HTTP/1.1\r\n\r\n"...)
		if m, errAgain := ParseRequest(longer, &again, wide, nil); m != n || err != nil && errAgain != err {
			t.Fatalf("%d, %v becomes %d, %v with more bytes", n, err, m, errAgain)
		}
		if err != nil {
			return
		}
		for cut := range n {
			if m, err := ParseRequest(b[:cut], &again, wide, nil); m != 0 || err != nil {
				t.Fatalf("accepted, but cut at %d: %d, %v", cut, m, err)
			}
		}
		agreeOnRequest(t, b[:n], &h)
		if h.Minor == 0 && h.Authority == "" {
			h.Authority = "from.another.place"
		}
		out := forward(&h)
		sameWithoutLines(t, out, h.Header, func() []byte { return forward(&h) })
		m, err := ParseRequest(out, &again, Limits{Head: 1 << 20, Target: 1 << 20, Fields: 1 << 10}, nil)
		if err != nil || m != len(out) {
			t.Fatalf("%q is sent on as %q, which gives %d, %v", b, out, m, err)
		}
		agreeOnRequest(t, out, &again)
		want := h
		want.Header = nil
		for _, f := range h.Header {
			if f.Name != "" {
				want.Header = append(want.Header, f)
			}
		}
		want.Scheme, want.Target, want.Minor, want.Expect, want.Close, again.Target = "", "", 1, false, false, ""
		if !equalRequest(again, want) {
			t.Fatalf("%q\nsent on as %q\n got %+v\nwant %+v", b, out, again, want)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	for _, v := range responses {
		if len(v.message) < 1000 {
			f.Add([]byte(v.message), true)
		}
	}
	f.Add([]byte("HTTP/1.1 101 Switching\r\nConnection: upgrade, x-a\r\nUpgrade: websocket\r\nX-A: b\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		var h, again ResponseHead
		n, err := ParseResponse(b, method, &h, wide, nil)
		if n == 0 && err == nil {
			return
		}
		longer := append(bytes.Clone(b), "HTTP/1.1 200 OK\r\n\r\n"...)
		if m, errAgain := ParseResponse(longer, method, &again, wide, nil); m != n || err != nil && *errAgain != *err {
			t.Fatalf("%d, %v becomes %d, %v with more bytes", n, err, m, errAgain)
		}
		if err != nil {
			return
		}
		for cut := range n {
			if m, err := ParseResponse(b[:cut], method, &again, wide, nil); m != 0 || err != nil {
				t.Fatalf("accepted, but cut at %d: %d, %v", cut, m, err)
			}
		}
		agreeOnResponse(t, b[:n], method, &h)
		x := &exchange.Exchange{Response: exchange.Response{Status: h.Status, Header: h.Header, ContentLength: h.ContentLength}}
		send := func() []byte {
			return AppendResponseHead(nil, x, ResponseOptions{Close: h.Close, Chunked: h.Chunked, Upgrade: h.Upgrade})
		}
		out := send()
		sameWithoutLines(t, out, h.Header, send)
		m, err := ParseResponse(out, method, &again, Limits{Head: 1 << 20, Fields: 1 << 10}, nil)
		if err != nil || m != len(out) {
			t.Fatalf("%q is sent on as %q, which gives %d, %v", b, out, m, err)
		}
		agreeOnResponse(t, out, method, &again)
		want := h
		want.Header = nil
		for _, f := range h.Header {
			if f.Name != "" {
				want.Header = append(want.Header, f)
			}
		}
		want.Minor = 1
		if !equalResponse(again, want) {
			t.Fatalf("%q\nsent on as %q\n got %+v\nwant %+v", b, out, again, want)
		}
	})
}

// Chunked content says the same however it is cut, when it is chunked anew, and to net/http.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "1 ; a = b ;c=\"d\\\"\"\r\nx\r\n0\r\nX: y\r\nHost: z\r\n\r\n",
		"FFFFFFFFFFFFFFFF\r\n", "3\r\nab", "0x1\r\n", "1;a\nb\r\nx\r\n", "A\r\n0123456789\r\n00\r\nA: b\nC: d\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		var whole, cut, again Chunks
		content, rest, done, err := decode(&whole, string(b), max(1, len(b)))
		c2, r2, d2, err2 := decode(&cut, string(b), max(1, int(piece)))
		if c2 != content || d2 != done || err2 != err || done && r2 != rest || names(whole.Trailer) != names(cut.Trailer) {
			t.Fatalf("%q in pieces of %d: %q %v %v, whole: %q %v %v", b, piece, c2, d2, err2, content, done, err)
		}
		if !done {
			return
		}
		agreeOnContent(t, b, content)
		var out []byte
		if content != "" {
			out = append(append(AppendChunkHead(out, len(content)), content...), "\r\n"...)
		}
		trailer := AppendLastChunk(nil, whole.Trailer)
		sameWithoutLines(t, trailer, whole.Trailer, func() []byte { return AppendLastChunk(nil, whole.Trailer) })
		out = append(out, trailer...)
		c3, r3, d3, err3 := decode(&again, string(out), len(out))
		if c3 != content || r3 != "" || !d3 || err3 != nil || names(again.Trailer) != names(whole.Trailer) {
			t.Fatalf("%q chunked anew is %q: %q %q %v %v", b, out, c3, r3, d3, err3)
		}
	})
}
