package wire

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

var wide = Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}

// crlf ends each line of a message as RFC 9112 wants it.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// names lists what is left of a header.
func names(h exchange.Header) string {
	var out []string
	for _, f := range h {
		if f.Name != "" {
			out = append(out, f.Name)
		}
	}
	return strings.Join(out, " ")
}

func TestRequestHead(t *testing.T) {
	check := func(message string, want RequestHead, header string) {
		t.Helper()
		var h RequestHead
		message = crlf(message) + "\r\n"
		n, err := ParseRequest([]byte(message+"rest"), &h, wide, nil)
		if err != nil || n != len(message) {
			t.Fatalf("%q: %d, %v", message, n, err)
		}
		if got := names(h.Header); got != header {
			t.Errorf("%q: header %q, want %q", message, got, header)
		}
		h.Header, h.Target, want.Target = nil, "", ""
		if !equalRequest(h, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", message, h, want)
		}
	}
	get := func(change func(h *RequestHead)) RequestHead {
		h := RequestHead{Method: "GET", Path: "/", Authority: "a", Minor: 1}
		change(&h)
		return h
	}
	is := func(lines string, change func(h *RequestHead), header string) {
		t.Helper()
		check("GET / HTTP/1.1\nHost: a\n"+lines, get(change), header)
	}
	same := func(*RequestHead) {}

	check("GET /p?q HTTP/1.1\nHost: A.b:1\n", get(func(h *RequestHead) { h.Path, h.RawQuery, h.Authority = "/p", "q", "A.b:1" }), "")
	check("GET / HTTP/1.1\nHost: a:\n", get(func(*RequestHead) {}), "")
	check("GET http://a:/ HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Scheme = "http" }), "")
	check("GET /? HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.EmptyQuery = true }), "")
	check("GET /?? HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.RawQuery = "?" }), "")
	check("OPTIONS http://a? HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Method, h.Scheme, h.EmptyQuery = "OPTIONS", "http", true }), "")
	check("GET http://a?q=/ HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Scheme, h.RawQuery = "http", "q=/" }), "")
	check("GET https://a/x HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Scheme, h.Path = "https", "/x" }), "")
	check("OPTIONS * HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Method, h.Path = "OPTIONS", "*" }), "")
	check("OPTIONS http://a HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Method, h.Scheme, h.Path = "OPTIONS", "http", "*" }), "")
	check("OPTIONS http://a/ HTTP/1.1\nHost: a\n", get(func(h *RequestHead) { h.Method, h.Scheme = "OPTIONS", "http" }), "")
	check("GET / HTTP/1.0\n", get(func(h *RequestHead) { h.Minor, h.Authority, h.Close = 0, "", true }), "")
	check("GET http://a/ HTTP/1.0\n", get(func(h *RequestHead) { h.Minor, h.Scheme, h.Close = 0, "http", true }), "")
	check("GET / HTTP/1.0\nHost: a\nConnection: Keep-Alive\n", get(func(h *RequestHead) { h.Minor = 0 }), "")
	check("GET / HTTP/1.0\nHost: a\nUpgrade: websocket\nConnection: upgrade\nExpect: 100-continue\n",
		get(func(h *RequestHead) { h.Minor, h.Close = 0, true }), "")

	is("X-A: 1\nx_b: 2\n", same, "X-A x_b")
	is("Content-Length: 7\nExpect: 100-continue\n", func(h *RequestHead) { h.ContentLength, h.Expect = 7, true }, "")
	is("Expect: 100-continue\n", same, "")
	is("Transfer-Encoding: Chunked\n", func(h *RequestHead) { h.ContentLength, h.Chunked = -1, true }, "")
	is("TE: gzip , Trailers\nConnection: TE\n", same, "")
	is("Connection: close\nKeep-Alive: 5\nProxy-Connection: x\n", func(h *RequestHead) { h.Close = true }, "")
	is("Connection: keep-alive, close\n", func(h *RequestHead) { h.Close = true }, "")
	is("Connection: keep-alive\n", same, "")

	// Connection takes the fields it names with it, wherever they are, but not those that are for everyone.
	is("X-A: 1\nConnection: x-a, x-b\nX-B: 2\nX-C: 3\nX-A: 4\n", same, "X-C")
	is("Connection: x-a\nConnection: close, ,\nX-A: 1\nConnection: x-b\nX-B: 2\n", func(h *RequestHead) { h.Close = true }, "")
	is("Connection: Authorization, Cookie, X-Forwarded-For, Content-Type, Host, connection\nAuthorization: x\nCookie: x\nX-Forwarded-For: x\nContent-Type: x\n",
		same, "Authorization Cookie X-Forwarded-For Content-Type")
	is("Connection: content-length\nContent-Length: 3\n", func(h *RequestHead) { h.ContentLength = 3 }, "")
	is("Connection: transfer-encoding\nTransfer-Encoding: chunked\n", func(h *RequestHead) { h.ContentLength, h.Chunked = -1, true }, "")

	is("Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: x\n", func(h *RequestHead) { h.Upgrade = "websocket" }, "Sec-WebSocket-Key")
	is("Upgrade: a/1.2\nConnection: keep-alive, upgrade\n", func(h *RequestHead) { h.Upgrade = "a/1.2" }, "")
	is("Upgrade: websocket\n", same, "")
	is("Upgrade: websocket\nConnection: upgrade\nContent-Length: 2\n", func(h *RequestHead) { h.ContentLength = 2 }, "")
	is("Upgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAMAAABkAAQAAP__\n", same, "")
	is("Upgrade: HTTP/2.0\nConnection: Upgrade\n", same, "")
	is("Upgrade: websocket, h2c\nConnection: Upgrade\n", same, "")
	is("Upgrade: websocket\nUpgrade: websocket\nConnection: Upgrade\n", same, "")
	is("Upgrade: a/b/c\nConnection: Upgrade\n", same, "")
}

func equalRequest(a, b RequestHead) bool {
	if !slices.EqualFunc(a.Header, b.Header, equalField) {
		return false
	}
	a.Header, b.Header = nil, nil
	return a.Method == b.Method && a.Target == b.Target && a.Scheme == b.Scheme && a.Authority == b.Authority && a.Path == b.Path &&
		a.RawQuery == b.RawQuery && a.EmptyQuery == b.EmptyQuery && a.Minor == b.Minor && a.ContentLength == b.ContentLength && a.Chunked == b.Chunked &&
		a.Close == b.Close && a.Expect == b.Expect && a.Upgrade == b.Upgrade
}

// equalField leaves out how the field was written.
func equalField(a, b exchange.Field) bool { return a.Name == b.Name && a.Value == b.Value }

func equalResponse(a, b ResponseHead) bool {
	return slices.EqualFunc(a.Header, b.Header, equalField) && a.Status == b.Status && a.Minor == b.Minor &&
		a.ContentLength == b.ContentLength && a.Chunked == b.Chunked && a.UntilClose == b.UntilClose && a.NoBody == b.NoBody &&
		a.Close == b.Close && a.Upgrade == b.Upgrade
}

func TestResponseHead(t *testing.T) {
	check := func(method, message string, want ResponseHead, header string) {
		t.Helper()
		var h ResponseHead
		message = crlf(message) + "\r\n"
		n, err := ParseResponse([]byte(message+"rest"), method, &h, wide, nil)
		if err != nil || n != len(message) {
			t.Fatalf("%q: %d, %v", message, n, err)
		}
		if got := names(h.Header); got != header {
			t.Errorf("%q: header %q, want %q", message, got, header)
		}
		h.Header = nil
		if !equalResponse(h, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", message, h, want)
		}
	}
	check("GET", "HTTP/1.1 200 Fine by me\nServer: x\nContent-Length: 3\n", ResponseHead{Status: 200, Minor: 1, ContentLength: 3}, "Server")
	check("GET", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", ResponseHead{Status: 200, Minor: 1, ContentLength: -1, Chunked: true}, "")
	check("GET", "HTTP/1.1 200 OK\n", ResponseHead{Status: 200, Minor: 1, ContentLength: -1, UntilClose: true, Close: true}, "")
	check("GET", "HTTP/1.0 200 OK\nContent-Length: 3\n", ResponseHead{Status: 200, ContentLength: 3, Close: true}, "")
	check("GET", "HTTP/1.0 200 OK\nContent-Length: 3\nConnection: keep-alive\n", ResponseHead{Status: 200, ContentLength: 3}, "")
	check("GET", "HTTP/1.1 200 OK\nContent-Length: 3\nConnection: close, x\nX: 1\n", ResponseHead{Status: 200, Minor: 1, ContentLength: 3, Close: true}, "")
	check("HEAD", "HTTP/1.1 200 OK\nContent-Length: 3\n", ResponseHead{Status: 200, Minor: 1, ContentLength: 3, NoBody: true}, "")
	check("HEAD", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", ResponseHead{Status: 200, Minor: 1, ContentLength: -1, NoBody: true}, "")
	check("GET", "HTTP/1.1 304\nContent-Length: 3\nETag: x\n", ResponseHead{Status: 304, Minor: 1, ContentLength: 3, NoBody: true}, "ETag")
	check("GET", "HTTP/1.1 204 \nContent-Length: 0\n", ResponseHead{Status: 204, Minor: 1, ContentLength: -1, NoBody: true}, "")
	check("GET", "HTTP/1.1 100 Continue\n", ResponseHead{Status: 100, Minor: 1, ContentLength: -1, NoBody: true}, "")
	check("GET", "HTTP/1.1 101 Switching\nUpgrade: websocket\nConnection: upgrade\n", ResponseHead{Status: 101, Minor: 1, ContentLength: -1, NoBody: true, Upgrade: "websocket"}, "")
	check("GET", "HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nConnection: upgrade\nContent-Length: 0\n", ResponseHead{Status: 426, Minor: 1}, "")
}

// body is a Body of which only the presence counts.
type body struct{ exchange.Buffered }

func TestAppendRequestHead(t *testing.T) {
	check := func(r exchange.Request, o RequestOptions, want string) {
		t.Helper()
		if got := string(AppendRequestHead(nil, &exchange.Exchange{Request: r}, o)); got != crlf(want)+"\r\n" {
			t.Errorf("got %q, want %q", got, crlf(want)+"\r\n")
		}
	}
	header := exchange.Header{{Name: "X", Value: "1"}, {Name: "", Value: "removed"}, {Name: "Y", Value: ""}}
	check(exchange.Request{Method: "GET", Path: "/a", Authority: "h:1", Header: header}, RequestOptions{}, "GET /a HTTP/1.1\nHost: h:1\nX: 1\nY: \n")
	check(exchange.Request{Method: "OPTIONS", Path: "*", Authority: "h"}, RequestOptions{}, "OPTIONS * HTTP/1.1\nHost: h\n")
	check(exchange.Request{Method: "GET", Path: "/", TargetForm: exchange.TargetForm{EmptyQuery: true}, Authority: "h"}, RequestOptions{}, "GET /? HTTP/1.1\nHost: h\n")
	check(exchange.Request{Method: "POST", Path: "/", RawQuery: "a=b", Authority: "h"}, RequestOptions{}, "POST /?a=b HTTP/1.1\nHost: h\nContent-Length: 0\n")
	check(exchange.Request{Method: "POST", Path: "/", Authority: "h", Body: &body{}, ContentLength: 12}, RequestOptions{}, "POST / HTTP/1.1\nHost: h\nContent-Length: 12\n")
	check(exchange.Request{Method: "GET", Path: "/", Authority: "h", Body: &body{}, ContentLength: -1}, RequestOptions{},
		"GET / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n")
	check(exchange.Request{Method: "GET", Path: "/", Authority: "h", Upgrade: "websocket"}, RequestOptions{Upgrade: true},
		"GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: Upgrade\n")
	check(exchange.Request{Method: "GET", Path: "/", Authority: "h", Upgrade: "websocket"}, RequestOptions{}, "GET / HTTP/1.1\nHost: h\n")
	check(exchange.Request{Method: "GET", Path: "/", Authority: "h"}, RequestOptions{Close: true, Lines: "X: 1\r\n"}, "GET / HTTP/1.1\nHost: h\nConnection: close\nX: 1\n")

	// What is not fit for the wire never gets there.
	check(exchange.Request{Method: "GET", Path: "/a b#?\r\n", RawQuery: "q\x00\xc3#", Authority: "h\r\nX: 1"}, RequestOptions{},
		"GET /a%20b%23?%0D%0A?q%00%C3%23 HTTP/1.1\nHost: h  X: 1\n")
	check(exchange.Request{Method: "GET", Path: "/", Authority: "h", Header: exchange.Header{
		{Name: "A", Value: "1\r\nB: 2\x00\x7f"},
		{Name: "C\r\nD", Value: "3"},
		{Name: "E F", Value: "4"},
		{Name: "Host", Value: "evil"},
		{Name: "content-length", Value: "5"},
		{Name: "Transfer-Encoding", Value: "chunked"},
		{Name: "Connection", Value: "close"},
	}}, RequestOptions{},
		"GET / HTTP/1.1\nHost: h\nA: 1  B: 2  \n")
}

func TestAppendResponseHead(t *testing.T) {
	check := func(r exchange.Response, o ResponseOptions, want string) {
		t.Helper()
		if got := string(AppendResponseHead(nil, &exchange.Exchange{Response: r}, o)); got != crlf(want)+"\r\n" {
			t.Errorf("got %q, want %q", got, crlf(want)+"\r\n")
		}
	}
	header := exchange.Header{{Name: "X", Value: "1"}}
	check(exchange.Response{Status: 200, Header: header}, ResponseOptions{Date: "now"}, "HTTP/1.1 200 OK\nX: 1\nDate: now\nContent-Length: 0\n")
	check(exchange.Response{Status: 200, Header: exchange.Header{{Name: "date", Value: "then"}}}, ResponseOptions{Date: "now"}, "HTTP/1.1 200 OK\ndate: then\nContent-Length: 0\n")
	check(exchange.Response{Status: 200, ContentLength: -1}, ResponseOptions{Chunked: true}, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n")
	check(exchange.Response{Status: 200, ContentLength: -1}, ResponseOptions{Close: true, KeepAlive: true}, "HTTP/1.1 200 OK\nConnection: close\n")
	check(exchange.Response{Status: 200, ContentLength: 1}, ResponseOptions{KeepAlive: true}, "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: keep-alive\n")
	check(exchange.Response{Status: 204}, ResponseOptions{}, "HTTP/1.1 204 No Content\n")
	check(exchange.Response{Status: 304, ContentLength: -1}, ResponseOptions{}, "HTTP/1.1 304 Not Modified\n")
	check(exchange.Response{Status: 101, ContentLength: -1}, ResponseOptions{Upgrade: "websocket"}, "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n")
	check(exchange.Response{Status: 599, ContentLength: -1}, ResponseOptions{}, "HTTP/1.1 599 Status\n")
}

// A request of another syntax is held to the same rules.
func TestCheck(t *testing.T) {
	check := func(method, target, authority, code string) {
		t.Helper()
		h := RequestHead{Method: method, Target: target, Authority: authority}
		err := Check(&h, wide)
		if got := string(AppendTarget(nil, h.Path, h.RawQuery, h.EmptyQuery)); code == "" && (err != nil || got != target) || code != "" && (err == nil || err.Code != code) {
			t.Errorf("%s %s of %s: %+v, error %v, want %q", method, target, authority, h, err, code)
		}
	}
	check("GET", "/a?b=?", "h:1", "")
	check("GET", "/a?", "h:", "")
	check("OPTIONS", "*", "h", "")
	check("G T", "/", "h", "bad_method")
	check("delete", "/", "h", "bad_method")
	check("", "/", "h", "bad_method")
	check("GET", "", "h", "bad_target")
	check("GET", "a", "h", "bad_target")
	check("GET", "*", "h", "bad_target")
	check("GET", "/a b", "h", "bad_target")
	check("GET", "/a\r\nX: 1", "h", "bad_target")
	check("GET", "/a?b\n", "h", "bad_target")
	check("GET", "/a#b", "h", "bad_target")
	check("GET", "http://other/", "h", "bad_target")
	check("GET", "http://h/", "h", "bad_target")
	check("GET", "/"+strings.Repeat("a", wide.Target), "h", "target_too_long")
	check("GET", "/", "", "host_missing")
	check("GET", "/", "u@h", "bad_host")
	check("GET", "/", "h\r\nX: 1", "bad_host")
	check("CONNECT", "h:443", "h:443", "connect_unsupported")

	if err := Check(&RequestHead{Method: "GET", Target: "/", Authority: "h", Header: make(exchange.Header, wide.Fields+1)}, wide); err == nil || err.Code != "too_many_headers" {
		t.Errorf("too many fields: %v", err)
	}
}

// What looks at eight bytes at a time sees what a look at each byte does.
func TestEightBytes(t *testing.T) {
	ends := map[string]struct {
		end   func(b []byte, i int) int
		class uint8
	}{
		"text":  {textEnd, isText},
		"token": {func(b []byte, i int) int { return nameEnd(b, i, isToken) }, isToken},
		"host":  {func(b []byte, i int) int { return nameEnd(b, i, isHost) }, isHost},
		"path":  {pathEnd, isPath},
	}
	naive := func(b []byte, i int, of uint8) int {
		for i < len(b) && class[b[i]]&of != 0 {
			i++
		}
		return i
	}
	eightBytes(func(b []byte) {
		for _, from := range []int{0, 1, len(b) / 2} {
			for name, f := range ends {
				if got, want := f.end(b, min(from, len(b))), naive(b, min(from, len(b)), f.class); got != want {
					t.Fatalf("%s: %q from %d: %d, want %d", name, b, from, got, want)
				}
			}
		}
		if got, want := visible(string(b)), is(string(b), isQuery); got != want {
			t.Fatalf("visible: %q: %v, want %v", b, got, want)
		}
	})
}

// eightBytes calls f with bytes of which one, anywhere, is any.
func eightBytes(f func(b []byte)) {
	for size := range 18 {
		for at := range size {
			for c := range 256 {
				for _, around := range []byte{'a', '-', '\t', 0xff, 0x80} {
					b := []byte(strings.Repeat(string([]byte{around}), size))
					b[at] = byte(c)
					f(b)
				}
			}
		}
	}
}

// Fields go on as they came, and what has been made of one since then instead of it.
func TestFieldsAsTheyCame(t *testing.T) {
	var h RequestHead
	message := crlf("GET / HTTP/1.1\nHost: a\nSame: 1\nValue: 2\nName: 3\nGone: 4\nShorter: 56\nNarrow:7\nTab:\t8\nWide:  9 \nEmpty: \n\n")
	if _, err := ParseRequest([]byte(message), &h, wide, nil); err != nil {
		t.Fatal(err)
	}
	h.Header.Set("value", "b\nc")
	h.Header[2].Name = "Nome"
	h.Header.Del("gone")
	h.Header[4].Value = h.Header[4].Value[:1]
	want := crlf("GET / HTTP/1.1\nHost: a\nSame: 1\nValue: b c\nNome: 3\nShorter: 5\nNarrow: 7\nTab: 8\nWide: 9\nEmpty: \n\n")
	if got := string(forward(&h)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	var r ResponseHead
	if _, err := ParseResponse([]byte(crlf("HTTP/1.1 204 No Content\nHost: b\nX: y\n\n")), "GET", &r, wide, nil); err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Response: exchange.Response{Status: 204, Header: r.Header}}
	if got, want := string(AppendResponseHead(nil, x, ResponseOptions{})), crlf("HTTP/1.1 204 No Content\nX: y\n\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
