package exchange

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// record is a Writer that keeps what it was told.
type record struct{ text strings.Builder }

func (r *record) Head(x *Exchange) error {
	r.text.WriteString(StatusText(x.Response.Status))
	for _, f := range x.Response.Header {
		r.text.WriteString(" " + f.Name + "=" + f.Value)
	}
	return nil
}
func (r *record) Write(p []byte) (int, error) { r.text.WriteString(" body"); return len(p), nil }
func (r *record) Flush() error                { return nil }
func (r *record) End(x *Exchange) error {
	for _, f := range x.Response.Trailer {
		r.text.WriteString(f.Name + "=" + f.Value + " ")
	}
	return nil
}

func TestReplyToGRPC(t *testing.T) {
	reply := func(contentType string, status int, code string, fields ...string) string {
		w := &record{}
		x := &Exchange{Writer: w}
		x.Request.Header.Add("Content-Type", contentType)
		x.Reply(status, code, "no")
		x.Response.Header.Add("retry-after", "1")
		for i := 0; i < len(fields); i += 2 {
			x.Response.Header.Add(fields[i], fields[i+1])
		}
		if err := x.WriteReply(); err != nil || x.Response.Status != status {
			t.Errorf("status kept for the log: %d, %v", x.Response.Status, err)
		}
		return w.text.String()
	}
	for _, media := range []string{"application/grpc", "application/grpc+proto", "Application/GRPC;x=y"} {
		want := "OK Content-Type=application/grpc retry-after=1 grpc-status=14 grpc-message=busy"
		if got := reply(media, 503, "busy"); got != want {
			t.Errorf("%s: %s", media, got)
		}
	}
	const begins = "OK Content-Type=application/grpc retry-after=1 "
	if got := reply("application/grpc", 403, "no", "Grpc-Status", "0", "Grpc-Message", "fine"); got != begins+"Grpc-Status=7 Grpc-Message=no" {
		t.Errorf("a refusal that says that all is well: %s", got)
	}
	if got := reply("application/grpc", 403, "no", "Grpc-Status", "8", "Grpc-Message", "quota"); got != begins+"Grpc-Status=8 Grpc-Message=quota" {
		t.Errorf("a refusal that says why: %s", got)
	}
	for _, media := range []string{"application/json", "application/grpc-web", "application/grpcx", ""} {
		if got := reply(media, 503, "busy"); got != "Service Unavailable Content-Type=application/problem+json retry-after=1 body" {
			t.Errorf("%s: %s", media, got)
		}
	}
	for status, want := range map[int]string{400: "13", 401: "16", 403: "7", 404: "12", 413: "2", 429: "14", 500: "14", 502: "14", 504: "14"} {
		if got := grpcStatus(status); got != want {
			t.Errorf("grpcStatus(%d) = %s, want %s", status, got, want)
		}
	}
}

func TestEndGRPC(t *testing.T) {
	end := func(code, timeout string, change func(*Exchange)) string {
		w := &record{}
		x := &Exchange{Writer: w, Conn: &Conn{Protocol: "HTTP/2.0"}, Start: time.Now().Add(-time.Second)}
		x.Request.Header.Add("content-type", "application/grpc+proto")
		if timeout != "" {
			x.Request.Header.Add("grpc-timeout", timeout)
		}
		x.Response.Status, x.Response.ContentLength, x.Response.Code = 200, -1, code
		x.Response.Header.Add("content-type", "application/grpc")
		if change != nil {
			change(x)
		}
		x.EndGRPC()
		return w.text.String()
	}
	const cancelled, expired = "grpc-status=1 grpc-message=backend_cancelled ", "grpc-status=4 grpc-message=backend_cancelled "
	for timeout, want := range map[string]string{
		"": cancelled, "2S": cancelled, "1001m": cancelled, "99999999H": cancelled, "1M": cancelled,
		"1S": expired, "999m": expired, "999999u": expired, "99999999n": expired, "0S": expired,
		"S": cancelled, "1": cancelled, "1s": cancelled, "-1S": cancelled, "+1m": cancelled, "000000001S": cancelled, "0.1S": cancelled, "1 S": cancelled,
	} {
		if got := end("backend_cancelled", timeout, nil); got != want {
			t.Errorf("%q: got %q, want %q", timeout, got, want)
		}
	}
	if got := end("backend_aborted", "1S", nil); got != "grpc-status=14 grpc-message=backend_aborted " {
		t.Errorf("aborted: got %q", got)
	}
	for what, change := range map[string]func(*Exchange){
		"HTTP/1.1":            func(x *Exchange) { x.Conn.Protocol = "HTTP/1.1" },
		"a known length":      func(x *Exchange) { x.Response.ContentLength = 5 },
		"another answer":      func(x *Exchange) { x.Response.Header.Set("content-type", "text/html") },
		"another client":      func(x *Exchange) { x.Request.Header.Set("content-type", "text/html") },
		"a client that left":  func(x *Exchange) { x.Response.Code = "client_closed" },
		"gRPC-Web's contents": func(x *Exchange) { x.Request.Header.Set("content-type", "application/grpc-web") },
	} {
		if got := end("backend_aborted", "", change); got != "" {
			t.Errorf("%s: got %q", what, got)
		}
	}
}

func FuzzTimeout(f *testing.F) {
	for _, v := range []string{"1S", "99999999H", "0n", "15m", "1s", "-1S", "+1u", "123456789S", ""} {
		f.Add(v)
	}
	form := regexp.MustCompile(`^[0-9]{1,8}[HMSmun]$`)
	f.Fuzz(func(t *testing.T, v string) {
		x := &Exchange{Start: time.Now().Add(-20000 * time.Hour * 24 * 5)} // longer than most can say
		x.Request.Header.Add("grpc-timeout", v)
		if x.expired() && !form.MatchString(v) {
			t.Errorf("%q counts as a time", v)
		}
	})
}
