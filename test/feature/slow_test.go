package feature

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Who sends too slowly is told so, and holds up nobody.
func TestSlowSenders(t *testing.T) {
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
		o.Clients.HTTP1.HeadTimeout, o.Clients.HTTP1.BodyTimeout = 200*time.Millisecond, 200*time.Millisecond
	})
	is := func(code, text string) {
		t.Helper()
		c, err := net.Dial("tcp", w.Addr(""))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, text)
		if a := w.Do("GET http://a/"); a.Status != 200 {
			t.Errorf("beside %q: %d", text, a.Status)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 408 || !strings.Contains(string(body), code) || !response.Close {
			t.Errorf("%q: %d %s close %v, want 408 %s and the end", text, response.StatusCode, body, response.Close, code)
		}
	}
	is("header_timeout", "GET / HTTP/1.1\r\nHost: a")
	is("header_timeout", "GET /")
	is("content_timeout", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
	is("content_timeout", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
}

// A guarded path is guarded however it is written, over each protocol.
func TestPathsCannotDodgeAPolicy(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", `{name: admin, matches: [{path: {value: /admin}}], backendRefs: [{name: api, port: 80}]}`, toAPI)+
		Auth("a", "HTTPRoute/r/admin", `rules: {authorization: {no: {cel: "false"}}}`))
	for _, c := range []*http.Client{w.Client(""), w.Client("", PriorKnowledge)} {
		for _, path := range []string{"/admin", "/admin/", "/admin?x", "/x/../admin", "/x/%2e%2e/admin", "/%61dmin", "/./admin/x", "/x/.%2E/admin"} {
			if a := w.Over(c, "GET http://a"+path, ""); a.Code() != "forbidden_by_rule" {
				t.Errorf("%s over %s: %d %s", path, a.Proto, a.Status, a.Seen().Path)
			}
		}
		for _, path := range []string{"/x/..%2fadmin", "/x%2f..%2fadmin", "/x/..;/admin", "/x/%5C../admin", "/a%00"} {
			if a := w.Over(c, "GET http://a"+path, ""); a.Code() != "bad_path" {
				t.Errorf("%s over %s: %d %s %s", path, a.Proto, a.Status, a.Code(), a.Seen().Path)
			}
		}
	}
}
