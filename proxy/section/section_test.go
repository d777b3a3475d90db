package section_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/section"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

var limits = wire.Limits{Head: 1 << 10, Target: 512, Fields: 4}

// fill takes fields, NAME VALUE in turns, and tells the request they make, or what
// is wrong.
func fill(end bool, fields ...string) string {
	x := &exchange.Exchange{Conn: &exchange.Conn{TLS: true}}
	var s section.Section
	s.Begin()
	for i := 0; i < len(fields); i += 2 {
		s.Take(x, limits.Fields, fields[i], fields[i+1])
	}
	var head wire.RequestHead
	if err := s.Fill(x, &head, limits, end); err != nil {
		if section.Malformed(err) {
			return "malformed: " + err.Code
		}
		return err.Code
	}
	q := &x.Request
	out := []string{q.Method, q.Scheme, q.Authority, q.Host, q.Path, q.RawQuery}
	for _, f := range q.Header {
		out = append(out, f.Name+"="+f.Value)
	}
	return strings.Join(out, " ")
}

func TestFill(t *testing.T) {
	base := []string{":method", "GET", ":scheme", "https", ":authority", "A.example.:8443", ":path", "/p?q"}
	with := func(more ...string) []string { return append(append([]string{}, base...), more...) }
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"plain":              {base, "GET https A.example.:8443 a.example /p q"},
		"cookies":            {with("cookie", "a=1", "x", "1", "cookie", "b=2"), "GET https A.example.:8443 a.example /p q x=1 cookie=a=1; b=2"},
		"host":               {[]string{":method", "GET", ":scheme", "http", ":path", "/", "host", "b"}, "GET https b b / "},
		"IPv6":               {[]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "[::1]:80"}, "GET https [::1]:80 [::1] / "},
		"dot and port":       {[]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.b.:1"}, "GET https a.b.:1 a.b / "},
		"te":                 {with("te", "Trailers"), "GET https A.example.:8443 a.example /p q"},
		"no authority":       {[]string{":method", "GET", ":scheme", "http", ":path", "/"}, "malformed: bad_pseudo_header"},
		"no path":            {[]string{":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"}, "malformed: bad_pseudo_header"},
		"CONNECT":            {[]string{":method", "CONNECT", ":authority", "a:1"}, "connect_unsupported"},
		"CONNECT to a path":  {[]string{":method", "CONNECT", ":authority", "a:1", ":path", "/"}, "malformed: bad_pseudo_header"},
		"late pseudo":        {with("x", "1", ":path", "/"), "malformed: bad_pseudo_header"},
		"unknown pseudo":     {with(":protocol", "websocket"), "malformed: bad_pseudo_header"},
		"two hosts":          {with("host", "A.example.:8443", "host", "A.example.:8443"), "malformed: duplicate_host"},
		"another host":       {with("host", "b"), "malformed: host_mismatch"},
		"scheme":             {[]string{":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "a"}, "malformed: bad_scheme"},
		"name":               {with("X", "1"), "malformed: bad_header_name"},
		"value":              {with("x", "a\r\nb"), "malformed: bad_header_value"},
		"connection":         {with("upgrade", "h2c"), "malformed: bad_connection"},
		"te gzip":            {with("te", "gzip"), "malformed: bad_te"},
		"length, no content": {with("content-length", "1"), "malformed: bad_content_length"},
		"two lengths":        {with("content-length", "0", "content-length", "0"), "malformed: bad_content_length"},
		"signed length":      {with("content-length", "+1"), "malformed: bad_content_length"},
		"expectation":        {with("expect", "miracles"), "expectation_unsupported"},
		"many":               {with("a", "1", "b", "1", "c", "1", "d", "1", "e", "1", "f", "1"), "too_many_headers"},
	} {
		if got := fill(true, c.fields...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What decides on a request cannot come after its content.
func TestLate(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"x-sum", "1", "x-sum"},
		{"content-digest", "sha-256=::", "content-digest"},
		{"grpc-status", "0", "grpc-status"},
		{"authorization", "Bearer a", ""},
		{"cookie", "a=1", ""},
		{"host", "a", ""},
		{"content-length", "1", ""},
		{"transfer-encoding", "chunked", "bad_connection"},
		{"te", "trailers", ""},
		{":path", "/", "bad_pseudo_header"},
		{"X", "1", "bad_header_name"},
		{"x", "a\x00", "bad_header_value"},
	} {
		var s section.Section
		s.Begin()
		s.Late(limits.Fields, c.name, c.value)
		got := ""
		if s.Bad != nil {
			got = s.Bad.Code
		} else if len(s.Trailer) > 0 {
			got = s.Trailer[0].Name
		}
		if got != c.want {
			t.Errorf("%s: %s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
	var s section.Section
	s.Begin()
	for range 10 {
		s.Late(limits.Fields, "x", "1")
	}
	if s.Bad != section.ErrTooLong {
		t.Errorf("ten trailer fields where four may be: %v", s.Bad)
	}
}

func FuzzFill(f *testing.F) {
	f.Add(":method\x00GET\x00:scheme\x00https\x00:authority\x00a\x00:path\x00/")
	f.Add(":method\x00POST\x00:scheme\x00http\x00:path\x00/?a\x00host\x00[::1]:1\x00cookie\x00a=1\x00cookie\x00b")
	f.Fuzz(func(t *testing.T, text string) {
		fields := strings.Split(text, "\x00")
		if len(fields)%2 != 0 {
			return
		}
		if got := fill(false, fields...); strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q makes %q", fields, got)
		}
	})
}
