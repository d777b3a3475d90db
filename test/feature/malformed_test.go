package feature

import (
	"fmt"
	"strings"
	"testing"
)

// What RFC 9112 forbids is answered with its status, ends the connection and
// never reaches a backend.
func TestMalformedReachesNoBackend(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("all", `{backendRefs: [{name: api, port: 80}]}`))
	const next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	refused := func(status int, text string) {
		t.Helper()
		before := w.Backend("shop/api").Asked()
		got := w.Raw(text + next)
		if len(got) != 1 || got[0] != status {
			t.Errorf("%q: answers %v, want %d alone", text, got, status)
		}
		if asked := w.Backend("shop/api").Asked() - before; asked != 0 {
			t.Errorf("%q: %d request(s) reached the backend", text, asked)
		}
	}
	head := func(fields ...string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	}
	// Two framings, or one that is not clear (section 6.3).
	refused(400, head("Content-Length: 4", "Transfer-Encoding: chunked")+"0\r\n\r\n")
	refused(400, head("Transfer-Encoding: chunked", "Content-Length: 4")+"0\r\n\r\n")
	refused(400, head("Content-Length: 4", "Content-Length: 5")+"abcd")
	refused(400, head("Content-Length: 4", "Content-Length: 4")+"abcd")
	refused(400, head("Content-Length: 4, 4")+"abcd")
	refused(400, head("Content-Length: +4")+"abcd")
	refused(400, head("Content-Length: 0x4")+"abcd")
	refused(400, head("Content-Length: 4 4")+"abcd")
	refused(400, head("Content-Length: -1"))
	refused(400, head("Content-Length: 99999999999999999999"))
	refused(400, head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")+"0\r\n\r\n")
	refused(400, head("Transfer-Encoding: chunked, identity")+"0\r\n\r\n")
	refused(501, head("Transfer-Encoding: gzip, chunked")+"0\r\n\r\n")
	refused(400, head("Transfer-Encoding:\x0bchunked")+"0\r\n\r\n")
	refused(400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	// Chunks that come with their head (section 7.1).
	chunked := head("Transfer-Encoding: chunked")
	refused(400, chunked+"5;\r\nhello\r\n0\r\n\r\n")
	refused(400, chunked+"5 \r\nhello\r\n0\r\n\r\n")
	refused(400, chunked+"1_0\r\nhello\r\n0\r\n\r\n")
	refused(400, chunked+"5\r\nhello!\r\n0\r\n\r\n")
	refused(400, chunked+"5\r\nhello\n0\r\n\r\n")
	refused(400, chunked+"5\r\nhello\r\n0\r\nX : 1\r\n\r\n")
	// Field syntax (section 5).
	refused(400, head("Transfer-Encoding : chunked")+"0\r\n\r\n")
	refused(400, head("X-A: 1\r\n folded"))
	refused(400, head(" X-A: 1"))
	refused(400, head("X-A: 1\x00"))
	refused(400, head("X-A: 1\n"))
	refused(400, head("X-A: a\rb"))
	refused(400, head("X A: 1"))
	refused(400, head(": 1"))
	refused(400, head("X-A"))
	// The request line (section 3) and Host (section 3.2).
	refused(400, "GET / HTTP/1.1\r\n\r\n")
	refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
	refused(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")
	refused(400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(400, "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(400, "GET / HTTP/1.1\nHost: a\n\n")
	refused(400, "GET /\r\n\r\n")
	refused(400, "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n")
	refused(505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n")
	// Limits.
	refused(414, "GET /"+strings.Repeat("a", 9<<10)+" HTTP/1.1\r\nHost: a\r\n\r\n")
	refused(431, head("X-A: "+strings.Repeat("a", 66<<10)))
	var many []string
	for i := range 120 {
		many = append(many, fmt.Sprintf("X-%d: 1", i))
	}
	refused(431, head(many...))
}

// A chunk that lies is found only when it arrives: the answer is an error, or
// the connection just ends, and what follows is never taken for a request.
func TestBrokenContentEndsTheConnection(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("all", `{backendRefs: [{name: api, port: 80}]}`))
	const next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	broken := func(content string) {
		t.Helper()
		got := w.Raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + content + next)
		if len(got) > 1 || len(got) == 1 && got[0] != 400 {
			t.Errorf("%q: answers %v, want 400 or none", content, got)
		}
	}
	broken("5\r\nabcd\r\n0\r\n\r\n")
	broken("3\r\nabcd\r\n0\r\n\r\n")
	broken("-1\r\n\r\n")
	broken("0x4\r\nabcd\r\n0\r\n\r\n")
	broken("4\nabcd\n0\n\n")
	broken("ffffffffffffffff1\r\n")
	broken("4 \r\nabcd\r\n0\r\n\r\n")
	broken("4\r\nabcdX0\r\n\r\n")
	broken("4\r\nabcd\r\n0\r\nA B: 1\r\n\r\n")
}

func TestPathsCannotDodgeARule(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+`
apiVersion: v1
kind: Service
metadata: {name: admin, namespace: shop}
spec: {ports: [{port: 80}]}
---
`+Route("all",
		`{matches: [{path: {value: /admin}}], backendRefs: [{name: admin, port: 80}]}`,
		`{matches: [{path: {value: /}}], backendRefs: [{name: api, port: 80}]}`))
	goes := func(service string, status int, target string) {
		t.Helper()
		before, other := w.Backend("shop/admin").Asked(), w.Backend("shop/api").Asked()
		got := w.Raw("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if len(got) != 1 || got[0] != status {
			t.Errorf("%s: answers %v, want %d", target, got, status)
		}
		admin, api := w.Backend("shop/admin").Asked()-before, w.Backend("shop/api").Asked()-other
		if admin != btoi(service == "admin") || api != btoi(service == "api") {
			t.Errorf("%s: admin asked %d, api asked %d times, want %q asked", target, admin, api, service)
		}
	}
	goes("admin", 200, "/admin/x")
	goes("admin", 200, "/x/../admin")
	goes("admin", 200, "/x/%2e%2e/admin")
	goes("admin", 200, "/%61dmin")
	goes("admin", 200, "/./admin/")
	goes("api", 200, "/administrator")
	goes("api", 200, "/admin/../x")
	goes("", 400, "/../admin%zz")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
