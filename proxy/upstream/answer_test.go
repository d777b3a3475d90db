package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// echo answers GET /?N with a field of N bytes and the request's content.
func echo(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		var field int
		fmt.Sscan(r.URL.RawQuery, &field)
		content, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Field: %s\r\nContent-Length: %d\r\n\r\n%s", strings.Repeat("f", field), len(content), content)
	}
}

// TestAnswers reads answers of all sizes, behind requests of all sizes, on connections
// whose last answer was short or not. What has been read of one stays until its end.
func TestAnswers(t *testing.T) {
	s := New(Config{})
	defer s.Close()
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(listen(t, echo).String())}})
	b, c, now := s.Backend("b", ""), NewCall(), time.Now()
	for range 2 {
		for _, content := range []int{0, 1, 2000, 3800, 3900, 4000, 4096, 9000, 29 << 10, 200 << 10} {
			for _, field := range []int{1, 2000, 3900, 4000, 9000, 40 << 10} {
				for _, fresh := range []bool{false, true} {
					body := bytes.Repeat([]byte("0123456789abcde\n"), content/16+1)[:content]
					x := &exchange.Exchange{Request: exchange.Request{
						Method: "GET", Authority: "a.example", Path: "/", RawQuery: fmt.Sprint(field),
						Body: &exchange.Buffered{Content: body}, ContentLength: int64(content),
					}}
					c.Begin(now, time.Time{})
					answer(t, c, x, b, fresh)
					got, _ := c.Head.Header.Get("x-field")
					if f := strings.Repeat("f", field); got != f || string(read(t, c)) != string(body) {
						t.Fatalf("%d bytes of content, %d of field: got a field of %d", content, field, len(got))
					}
					if got, _ := c.Head.Header.Get("x-field"); got != strings.Repeat("f", field) {
						t.Fatalf("%d bytes of content, %d of field: the field was written over", content, field)
					}
					c.Release()
				}
			}
		}
	}
}

// answer sends x and reads the head of the answer.
func answer(t *testing.T, c *Call, x *exchange.Exchange, b *Backend, fresh bool) {
	t.Helper()
	c.Stage(x, "")
	whole, err := c.Gather(x.Request.Body, x.Request.ContentLength)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(b.Pick(nil, time.Now()), fresh, false); err != nil {
		t.Fatal(err)
	}
	if whole {
		_, err = c.Ask(nil)
	} else {
		content, _ := x.Request.Body.Next()
		if _, err = c.Send(); err == nil {
			err = c.Write(content)
		}
		c.Sent()
	}
	if err == nil {
		err = c.ReadHead("GET", "", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the content of c's answer.
func read(t *testing.T, c *Call) (got []byte) {
	t.Helper()
	for !c.Done() {
		p, err := c.Next()
		if err == nil && len(p) == 0 {
			err = c.Fill()
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	return got
}

// TestLateCall has calls that are to be answered long after they began, because
// their content came slowly, or something else took its time before: the backend has
// its whole time still, over a connection that was used before and over a new one.
func TestLateCall(t *testing.T) {
	s := New(Config{Look: 10 * time.Millisecond, ReadTimeout: 5 * time.Second})
	defer s.Close()
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(listen(t, echo).String())}})
	b, c := s.Backend("b", ""), NewCall()
	defer c.Release()
	for name, content := range map[string]string{"content": "a", "no content": ""} {
		for _, fresh := range []bool{true, false} {
			x := &exchange.Exchange{Request: exchange.Request{
				Method: "GET", Authority: "a.example", Path: "/", RawQuery: "1",
				Body: &exchange.Buffered{Content: []byte(content)}, ContentLength: int64(len(content)),
			}}
			if content == "" {
				x.Request.Body = nil
			}
			c.Begin(time.Now().Add(-time.Minute), time.Time{})
			c.Stage(x, "")
			if content != "" {
				if _, err := c.Gather(x.Request.Body, x.Request.ContentLength); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Connect(b.Pick(nil, time.Now()), fresh, false); err != nil {
				t.Fatalf("%s, fresh %v: %v", name, fresh, err)
			}
			if _, err := c.Ask(nil); err != nil {
				t.Fatalf("%s, fresh %v: %v", name, fresh, err)
			}
			if err := c.ReadHead("GET", "", nil); err != nil {
				t.Fatalf("%s, fresh %v: %v", name, fresh, err)
			}
			read(t, c)
			c.Release()
		}
	}
}
