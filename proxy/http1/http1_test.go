package http1_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/http1"
)

const get = "GET /a HTTP/1.1\r\nHost: H.example.:80\r\n\r\n"

// TestPipelining sends requests of all kinds in one piece, cut at every byte,
// and byte by byte.
func TestPipelining(t *testing.T) {
	requests := get +
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" +
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n" +
		"\r\n" + get +
		"POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" +
		"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n" +
		"GET /204 HTTP/1.1\r\nHost: h\r\n\r\n" +
		"GET /end?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	check := func(t *testing.T, s *stack, c *client) {
		t.Helper()
		at := s.scheme() + "://h"
		c.want(200, "GET "+at+".example/a? ")
		c.want(200, "POST "+at+"/b? hello")
		c.want(200, "POST "+at+"/c? hello")
		c.want(200, "GET "+at+".example/a? ")
		c.want(200, "POST "+at+"/ignore? ")
		if r := c.want(200, "GET "+at+"/stream? "); r.Trailer.Get("X-Sum") != "42" || r.ContentLength != -1 {
			t.Errorf("the stream came as %v", r)
		}
		c.want(204, "")
		if r := c.want(200, "GET "+at+"/end?q "); !r.Close || r.Header.Get("Date") == "" {
			t.Errorf("the last answer came as %v", r)
		}
		c.closed()
	}
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		c := s.dial()
		c.send(requests)
		check(t, s, c)
		for cut := 1; cut < len(requests); cut += 1 + cut%3 {
			c := s.dial()
			c.send(requests[:cut])
			time.Sleep(200 * time.Microsecond)
			c.send(requests[cut:])
			check(t, s, c)
		}
		c = s.dial()
		for i := range len(requests) {
			c.send(requests[i : i+1])
		}
		check(t, s, c)
	})
}

// TestRefused sends what is no request and expects an answer and the end.
func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	both(t, http1.Config{LingerTime: 100 * time.Millisecond}, func(t *testing.T, s *stack) {
		for name, tc := range map[string]struct {
			request string
			status  int
			code    string
		}{
			"no HTTP":     {"SSH-2.0\r\n\r\n", 400, "bad_method"},
			"bare LF":     {"GET / HTTP/1.1\nHost: h\n\n", 400, "bad_line_ending"},
			"no host":     {"GET / HTTP/1.1\r\n\r\n", 400, "host_missing"},
			"two lengths": {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "duplicate_content_length"},
			"smuggling":   {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "ambiguous_length"},
			"version":     {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "http_version_unsupported"},
			"long target": {"GET /" + long[:9000] + " HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target_too_long"},
			"long head":   {"GET / HTTP/1.1\r\nHost: h\r\nX: " + long + "\r\n\r\n", 431, "header_too_large"},
			"many fields": {"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", 431, "too_many_headers"},
			"bad chunk":   {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "bad_chunk_size"},
		} {
			t.Run(name, func(t *testing.T) {
				c := s.dial()
				c.t = t
				c.send(get + tc.request + get)
				c.want(200, "*")
				c.code(tc.status, tc.code)
				c.closed()
			})
		}
	})
}

func TestContinue(t *testing.T) {
	both(t, http1.Config{LingerTime: 50 * time.Millisecond}, func(t *testing.T, s *stack) {
		c := s.dial()
		for range 2 {
			c.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
			c.want(100, "")
			c.send("hello")
			c.want(200, "POST "+s.scheme()+"://h/b? hello")
		}
		// Who does not wait for it does not get it.
		c.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
		c.want(200, "POST "+s.scheme()+"://h/b? hello")
		// Nor does who is refused: the connection ends, as content may come or not.
		c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if r := c.want(200, "*"); !r.Close {
			t.Error("the connection was kept")
		}
		c.closed()
	})
}

// TestUnreadContent checks which connections survive an answer that leaves content unread.
func TestUnreadContent(t *testing.T) {
	both(t, http1.Config{MaxDrain: 1000, LingerTime: 50 * time.Millisecond}, func(t *testing.T, s *stack) {
		c := s.dial()
		c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
		if r := c.want(200, "*"); r.Close {
			t.Error("the connection was given up")
		}
		c.send(strings.Repeat("x", 1000) + get)
		c.want(200, "*")
		c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n")
		if r := c.want(200, "*"); !r.Close {
			t.Error("the connection was kept")
		}
		c.closed()
	})
}

func TestHTTP10(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		c := s.dial()
		c.send("GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
		if r := c.want(200, "*"); r.Header.Get("Connection") != "keep-alive" {
			t.Errorf("got %v", r.Header)
		}
		c.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if r := c.want(200, "GET "+s.scheme()+":///stream? "); !r.Close || len(r.TransferEncoding) > 0 {
			t.Errorf("got %v", r)
		}
		c.closed()
		c = s.dial()
		c.send("GET /a HTTP/1.0\r\n\r\n")
		c.want(200, "*")
		c.closed()
	})
}

// TestBehindClose: who says that it asks no more and sends something all the same has its answer.
func TestBehindClose(t *testing.T) {
	both(t, http1.Config{}, func(_ *testing.T, s *stack) {
		for _, more := range []string{"\r\n", get} {
			c := s.dial()
			c.send("GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			time.Sleep(10 * time.Millisecond) // most times the handler has it by then
			c.send(more)
			c.want(200, "*")
		}
	})
}

// TestBroken checks that the client can tell an answer that is not whole.
func TestBroken(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		for _, path := range []string{"/short", "/silent"} {
			c := s.dial()
			c.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
			if _, body, err := c.read(); err == nil {
				t.Errorf("%s: got %q, want an error", path, body)
			}
		}
		// Of one that ends with its connection nothing else tells.
		c := s.dial()
		c.send("GET /cut HTTP/1.0\r\nHost: h\r\n\r\n")
		if _, body, err := c.read(); err == nil {
			t.Errorf("/cut: got %q, want an error", body)
		}
	})
}

// TestFlawed: nobody hears of a request whose content is malformed as far as it has come.
func TestFlawed(t *testing.T) {
	both(t, http1.Config{LingerTime: 100 * time.Millisecond}, func(_ *testing.T, s *stack) {
		c := s.dial()
		c.send("POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab")
		c.code(400, "bad_chunk")
	})
}

// TestHalfClosed has clients that send their requests and their end at once.
func TestHalfClosed(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		for _, requests := range []string{get, get + get + get, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", ""} {
			c := s.dial()
			c.send(requests)
			switch h := c.Conn.(type) {
			case *net.TCPConn:
				h.CloseWrite()
			case *tls.Conn:
				if err := h.Handshake(); err != nil {
					t.Fatal(err)
				}
				h.CloseWrite()
			}
			for range strings.Count(requests, "HTTP/1.1") {
				c.want(200, "*")
			}
			began := time.Now()
			c.closed()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the end took %v", took)
			}
		}
	})
}

// TestQuiet: a connection is handed back when nothing comes, before and after a
// request, and not in the middle of one.
func TestQuiet(t *testing.T) {
	const quiet = 20 * time.Millisecond
	both(t, http1.Config{Quiet: quiet}, func(t *testing.T, s *stack) {
		c := s.dial()
		for range 3 {
			c.send(get)
			c.want(200, "*")
			before := s.quiet.Load()
			for end := time.Now().Add(10 * time.Second); s.quiet.Load() < before+2; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("it is not handed back")
				}
			}
		}
		c.send(get[:len(get)/2])
		time.Sleep(5 * quiet)
		c.send(get[len(get)/2:])
		c.want(200, "*")
		s.server.Drain()
		c.closed()
	})
}

func TestTimeouts(t *testing.T) {
	cfg := http1.Config{
		HeadTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond,
		WriteTimeout: 50 * time.Millisecond, LingerTime: 50 * time.Millisecond,
	}
	both(t, cfg, func(t *testing.T, s *stack) {
		for name, tc := range map[string]struct {
			send string
			code string
		}{
			"idle":        {"", ""},
			"idle, asked": {get, ""},
			"head":        {"GET / HT", "header_timeout"},
			"second head": {get + "GET / HT", "header_timeout"},
			"content":     {"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell", "content_timeout"},
		} {
			t.Run(name, func(t *testing.T) {
				c := s.dial()
				began := time.Now()
				c.send(tc.send)
				for range strings.Count(tc.send, get) {
					c.want(200, "*")
				}
				if tc.code != "" {
					c.code(408, tc.code)
				}
				c.closed()
				if took := time.Since(began); took < 40*time.Millisecond || took > 5*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
		t.Run("drip", func(t *testing.T) { // bytes do not prolong a head's time
			c := s.dial()
			go func() {
				for range 100 {
					if _, err := io.WriteString(c, "G"); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			if _, _, err := c.read(); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("client does not read", func(t *testing.T) {
			c, before := s.dial(), s.broken.Load()
			c.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
			for end := time.Now().Add(10 * time.Second); s.broken.Load() == before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the answer is still being written")
				}
			}
			if n, err := io.Copy(io.Discard, c.r); n >= 8<<20 {
				t.Errorf("got all of it, %v", err)
			}
		})
		t.Run("handler is slow", func(t *testing.T) { // the idle time begins after the answer
			c := s.dial()
			for range 4 {
				c.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
				c.want(200, "*")
			}
		})
	})
}

func TestMaxRequests(t *testing.T) {
	both(t, http1.Config{MaxRequests: 2, LingerTime: 50 * time.Millisecond}, func(_ *testing.T, s *stack) {
		c := s.dial()
		c.send(get + get + get)
		c.want(200, "*")
		c.want(200, "*")
		c.closed()
	})
}

func TestMaxBody(t *testing.T) {
	both(t, http1.Config{MaxBody: 4, LingerTime: 50 * time.Millisecond}, func(_ *testing.T, s *stack) {
		for _, request := range []string{
			"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
			"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		} {
			c := s.dial()
			c.send(request)
			c.code(413, "content_too_large")
			c.closed()
		}
	})
}

// TestRefusedContent: a client that sends all of what was refused before it looks for
// the answer gets it.
func TestRefusedContent(t *testing.T) {
	both(t, http1.Config{MaxBody: 10}, func(t *testing.T, s *stack) {
		const size = 3 << 20
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size))
		c.code(413, "content_too_large")
		c.closed()
	})
}

// TestDrain checks that waiting connections end, and that requests under way
// are answered first.
func TestDrain(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		idle, begun, slow, sending, tunnel := s.dial(), s.dial(), s.dial(), s.dial(), s.dial()
		tunnel.send("GET /tunnel HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		tunnel.want(101, "")
		idle.send(get)
		idle.want(200, "*")
		begun.send(get + get[:20])
		begun.want(200, "*")
		sending.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
		slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		s.server.Drain()
		idle.closed()
		slow.want(200, "*")
		slow.closed()
		time.Sleep(10 * time.Millisecond)
		begun.send(get[20:])
		begun.want(200, "*")
		begun.closed()
		sending.send("llo")
		if r := sending.want(200, "POST "+s.scheme()+"://h/b? hello"); !r.Close {
			t.Error("the connection was kept")
		}
		sending.closed()
		late := s.dial()
		if b, _ := io.ReadAll(late.r); len(b) > 0 {
			t.Errorf("a late client got %q", b)
		}
		tunnel.send("ping")
		b := make([]byte, 4)
		if _, err := io.ReadFull(tunnel.r, b); err != nil || string(b) != "ping" {
			t.Errorf("the tunnel says %q, %v", b, err)
		}
	})
}

func TestTunnel(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		c := s.dial()
		c.send(get + "GET /tunnel HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nahead")
		c.want(200, "*")
		if r := c.want(101, ""); r.Header.Get("Upgrade") != "echo" {
			t.Errorf("got %v", r.Header)
		}
		for _, text := range []string{"ahead", "ping"} {
			if text == "ping" {
				c.send(text)
			}
			b := make([]byte, len(text))
			if _, err := io.ReadFull(c.r, b); err != nil || string(b) != text {
				t.Fatalf("got %q, %v", b, err)
			}
		}
	})
}

// TestClose checks that Close does not wait for requests under way.
func TestClose(t *testing.T) {
	both(t, http1.Config{}, func(t *testing.T, s *stack) {
		idle, slow := s.dial(), s.dial()
		idle.send(get)
		idle.want(200, "*")
		slow.send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		late := time.AfterFunc(10*time.Second, func() { close(s.held) })
		s.server.Close()
		if late.Stop() {
			close(s.held)
		} else {
			t.Error("it waited for the request")
		}
		io.ReadAll(idle.r)
		io.ReadAll(slow.r)
	})
}

// TestSmallChunks has content come in chunks of one byte: what has come together goes on
// together, and what is behind it stays as it is.
func TestSmallChunks(t *testing.T) {
	both(t, http1.Config{MaxBody: 500}, func(t *testing.T, s *stack) {
		c := s.dial()
		content := strings.Repeat("0123456789", 50)
		var chunks strings.Builder
		for i := range content {
			chunks.WriteString("1;a=b\r\n" + content[i:i+1] + "\r\n")
		}
		c.send("POST /pieces HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\nX-Sum: 42\r\n\r\n" + get)
		var pieces int
		_, got, _ := c.read()
		if _, err := fmt.Sscanf(got, "POST "+s.scheme()+"://h/pieces? "+content+" in %d, 42", &pieces); err != nil || pieces > 10 {
			t.Errorf("%q, %v", got, err)
		}
		c.want(200, "*")
		c.send("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "1\r\nx\r\n0\r\n\r\n")
		c.code(413, "content_too_large")
		c = s.dial()
		c.send("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "x\r\n")
		c.want(400, "*")
	})
}
