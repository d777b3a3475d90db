package wire

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

var (
	smallHead = []byte(crlf("GET /api/items HTTP/1.1\nHost: shop.example:8080\n\n"))
	largeHead = []byte(crlf("GET /api/v1/orders/4711?expand=lines&page=2 HTTP/1.1\nHost: shop.example.com\nConnection: keep-alive\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\n" +
		"Accept: application/json, text/plain, */*\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\nAccept-Encoding: gzip, deflate, br\n" +
		"Cache-Control: no-cache\nPragma: no-cache\nSec-Fetch-Mode: cors\nSec-Fetch-Site: same-origin\nSec-Fetch-Dest: empty\n" +
		"Referer: https://shop.example.com/orders\nX-Request-Id: 01HF3Z5V8Q9W2E4R6T8Y0U1I2O\nX-Env: production\n" +
		"Authorization: Bearer " + strings.Repeat("eyJhbGciOiJFUzI1NiJ9", 12) + "\nCookie: session=0123456789abcdef; theme=dark\n\n"))
	answerHead = []byte(crlf("HTTP/1.1 200 OK\nServer: x\nDate: Sun, 22 Nov 2026 17:00:00 GMT\nContent-Type: application/json\nContent-Length: 128\n\n"))
)

func heads() (*RequestHead, *ResponseHead) {
	return &RequestHead{Header: make(exchange.Header, 0, 32)}, &ResponseHead{Header: make(exchange.Header, 0, 32)}
}

// filled is an exchange as it stands before it is sent on.
func filled() *exchange.Exchange {
	h, r := heads()
	if _, err := ParseRequest(largeHead, h, wide, nil); err != nil {
		return nil
	}
	if _, err := ParseResponse(answerHead, "GET", r, wide, nil); err != nil {
		return nil
	}
	return &exchange.Exchange{
		Request:  exchange.Request{Method: h.Method, Authority: h.Authority, Path: h.Path, RawQuery: h.RawQuery, Header: h.Header},
		Response: exchange.Response{Status: r.Status, Header: r.Header, ContentLength: r.ContentLength},
	}
}

// steps are the operations of the request path.
func steps() map[string]func() {
	h, r := heads()
	x := filled()
	buf := make([]byte, 0, 8<<10)
	content := []byte("5\r\nhello\r\n400\r\n" + strings.Repeat("x", 0x400) + "\r\n0\r\nX-Sum: 1\r\n\r\n")
	var c Chunks
	var seen, answers Seen
	return map[string]func(){
		"request 53 B":    func() { _, _ = ParseRequest(smallHead, h, wide, nil) },
		"request 900 B":   func() { _, _ = ParseRequest(largeHead, h, wide, nil) },
		"request again":   func() { _, _ = ParseRequest(largeHead, h, wide, &seen) },
		"response again":  func() { _, _ = ParseResponse(answerHead, "GET", r, wide, &answers) },
		"response":        func() { _, _ = ParseResponse(answerHead, "GET", r, wide, nil) },
		"append request":  func() { buf = AppendRequestHead(buf[:0], x, RequestOptions{}) },
		"append response": func() { buf = AppendResponseHead(buf[:0], x, ResponseOptions{}) },
		"chunks": func() {
			c.Reset()
			for b := content; ; {
				_, n, done, err := c.Next(b)
				if b = b[n:]; done || err != nil {
					return
				}
			}
		},
	}
}

func BenchmarkWire(b *testing.B) {
	for name, step := range steps() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for name, step := range steps() {
		if n := testing.AllocsPerRun(100, step); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
