package wire

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

var wide = Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}

// crlf ends each line of a message as RFC 9112 wants it.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestParseRequestReadsAHead(t *testing.T) {
	var h RequestHead
	msg := crlf("POST /a/b?x=1 HTTP/1.1\nHost: shop.example:8080\nX-One:  1 \t\nx_two: zwei\nContent-Length: 3\nTE: trailers\nConnection: TE\n\nabc")
	n, err := ParseRequest([]byte(msg), &h, wide)
	if err != nil || msg[n:] != "abc" {
		t.Fatal(n, err)
	}
	if h.Method != "POST" || h.Path != "/a/b" || h.RawQuery != "x=1" || h.Authority != "shop.example:8080" || h.ContentLength != 3 || !h.Trailers {
		t.Errorf("%+v", h)
	}
	if v, _ := h.Header.Get("x-one"); v != "1" {
		t.Errorf("X-One is %q", v)
	}
}

func TestAppendRequestHead(t *testing.T) {
	x := &exchange.Exchange{}
	x.Request = exchange.Request{Method: "GET", Path: "/a b", RawQuery: "q\r\n", Authority: "h", Header: exchange.Header{
		{Name: "X", Value: "1\r\nInjected: 2"}, {Name: "Y\r\n", Value: "3"}, {Name: "Transfer-Encoding", Value: "chunked"}}}
	want := crlf("GET /a%20b?q%0D%0A HTTP/1.1\nHost: h\nX: 1  Injected: 2\n\n")
	if got := string(AppendRequestHead(nil, x, RequestOptions{})); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
