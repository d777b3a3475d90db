package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// agreeOnRequest checks that net/http, if it takes the head in b, which is read as h
// here, finds the same in it. net/http is the more lenient in most, so that this is
// about readings; it refuses some targets and hosts, which is no harm.
func agreeOnRequest(t *testing.T, b []byte, h *RequestHead) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return
	}
	if r.Method != h.Method || r.RequestURI != h.Target || r.ProtoMinor != h.Minor || !strings.EqualFold(strings.TrimSuffix(r.Host, ":"), h.Authority) {
		t.Fatalf("%q is read by net/http as %s %s HTTP/1.%d for %s, here as %+v", b, r.Method, r.RequestURI, r.ProtoMinor, r.Host, h)
	}
	agreeOnLength(t, b, r.ContentLength, r.TransferEncoding, h.ContentLength, h.Chunked)
	agreeOnFields(t, b, r.Header, h.Header)
}

// agreeOnResponse is agreeOnRequest of a response to a request with method.
func agreeOnResponse(t *testing.T, b []byte, method string, h *ResponseHead) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
	if err != nil {
		return
	}
	if r.StatusCode != h.Status || r.ProtoMinor != h.Minor {
		t.Fatalf("%q is read by net/http as %d HTTP/1.%d, here as %+v", b, r.StatusCode, r.ProtoMinor, h)
	}
	if !h.NoBody {
		agreeOnLength(t, b, r.ContentLength, r.TransferEncoding, h.ContentLength, h.Chunked)
	}
	agreeOnFields(t, b, r.Header, h.Header)
}

func agreeOnLength(t *testing.T, b []byte, theirs int64, coding []string, ours int64, chunked bool) {
	t.Helper()
	if theirs != ours || slices.Equal(coding, []string{"chunked"}) != chunked {
		t.Fatalf("%q has %d bytes of content coded as %q to net/http; here %d, chunked: %v", b, theirs, coding, ours, chunked)
	}
}

// agreeOnFields compares the fields that are sent on. net/http keeps Trailer elsewhere.
func agreeOnFields(t *testing.T, b []byte, theirs http.Header, ours exchange.Header) {
	t.Helper()
	values := map[string][]string{}
	for _, f := range ours {
		name := http.CanonicalHeaderKey(f.Name)
		values[name] = append(values[name], f.Value)
	}
	for name, v := range values {
		if name != "" && name != "Trailer" && !slices.Equal(v, theirs[name]) {
			t.Fatalf("%q has %s %q to net/http, and here %q", b, name, theirs[name], v)
		}
	}
}

// agreeOnContent checks that net/http finds the same content in chunks, as far as it
// comes: it takes no space before an extension.
func agreeOnContent(t *testing.T, chunks []byte, content string) {
	t.Helper()
	theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(chunks)))
	if !strings.HasPrefix(content, string(theirs)) || err == nil && len(theirs) != len(content) {
		t.Fatalf("%q is %q, %v to net/http, and here %q", chunks, theirs, err, content)
	}
}
