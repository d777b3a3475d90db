package feature

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) { o.Clients.HTTP1.MaxBody = 1000 })
	is := func(size, status int) {
		t.Helper()
		for _, fields := range [][]string{nil, {"Expect: 100-continue"}} {
			if got := w.Send("POST http://a/", strings.Repeat("x", size), fields...); got.Status != status || len(got.Seen().Body) != size && status == 200 {
				t.Errorf("%d bytes %v: %d %s", size, fields, got.Status, got.Code())
			}
		}
	}
	is(1, 200)
	is(1000, 200)
	is(1001, 413)
	is(5000, 413)
	before := w.Backend("shop/api").Asked()
	if got := w.Raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"); len(got) != 1 || got[0] != 413 {
		t.Errorf("announced: %v", got)
	}
	if now := w.Backend("shop/api").Asked(); now != before {
		t.Error("content announced as too large reached the backend")
	}
	chunk := "100\r\n" + strings.Repeat("x", 256) + "\r\n"
	if got := w.Raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 4) + "0\r\n\r\n"); len(got) != 1 || got[0] != 413 {
		t.Errorf("chunked: %v", got)
	}
	if got := w.Raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 3) + "0\r\n\r\n"); len(got) != 1 || got[0] != 200 {
		t.Errorf("chunked, small enough: %v", got)
	}
}

// A client that waits for 100 gets it once the content is wanted, and else the answer alone.
func TestContinue(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	exchange := func(path string) (lines []string) {
		c, err := net.Dial("tcp", w.Addr(""))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", path)
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return lines
			}
			if strings.HasPrefix(line, "HTTP/1.1 ") {
				lines = append(lines, strings.Fields(line)[1])
			}
			if strings.HasPrefix(line, "HTTP/1.1 100") {
				_, _ = io.WriteString(c, "hello")
			}
			if strings.Contains(line, `"body":"hello"`) {
				lines = append(lines, "echoed")
			}
		}
	}
	if got := fmt.Sprint(exchange("/")); got != "[100 200 echoed]" {
		t.Error(got)
	}
	w.Apply(Route("r", `{matches: [{path: {value: /x}}], backendRefs: [{name: api, port: 80}]}`))
	if got := fmt.Sprint(exchange("/")); got != "[404]" {
		t.Error(got)
	}
	if got := w.Raw("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n"); len(got) != 1 || got[0] != 417 {
		t.Errorf("another expectation: %v", got)
	}
}

func TestAnswersWithoutContent(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			rw.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(rw, "hello")
		case "/chunked":
			_, _ = io.WriteString(rw, "hel")
			_ = http.NewResponseController(rw).Flush()
			_, _ = io.WriteString(rw, "lo")
		case "/empty":
			rw.Header().Set("Content-Length", "0")
		default:
			rw.Header().Set("Etag", `"1"`)
			rw.WriteHeader(atoi(r.URL.Path[1:]))
		}
	})
	c := w.Client("") // one connection: what is left over of an answer would spoil the next
	is := func(line string, status int, body, length string) {
		t.Helper()
		for _, client := range []*http.Client{c, w.Client("", PriorKnowledge)} {
			a := w.Over(client, line, "")
			if a.Status != status || a.Body != body || a.Header.Get("Content-Length") != length {
				t.Errorf("%s over %s: %d %q length %q, want %d %q %q", line, a.Proto, a.Status, a.Body, a.Header.Get("Content-Length"), status, body, length)
			}
		}
	}
	for range 2 {
		is("GET http://a/length", 200, "hello", "5")
		is("HEAD http://a/length", 200, "", "5")
		is("GET http://a/chunked", 200, "hello", "")
		is("HEAD http://a/chunked", 200, "", "")
		is("GET http://a/empty", 200, "", "0")
		is("GET http://a/204", 204, "", "")
		is("DELETE http://a/204", 204, "", "")
		is("GET http://a/304", 304, "", "")
		is("HEAD http://a/304", 304, "", "")
	}
	// The same for answers of the gateway's own.
	w.Apply(Route("r", `{matches: [{path: {value: /x}}], backendRefs: [{name: api, port: 80}]}`))
	if a := w.Do("HEAD http://a/"); a.Status != 404 || a.Body != "" || atoi(a.Header.Get("Content-Length")) < 50 {
		t.Errorf("%+v", a)
	}
}

// Trailers pass both ways, over each protocol.
func TestTrailers(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		_, _ = rw.Write(body)
		rw.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Check"))
	})
	for _, c := range []*http.Client{w.Client(""), w.Client("", PriorKnowledge)} {
		r, err := http.NewRequest("POST", "http://a/", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
		if err != nil {
			t.Fatal(err)
		}
		r.Trailer = http.Header{"X-Check": {"sent"}}
		r.Header.Set("TE", "trailers")
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != "hello" || response.Trailer.Get("X-Sum") != "got sent" {
			t.Errorf("%s: %v %q trailer %v", response.Proto, err, body, response.Trailer)
		}
	}
}

// 8 MiB each way, with a length and without, over each protocol, come through whole.
func TestLargeContent(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		rw.Header().Set("X-Got", fmt.Sprintf("%d %v %x", n, err, hash.Sum(nil)))
		rw.Header().Set("X-Framing", fmt.Sprint(r.ContentLength, r.TransferEncoding))
		data := large(int(n))
		if r.URL.Path == "/length" {
			rw.Header().Set("Content-Length", fmt.Sprint(len(data)))
		}
		_, _ = rw.Write(data)
	})
	data := large(8 << 20)
	want := fmt.Sprintf("%d <nil> %x", len(data), sha256.Sum256(data))
	send := func(c *http.Client, path string, body io.Reader) {
		t.Helper()
		response, err := c.Post("http://a"+path, "application/octet-stream", body)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		hash := sha256.New()
		n, err := io.Copy(hash, response.Body)
		back := fmt.Sprintf("%d %v %x", n, err, hash.Sum(nil))
		if response.Header.Get("X-Got") != want || back != want {
			t.Errorf("%s %s: %d, there %q, back %q, want %q", response.Proto, path, response.StatusCode, response.Header.Get("X-Got"), back, want)
		}
	}
	var running sync.WaitGroup
	for _, c := range []*http.Client{w.Client(""), w.Client("", PriorKnowledge)} {
		for _, path := range []string{"/length", "/chunked"} {
			running.Go(func() { send(c, path, bytes.NewReader(data)) })
			running.Go(func() { send(c, path, io.MultiReader(bytes.NewReader(data[:1<<20]), bytes.NewReader(data[1<<20:]))) })
		}
	}
	running.Wait()
}

// large is n bytes that repeat nowhere nearby.
func large(n int) []byte {
	out := make([]byte, n)
	x := uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

// Many clients on kept connections each get their own answers.
func TestManyClients(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("two")+Route("r", toAPI, `{matches: [{path: {value: /two}}], backendRefs: [{name: two, port: 80}]}`))
	var running sync.WaitGroup
	for n := range 32 {
		c := w.Client("")
		if n%4 == 3 {
			c = w.Client("", PriorKnowledge)
		}
		running.Go(func() {
			for i := range 60 {
				service, body := "shop/api", ""
				line := fmt.Sprintf("GET http://a/%d/%d", n, i)
				if i%3 == 1 {
					service, line = "shop/two", fmt.Sprintf("GET http://a/two/%d/%d", n, i)
				}
				if i%3 == 2 {
					line, body = fmt.Sprintf("POST http://a/%d/%d", n, i), strings.Repeat(fmt.Sprint(n, i), 1+100*i)
				}
				a, err := Fetch(c, line, body, fmt.Sprintf("X-N: %d", n))
				s := a.Seen()
				if err != nil || s.Service != service || !strings.HasSuffix(line, s.Path) || s.Body != body || len(s.Header["X-N"]) != 1 || s.Header["X-N"][0] != itoa(n) {
					t.Errorf("%s: %v %d %+v", line, err, a.Status, s.Path)
					return
				}
			}
		})
	}
	running.Wait()
}
