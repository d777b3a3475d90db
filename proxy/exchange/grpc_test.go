package exchange

import (
	"strings"
	"testing"
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
func (r *record) End(*Exchange) error         { return nil }

func TestReplyToGRPC(t *testing.T) {
	reply := func(contentType string, status int, code string) string {
		w := &record{}
		x := &Exchange{Writer: w}
		x.Request.Header.Add("Content-Type", contentType)
		x.Reply(status, code, "no")
		x.Response.Header.Add("retry-after", "1")
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
