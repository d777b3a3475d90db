package feature

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lie is an answer that breaks RFC 9112, and what becomes of it: a status with
// its code ("502 backend_bad_response"), an answer taken as far as it is good
// ("200 hi"), or one that is broken off ("cut").
type lie struct {
	name, method, answer string
	ends                 bool // the backend closes behind it
	want                 string
}

// later is where a backend waits until the client has what it sent before.
const later = "\xff"

// lies leave the backend's connection where nobody can tell what comes next, so
// it is never used again, whatever the client was told.
func lies() []lie {
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	const bad, either = "502 backend_bad_response", "502 backend_bad_response or cut" // by how much of it comes with the head
	return []lie{
		// The status line (section 4).
		{"HTTP/0.9", "GET", "hello, this is what a server of 1991 says\r\n", false, bad},
		{"HTTP/0.9, and the end", "GET", "<p>hello", true, bad},
		{"garbage ahead of the status line", "GET", "\x00\x01\x02" + ok + "Content-Length: 0\r\n\r\n", false, bad},
		{"empty line ahead of the status line", "GET", "\r\n" + ok + "Content-Length: 0\r\n\r\n", false, bad},
		{"content of the answer before", "GET", "hi" + ok + "Content-Length: 0\r\n\r\n", false, bad},
		{"another version", "GET", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"another protocol", "GET", "SSH-2.0-OpenSSH_9.2\r\n", false, bad},
		{"a status of two digits", "GET", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"a status of four digits", "GET", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"status 999", "GET", "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"a reason without end", "GET", "HTTP/1.1 200 " + strings.Repeat("k", 80<<10), false, bad},
		{"a control character in the reason", "GET", "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"half a status line", "GET", "HTTP/1.1 2", true, bad},
		{"nothing", "GET", "", true, bad},
		// Fields (section 5).
		{"a field without end", "GET", ok + "X: " + strings.Repeat("a", 80<<10), false, bad},
		{"fields without end", "GET", ok + strings.Repeat("X: a\r\n", 30<<10), false, bad},
		{"bare line feeds", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", false, bad},
		{"a folded field", "GET", ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"a space in a name", "GET", ok + "Content Length: 0\r\n\r\n", false, bad},
		{"a space ahead of the colon", "GET", ok + "Content-Length : 0\r\n\r\n", false, bad},
		{"a control character in a value", "GET", ok + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", false, bad},
		{"half a head", "GET", ok + "Content-Le", true, bad},
		// Where the content ends (section 6.3).
		{"two lengths", "GET", ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", false, bad},
		{"a list of lengths", "GET", ok + "Content-Length: 2, 3\r\n\r\nhi!", false, bad},
		{"a length below zero", "GET", ok + "Content-Length: -2\r\n\r\nhi", false, bad},
		{"a length with a sign", "GET", ok + "Content-Length: +2\r\n\r\nhi", false, bad},
		{"a length of 20 digits", "GET", ok + "Content-Length: 99999999999999999999\r\n\r\nhi", false, bad},
		{"length and chunks", "GET", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, bad},
		{"chunks and length", "GET", ok + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", false, bad},
		{"chunks twice", "GET", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, bad},
		{"an unknown coding", "GET", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false, bad},
		{"chunks in HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, bad},
		{"204 in chunks", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, bad},
		{"204 of some length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", false, bad},
		// More content than there may be.
		{"204 with content", "GET", "HTTP/1.1 204 No Content\r\n\r\nhi", false, "204 "},
		{"304 with content", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nhi", false, "304 "},
		{"content for HEAD", "HEAD", ok + "Content-Length: 2\r\n\r\nhi", false, "200 "},
		{"chunks for HEAD", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, "200 "},
		{"more than the length", "GET", ok + "Content-Length: 2\r\n\r\nhi there", false, "200 hi"},
		{"more than the last chunk", "GET", chunked + "2\r\nhi\r\n0\r\n\r\nthere", false, "200 hi"},
		{"an answer to nothing", "GET", ok + "Content-Length: 2\r\n\r\nhi" + ok + "Content-Length: 3\r\n\r\nyou", false, "200 hi"},
		// Less than was promised.
		{"less than the length", "GET", ok + "Content-Length: 9\r\n\r\nhi", true, "cut"},
		{"less than a chunk", "GET", chunked + "9\r\nhi", true, "cut"},
		{"no last chunk", "GET", chunked + "2\r\nhi\r\n", true, "cut"},
		{"no end of the trailer", "GET", chunked + "2\r\nhi\r\n0\r\n", true, "cut"},
		// Chunks (section 7.1). What is wrong has come with the head here, and so no answer has begun.
		{"a chunk longer than its size", "GET", chunked + "1\r\nhello\r\n0\r\n\r\n", false, bad},
		{"no size", "GET", chunked + "\r\nhi\r\n0\r\n\r\n", false, bad},
		{"a size that is none", "GET", chunked + "2\r\nhi\r\nxyz\r\n", false, bad},
		{"a size below zero", "GET", chunked + "-2\r\nhi\r\n0\r\n\r\n", false, bad},
		{"a size of 17 digits", "GET", chunked + "10000000000000002\r\nhi\r\n0\r\n\r\n", false, bad},
		{"a size beyond all numbers", "GET", chunked + "ffffffffffffffff\r\nhi", false, bad},
		{"extensions without end", "GET", chunked + "2;" + strings.Repeat("a", 40<<10), false, either},
		{"bare line feeds in chunks", "GET", chunked + "2\nhi\n0\n\n", false, bad},
		{"a trailer that is none", "GET", chunked + "2\r\nhi\r\n0\r\nHTTP/1.1 500 Oh no\r\n\r\n", false, bad},
		{"a trailer without end", "GET", chunked + "2\r\nhi\r\n0\r\n" + strings.Repeat("X: a\r\n", 20<<10), false, either},
		// The same behind a chunk that went on before.
		{"later: a chunk longer than its size", "GET", chunked + "2\r\nhi\r\n" + later + "1\r\nhello\r\n0\r\n\r\n", false, "cut"},
		{"later: no size", "GET", chunked + "2\r\nhi\r\n" + later + "\r\nhi\r\n0\r\n\r\n", false, "cut"},
		{"later: a trailer that is none", "GET", chunked + "2\r\nhi\r\n" + later + "0\r\nHTTP/1.1 500 Oh no\r\n\r\n", false, "cut"},
		{"later: a trailer without end", "GET", chunked + "2\r\nhi\r\n" + later + "0\r\n" + strings.Repeat("X: a\r\n", 20<<10), false, "cut"},
		// Interim answers (section 15.2 of RFC 9110).
		{"interim answers without end", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 4<<10), false, bad},
		{"an interim answer and the end", "GET", "HTTP/1.1 100 Continue\r\n\r\n", true, bad},
		{"an interim answer with content", "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nhi", false, bad},
		{"a switch of protocols nobody asked for", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, bad},
	}
}

// A backend that lies gets no second question on the same connection, and the
// client hears of it: by a 502, or by a connection that breaks where the answer
// had begun already. The next request is none the worse for it.
func TestLyingBackends(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	var now atomic.Pointer[lie]
	var again atomic.Int32           // requests on connections that have lied
	heard := make(chan struct{}, 99) // the client has content
	w.listen("liar", func(c net.Conn) {
		in := bufio.NewReader(c)
		for lied := false; ; {
			q, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			l := now.Load()
			if lied {
				again.Add(1)
			}
			if q.URL.Path == "/truth" {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\ntruth")
				return
			}
			lied = true
			first, rest, _ := strings.Cut(l.answer, later)
			_, err = io.WriteString(c, first)
			if rest != "" && err == nil {
				select {
				case <-heard:
				case <-time.After(10 * time.Second):
				}
				_, err = io.WriteString(c, rest)
			}
			if err != nil || l.ends {
				return
			}
		}
	})
	w.Apply(Route("all", `{backendRefs: [{name: liar, port: 80}]}`))
	for _, l := range lies() {
		t.Run(l.name, func(t *testing.T) {
			now.Store(&l)
			again.Store(0)
			for len(heard) > 0 {
				<-heard
			}
			if got := told(t, w, l.method, "/lie", heard); got != l.want && !strings.Contains(l.want, got+" or ") && !strings.HasSuffix(l.want, " or "+got) {
				t.Errorf("the client is told %q, want %q", got, l.want)
			}
			if got := told(t, w, "GET", "/truth", heard); got != "200 truth" {
				t.Errorf("the next request is told %q", got)
			}
			if n := again.Load(); n != 0 {
				t.Errorf("%d request(s) on a connection that has lied", n)
			}
		})
	}
}

// told is what a client of HTTP/1.1 makes of the answer to a request: its status
// and content or code, or "cut" when it is broken off. It says when some content has come.
func told(t *testing.T, w *World, method, path string, heard chan<- struct{}) string {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	var body []byte
	if err == nil {
		in := bufio.NewReader(response.Body)
		_, _ = in.Peek(1)
		heard <- struct{}{}
		body, err = io.ReadAll(in)
	}
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return "nothing within ten seconds"
	case err != nil:
		return "cut"
	case response.StatusCode >= 500:
		return fmt.Sprint(response.StatusCode, " ", Answer{Header: response.Header, Body: string(body)}.Code())
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}
