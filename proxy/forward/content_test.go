package forward_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
)

// TestEarlyAnswer has a backend that answers before the content is complete.
func TestEarlyAnswer(t *testing.T) {
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			c.CloseWrite()
			io.Copy(io.Discard, io.LimitReader(r, 1<<10))
		}
	})
	s := start(t, options{http1: http1.Config{LingerTime: 100 * time.Millisecond}}, backend)
	t.Run("client waits", func(t *testing.T) {
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nsome")
		if a := c.want(413, "big"); !a.Close {
			t.Error("the connection was kept")
		}
		c.closed()
	})
	t.Run("client sends on", func(t *testing.T) {
		c := s.dial()
		go io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", 200<<10))
		c.want(413, "big")
	})
}

// TestFullDuplex has a client that sends each piece only after the answer to
// the one before.
func TestFullDuplex(t *testing.T) {
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 100)
		for {
			n, err := q.Body.Read(b)
			if n > 0 {
				io.WriteString(c, strconv.FormatInt(int64(n), 16)+"\r\n"+string(b[:n])+"\r\n")
			}
			if err != nil {
				break
			}
		}
		io.WriteString(c, "0\r\n\r\n")
	})
	c := start(t, options{}, backend).dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"one", "two", "three"} {
		c.send(strconv.Itoa(len(piece)) + "\r\n" + piece + "\r\n")
		b := make([]byte, len(piece))
		if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != piece {
			t.Fatalf("got %q, %v; want %q", b, err, piece)
		}
	}
	c.send("0\r\n\r\n")
	if b, err := io.ReadAll(r.Body); err != nil || len(b) > 0 {
		t.Fatalf("got %q, %v", b, err)
	}
}

// TestClientContentFails has clients that break their content off: nothing
// that looks complete may reach the backend.
func TestClientContentFails(t *testing.T) {
	var complete atomic.Int32
	backend := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if _, err := io.ReadAll(q.Body); err == nil {
			complete.Add(1)
		}
	}))
	s := start(t, options{http1: http1.Config{MaxBody: 100 << 10, BodyTimeout: 30 * time.Millisecond, LingerTime: 50 * time.Millisecond}}, backend)
	chunked := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	known := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n"
	for name, tc := range map[string]struct {
		request string
		end     bool
		status  int
		code    string
	}{
		"bad chunk":         {chunked + "2\r\nhi\r\nzz\r\n", false, 400, "bad_chunk_size"},
		"ends in chunk":     {chunked + "2\r\nh", true, 400, "content_incomplete"},
		"ends before last":  {chunked + "2\r\nhi\r\n", true, 400, "content_incomplete"},
		"ends in content":   {known + "hi", true, 400, "content_incomplete"},
		"stalls":            {known + "hi", false, 408, "content_timeout"},
		"gathered, ends":    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhi", true, 400, "content_incomplete"},
		"gathered, stalls":  {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhi", false, 408, "content_timeout"},
		"declared too long": {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 102401\r\n\r\n", false, 413, "content_too_large"},
		"turns out so":      {chunked + "19001\r\n" + strings.Repeat("x", 102401), false, 413, "content_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial()
			c.send(tc.request)
			if tc.end {
				c.Conn.(*net.TCPConn).CloseWrite()
			}
			if a := c.code(tc.status, tc.code); !a.Close {
				t.Error("the connection was kept")
			}
			c.closed()
		})
	}
	time.Sleep(20 * time.Millisecond)
	if n := complete.Load(); n > 0 {
		t.Errorf("%d requests seemed complete to the backend", n)
	}
}

// serveBy serves h over HTTP/2 or HTTP/1.1.
func serveBy(t testing.TB, http2 bool, h http.HandlerFunc) string {
	t.Helper()
	if http2 {
		return serveH2C(t, h)
	}
	return serve(t, h)
}

// TestHeldContent has content that is held in memory go to a backend that answers with
// as much while it comes: neither waits for the other.
func TestHeldContent(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		addr := serveBy(t, http2, echo)
		o := options{grpc: http2}
		o.body = func(b exchange.Body) exchange.Body {
			var all []byte
			for {
				p, err := b.Next()
				if all = append(all, p...); err != nil {
					return &exchange.Buffered{Content: all}
				}
			}
		}
		content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		c := start(t, o, addr).dial()
		at := time.Now()
		go func() {
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "+strconv.Itoa(len(content))+"\r\n\r\n")
			_, _ = c.Write(content)
		}()
		a, err := c.read("POST")
		if err != nil || a.StatusCode != 200 || a.body != string(content) {
			t.Errorf("%s: after %v: %v, %d bytes", name, time.Since(at), err, len(a.body))
		}
	}
}

// TestSlowUpload has clients whose content takes longer than a backend may be silent, which
// answers when it has all: its time begins then.
func TestSlowUpload(t *testing.T) {
	const silent, pieces = 500 * time.Millisecond, 12
	all := func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	}
	for _, grpc := range []bool{false, true} {
		addr := serveBy(t, grpc, all)
		o := options{grpc: grpc}
		o.upstream.ReadTimeout = silent
		s := start(t, o, addr)
		send := func(path string, size int, chunked bool) *client {
			c := s.dial()
			if chunked {
				c.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
			} else {
				c.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(pieces*size) + "\r\n\r\n")
			}
			for range pieces {
				time.Sleep(silent / 4) // so that a busy machine may be late; all takes longer than the twice that may pass
				piece := strings.Repeat("x", size)
				if chunked {
					piece = strconv.FormatInt(int64(size), 16) + "\r\n" + piece + "\r\n"
				}
				c.send(piece)
			}
			if chunked {
				c.send("0\r\n\r\n")
			}
			return c
		}
		send("/", 100, true).want(200, strconv.Itoa(pieces*100))
		send("/", 10_000, false).want(200, strconv.Itoa(pieces*10_000))
		send("/", 20_000, false).want(200, strconv.Itoa(pieces*20_000)) // by a pipe
		send("/silent", 100, true).code(504, "backend_timeout")
	}
}

// TestSlowContentAndTimeout has content that is gathered take longer than its rule gives the
// backend, which hears of the request only then.
func TestSlowContentAndTimeout(t *testing.T) {
	for _, grpc := range []bool{false, true} {
		addr := serveBy(t, grpc, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
		o := options{grpc: grpc}
		o.timeouts.Backend = 300 * time.Millisecond
		c := start(t, o, addr).dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
		time.Sleep(o.timeouts.Backend + 100*time.Millisecond)
		c.send("again")
		if a, err := c.read("POST"); err != nil || a.StatusCode != 200 || !strings.HasSuffix(a.body, "helloagain") {
			t.Errorf("got %v %q, %v", a.Response, a.body, err)
		}
	}
}

// TestContentOfHead has a backend send content behind its answers to HEAD: at once, and
// later, when the connection may have been used for another request. It costs the
// connection, and one request at most.
func TestContentOfHead(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
	for name, late := range map[string]bool{"at once": false, "late": true} {
		t.Run(name, func(t *testing.T) {
			var heads atomic.Int32
			backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
				behind := ""
				for {
					q, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.WriteString(c, behind)
					switch {
					case q.Method != "HEAD":
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
					case heads.Add(1) == 1 && !late:
						io.WriteString(c, head+"junk")
					default:
						io.WriteString(c, head)
						behind = "junk"
					}
				}
			})
			c := start(t, options{}, backend).dial()
			for i := range 5 {
				c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
				if a, err := c.read("HEAD"); err != nil || a.StatusCode != 200 || a.ContentLength != 4 {
					t.Fatalf("HEAD %d: got %v, %v", i, a.Response, err)
				}
				c.send(get)
				if late && i == 0 {
					c.code(502, "backend_bad_response")
				} else {
					c.want(200, "hi")
				}
			}
		})
	}
}

// TestContentWithoutUse has a backend that reads no content but a POST's, PUT's or
// PATCH's, as several do: that of another method would be its next request, which no
// route or policy has seen.
func TestContentWithoutUse(t *testing.T) {
	var connections atomic.Int32
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		connections.Add(1)
		for {
			q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head(r))))
			if err != nil {
				return
			}
			switch q.Method {
			case "POST", "PUT", "PATCH":
				io.CopyN(io.Discard, r, q.ContentLength)
			}
			answer := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(q.RequestURI)) + "\r\n\r\n"
			if q.Method != "HEAD" {
				answer += q.RequestURI
			}
			io.WriteString(c, answer)
			if q.URL.Path == "/admin" {
				t.Errorf("the content of a request is one of its own: %v", q.Header)
			}
			if q.Close {
				return
			}
		}
	})
	c := start(t, options{}, backend).dial()
	const content = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n"
	ask := func(method string) {
		c.send(method + " /" + method + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(len(content)) + "\r\n\r\n" + content)
		a, err := c.read(method)
		if err != nil || a.StatusCode != 200 || method != "HEAD" && a.body != "/"+method {
			t.Errorf("%s: %v, %v", method, a, err)
		}
	}
	for i, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "BREW"} {
		ask(method)
		if got := connections.Load(); got != int32(i+1) {
			t.Errorf("%s: %d connections, want %d", method, got, i+1)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "POST"} {
		ask(method)
	}
	if got := connections.Load(); got != 6 {
		t.Errorf("%d connections, want one for all that may have content", got)
	}
}

// TestTrailersWithoutUse has a backend that knows no trailer fields, and takes them for its
// next request, as several do.
func TestTrailersWithoutUse(t *testing.T) {
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		for {
			h := head(r)
			if h == "" {
				return
			}
			if !strings.HasPrefix(h, "POST / ") && !strings.HasPrefix(h, "DELETE / ") {
				t.Errorf("the trailer fields of a request are one of their own: %q", h)
			}
			for line := ""; line != "0\r\n"; {
				line, _ = r.ReadString('\n')
			}
			if b, _ := r.Peek(2); string(b) == "\r\n" {
				r.Discard(2)
			} else if !strings.Contains(h, "\r\nTrailer: x\r\n") {
				t.Errorf("trailer fields came behind %q", h)
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			if strings.Contains(h, "\r\nConnection: close\r\n") {
				return
			}
		}
	})
	c := start(t, options{}, backend).dial()
	for _, request := range []string{"POST / HTTP/1.1", "POST / HTTP/1.1\r\nTrailer: x", "POST / HTTP/1.1", "DELETE / HTTP/1.1"} {
		c.send(request + "\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: /admin HTTP/1.1\r\nY: 1\r\n\r\n")
		c.want(200, "hi")
	}
}

// head reads a request's head from r.
func head(r *bufio.Reader) (head string) {
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		head += line
	}
	return head
}
