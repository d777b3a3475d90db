package forward_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/clientip"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestGet(t *testing.T) {
	s := start(t, options{}, echo(t))
	c := s.dial()
	for range 3 {
		c.send("GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n")
		a := c.want(200, "GET /a?b=c ")
		if a.Header.Get("X-Host") != "Example.com:8080" || a.Header.Get("X-For") != "127.0.0.1" || a.Header.Get("X-Proto") != "http" {
			t.Fatalf("the backend saw %v", a.Header)
		}
	}
}

// TestRequestContent sends content in every form and cut, twice on a connection.
func TestRequestContent(t *testing.T) {
	s := start(t, options{}, echo(t))
	long := strings.Repeat("0123456789abcdef", 20<<10) // 320 KiB
	for name, body := range map[string]string{"none": "", "short": "hello", "gathered": long[:20<<10], "streamed": long} {
		var chunks strings.Builder
		for rest := body; rest != ""; {
			n := min(len(rest), 1000+len(rest)%5000)
			chunks.WriteString(strconv.FormatInt(int64(n), 16) + "\r\n" + rest[:n] + "\r\n")
			rest = rest[n:]
		}
		known := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
		chunked := "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\nX-Sum: 42\r\n\r\n"
		t.Run(name, func(t *testing.T) {
			c := s.dial()
			for range 2 {
				c.send(known)
				c.want(200, "POST / "+body)
				c.send(chunked)
				if a := c.want(200, "POST / "+body); a.Header.Get("X-Trailer") != "42" {
					t.Fatalf("the trailer got lost: %v", a.Header)
				}
				// Head and content apart, and the next request right behind.
				head, rest, _ := strings.Cut(known, "\r\n\r\n")
				c.send(head + "\r\n\r\n")
				time.Sleep(2 * time.Millisecond)
				c.send(rest + get)
				c.want(200, "POST / "+body)
				c.want(200, "GET / ")
				c.send(chunked + get)
				c.want(200, "POST / "+body)
				c.want(200, "GET / ")
			}
		})
	}
}

// TestAnswers sends raw answers and checks what the client gets, and whether
// both connections are used again.
func TestAnswers(t *testing.T) {
	type result struct {
		status int
		body   string
		broken bool // the answer is not whole
		conns  int  // backend connections that three requests take; 0 with an end after each
	}
	long := strings.Repeat("x", 100<<10)
	for name, tc := range map[string]struct {
		answer string
		want   result
	}{
		"length":           {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", result{200, "hi", false, 1}},
		"empty":            {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", result{200, "", false, 1}},
		"204":              {"HTTP/1.1 204 No Content\r\n\r\n", result{204, "", false, 1}},
		"304 with length":  {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", result{304, "", false, 1}},
		"chunked":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;e=f\r\ni\r\n0\r\n\r\n", result{200, "hi", false, 1}},
		"long":             {"HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n" + long, result{200, long, false, 1}},
		"long chunked":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n19000\r\n" + long + "\r\n0\r\n\r\n", result{200, long, false, 1}},
		"interim":          {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", result{200, "hi", false, 1}},
		"close":            {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", result{200, "hi", false, 3}},
		"HTTP/1.0":         {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", result{200, "hi", false, 3}},
		"too much":         {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there", result{200, "hi", false, 3}},
		"second answer":    {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", result{204, "", false, 3}},
		"big head":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 40<<10) + "\r\nContent-Length: 2\r\n\r\nhi", result{200, "hi", false, 1}},
		"head too big":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 70<<10) + "\r\nContent-Length: 2\r\n\r\nhi", result{502, "*", false, 3}},
		"no HTTP":          {"SSH-2.0-OpenSSH\r\n\r\n", result{502, "*", false, 3}},
		"two lengths":      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", result{502, "*", false, 3}},
		"length and chunk": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", result{502, "*", false, 3}},
		"101 unasked":      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", result{502, "*", false, 3}},
		"endless interim":  {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 30) + "HTTP/1.1 204 No Content\r\n\r\n", result{502, "*", false, 3}},
		"bad chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n", result{502, "*", false, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, n int) {
				conns.Store(int32(n))
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					io.WriteString(c, tc.answer)
				}
			})
			s := start(t, options{}, backend)
			c := s.dial()
			for range 3 {
				c.send(get)
				a, err := c.read("GET")
				if tc.want.broken {
					if err == nil || !strings.HasPrefix(tc.want.body, a.body) {
						t.Fatalf("got %q, %v; want a broken answer", a.body, err)
					}
					c = s.dial()
					continue
				}
				if err != nil || a.StatusCode != tc.want.status || a.body != tc.want.body && tc.want.body != "*" {
					t.Fatalf("got %d %q, %v; want %d %q", a.StatusCode, cut(a.body), err, tc.want.status, cut(tc.want.body))
				}
			}
			if got := int(conns.Load()); got != tc.want.conns {
				t.Errorf("%d backend connections, want %d", got, tc.want.conns)
			}
		})
	}
}

// TestAnswerEndings has backends that end the connection in the middle.
func TestAnswerEndings(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		reset  bool
		status int
		body   string
		broken bool
	}{
		"nothing":          {"", false, 502, "*", false},
		"nothing, reset":   {"", true, 502, "*", false},
		"half a head":      {"HTTP/1.1 200 OK\r\nX", false, 502, "*", false},
		"short":            {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", false, 200, "hi", true},
		"short chunk":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi", false, 200, "hi", true},
		"no last chunk":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", false, 200, "hi", true},
		"until close":      {"HTTP/1.1 200 OK\r\n\r\nhi", false, 200, "hi", false},
		"HTTP/1.0":         {"HTTP/1.0 200 OK\r\n\r\nhi", false, 200, "hi", false},
		"empty till close": {"HTTP/1.1 200 OK\r\n\r\n", false, 200, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
				if _, err := http.ReadRequest(r); err == nil {
					io.WriteString(c, tc.answer)
				}
				if tc.reset {
					c.SetLinger(0)
				}
			})
			c := start(t, options{}, backend).dial()
			c.send(get)
			a, err := c.read("GET")
			if (err != nil) != tc.broken || a.Response == nil && !tc.broken {
				t.Fatalf("got %v, want broken=%v", err, tc.broken)
			}
			if a.Response != nil && (a.StatusCode != tc.status || a.body != tc.body && tc.body != "*") {
				t.Fatalf("got %d %q, want %d %q", a.StatusCode, a.body, tc.status, tc.body)
			}
			if !tc.broken { // and the client's connection is still good
				c.send(get)
				c.want(tc.status, tc.body)
			}
		})
	}
}

// TestTrailers checks that an answer's trailer fields reach the client.
func TestTrailers(t *testing.T) {
	c := start(t, options{}, script(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")).dial()
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
		if a := c.want(200, "hi"); a.Trailer.Get("X-Sum") != "42" {
			t.Fatalf("trailer %v", a.Trailer)
		}
	}
}

// TestTrailersThatPass has a client send, as trailer fields, what a backend could take for
// the fields that say who asked.
func TestTrailersThatPass(t *testing.T) {
	c := start(t, options{}, serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		var came []string
		for name, values := range q.Trailer {
			if values != nil {
				came = append(came, name)
			}
		}
		io.WriteString(w, strings.Join(came, " "))
	}))).dial()
	const names = "X-Sum X_Forwarded_For x_forwarded-proto X_FORWARDED_HOST X-Forwarded-For Transfer_Encoding X.Forwarded.For"
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTrailer: " + strings.ReplaceAll(names, " ", ", ") + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n" +
		strings.ReplaceAll(names, " ", ": 1\r\n") + ": 1\r\n\r\n")
	c.want(200, "X-Sum")
}

func TestHead(t *testing.T) {
	c := start(t, options{}, script(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")).dial()
	for range 2 {
		c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
		if a, err := c.read("HEAD"); err != nil || a.ContentLength != 5 {
			t.Fatalf("got %v, %v", a.Response, err)
		}
	}
}

// TestStaleConnections has a backend close each connection after its first
// answer without saying so.
func TestStaleConnections(t *testing.T) {
	closed := make(chan struct{}, 1)
	backend := func(t *testing.T, reset bool) string {
		return raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, q.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			if reset {
				c.SetLinger(0)
			}
			c.Close()
			closed <- struct{}{}
		})
	}
	for name, request := range map[string]string{
		"GET":           get,
		"POST":          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nho",
		"POST streamed": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n",
	} {
		for _, reset := range []bool{false, true} {
			t.Run(name+" reset="+strconv.FormatBool(reset), func(t *testing.T) {
				c := start(t, options{}, backend(t, reset)).dial()
				for range 20 {
					c.send(request)
					c.want(200, "hi")
					<-closed
				}
			})
		}
	}
}

// TestRetriesOnce has a backend that takes the request on a used connection
// and then closes: a GET is asked again, a POST is not.
func TestRetriesOnce(t *testing.T) {
	var asked atomic.Int32
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		for i := range 2 {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			asked.Add(1)
			io.Copy(io.Discard, q.Body)
			if i == 1 {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		}
	})
	c := start(t, options{}, backend).dial()
	c.send(get)
	c.want(200, "hi")
	c.send(get)
	c.want(200, "hi")
	if got := asked.Load(); got != 3 {
		t.Fatalf("the backend was asked %d times, want 3", got)
	}
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nho")
	c.code(502, "backend_bad_response")
	if got := asked.Load(); got != 4 {
		t.Fatalf("the backend was asked %d times, want 4", got)
	}
}

// TestRetriesElsewhere has backends that take a request on a fresh connection and are
// gone: one that may be sent twice is sent to another endpoint, once.
func TestRetriesElsewhere(t *testing.T) {
	var asked atomic.Int32
	gone := func() string {
		return raw(t, func(_ *net.TCPConn, r *bufio.Reader, _ int) {
			if _, err := http.ReadRequest(r); err == nil {
				asked.Add(1)
			}
		})
	}
	c := start(t, options{}, gone(), echo(t)).dial()
	for range 20 {
		c.send(get)
		c.want(200, "*")
	}
	if asked.Load() == 0 {
		t.Error("the one that is gone was never asked")
	}
	for _, addrs := range [][]string{{gone()}, {gone(), gone(), gone(), gone()}} {
		asked.Store(0)
		c = start(t, options{}, addrs...).dial()
		c.send(get)
		c.code(502, "backend_bad_response")
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nho")
		c.code(502, "backend_bad_response")
		if got, want := int(asked.Load()), 1+min(2, len(addrs)); got != want {
			t.Errorf("%d endpoints: asked %d times, want %d", len(addrs), got, want)
		}
	}
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestNoBackend(t *testing.T) {
	c := start(t, options{}).dial()
	c.send(get)
	c.code(503, "no_healthy_backend")
	c = start(t, options{}, refused(t)).dial()
	c.send(get)
	c.code(502, "backend_connect_failed")
	s := start(t, options{traced: true}, refused(t), echo(t))
	c = s.dial()
	for range 20 {
		c.send(get)
		c.want(200, "*")
	}
	retries := 0
	for range 20 {
		retries += (<-s.traces).Retries
	}
	if retries > 1 {
		t.Errorf("the dead endpoint was tried %d times, want at most once", retries)
	}
}

func TestOverload(t *testing.T) {
	block := make(chan struct{})
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err == nil {
			<-block
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	s := start(t, options{upstream: upstream.Config{MaxConns: 1}}, backend)
	a, b := s.dial(), s.dial()
	a.send(get)
	time.Sleep(20 * time.Millisecond)
	b.send(get)
	b.code(503, "backend_overloaded")
	close(block)
	a.want(204, "")
}

func TestTimeouts(t *testing.T) {
	silent := raw(t, func(_ *net.TCPConn, r *bufio.Reader, _ int) {
		http.ReadRequest(r)
		io.Copy(io.Discard, r)
	})
	half := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
		io.Copy(io.Discard, r)
	})
	for name, tc := range map[string]struct {
		o       options
		backend string
		code    string // empty: a broken answer
	}{
		"request":           {options{timeouts: table.Timeouts{Request: 50 * time.Millisecond}}, silent, "request_timeout"},
		"backend":           {options{timeouts: table.Timeouts{Backend: 50 * time.Millisecond}}, silent, "backend_timeout"},
		"both, request":     {options{timeouts: table.Timeouts{Request: 50 * time.Millisecond, Backend: time.Hour}}, silent, "request_timeout"},
		"both, backend":     {options{timeouts: table.Timeouts{Request: time.Hour, Backend: 50 * time.Millisecond}}, silent, "backend_timeout"},
		"default":           {options{upstream: upstream.Config{ReadTimeout: 30 * time.Millisecond}}, silent, "backend_timeout"},
		"in the answer":     {options{timeouts: table.Timeouts{Request: 50 * time.Millisecond}}, half, ""},
		"default in answer": {options{upstream: upstream.Config{ReadTimeout: 30 * time.Millisecond}}, half, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, tc.o, tc.backend).dial()
			began := time.Now()
			c.send(get)
			if tc.code != "" {
				c.code(504, tc.code)
				c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
				c.code(504, tc.code)
			} else if a, err := c.read("GET"); err == nil {
				t.Fatalf("got %q, want a broken answer", a.body)
			}
			if took := time.Since(began); took < 40*time.Millisecond || took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	// A rule's timeout does not stick to the pooled connection.
	s := start(t, options{timeouts: table.Timeouts{Request: 100 * time.Millisecond}}, echo(t))
	c := s.dial()
	for range 3 {
		c.send(get)
		c.want(200, "GET / ")
		time.Sleep(80 * time.Millisecond)
	}
}

func TestForwardedFields(t *testing.T) {
	trusted, err := clientip.Parse([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	const more = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"
	for name, tc := range map[string]struct {
		trusted    *clientip.Trusted
		fields     string
		from, with string
	}{
		"none":      {nil, "", "127.0.0.1", "http"},
		"untrusted": {nil, more, "1.1.1.1, 2.2.2.2, 127.0.0.1", "http"},
		"trusted":   {trusted, more, "1.1.1.1, 2.2.2.2, 127.0.0.1", "https"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, options{forward: forward.Config{Trusted: tc.trusted}}, echo(t)).dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\n" + tc.fields + "\r\n")
			a := c.want(200, "*")
			if a.Header.Get("X-For") != tc.from || a.Header.Get("X-Proto") != tc.with {
				t.Errorf("the backend saw %v", a.Header)
			}
		})
	}
}

// TestUnasked has a backend that sends a 408 on a connection which has been idle
// for a while; that is the answer to nothing.
func TestUnasked(t *testing.T) {
	sent := make(chan struct{}, 1)
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		time.Sleep(20 * time.Millisecond)
		io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		sent <- struct{}{}
		io.Copy(io.Discard, r)
	})
	c := start(t, options{}, backend).dial()
	for range 3 {
		c.send(get)
		c.want(200, "hi")
		<-sent
	}
}

// TestContentTakenForARequest has a backend that does not read content, and answers
// what is in it: nobody gets that answer, however soon he asks.
func TestContentTakenForARequest(t *testing.T) {
	sent := make(chan struct{}, 1)
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		for {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			if q.Method == "POST" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
				sent <- struct{}{}
			}
		}
	})
	c := start(t, options{}, backend).dial()
	for range 20 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
		c.want(200, "hi")
		<-sent
		c.send(get)
		c.want(200, "hi")
	}
}
