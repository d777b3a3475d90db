package wire

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// vector is a message and how it must be refused; status 0 means accepted.
type vector struct {
	name, message string
	status        int
	code          string
}

// with is a request with these lines behind its Host field.
func with(lines string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" }

// to is a request for target.
func to(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// forHost is a request with that Host value.
func forHost(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

var requests = []vector{
	// Request line.
	{"plain", to("/"), 0, ""},
	{"one empty line before", "\r\n" + to("/"), 0, ""},
	{"two empty lines before", "\r\n\r\n" + to("/"), 400, "bad_request_line"},
	{"bare LF before", "\n" + to("/"), 400, "bad_line_ending"},
	{"bare CR before", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_line_ending"},
	{"space before", " " + to("/"), 400, "bad_request_line"},
	{"HTTP/0.9", "GET /\r\n", 400, "bad_request_line"},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bad_line_ending"},
	{"bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "bad_line_ending"},
	{"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"tab before the target", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"},
	{"tab before the version", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"empty method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"method no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"},
	{"method with NUL", "G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"},
	{"method without end", strings.Repeat("A", 65), 400, "bad_method"},
	{"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0, ""},
	{"lower-case method", "delete / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"},
	{"method in mixed case", "Get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_method"},
	{"method of other marks", "VERSION-CONTROL / HTTP/1.1\r\nHost: a\r\n\r\n", 0, ""},
	{"TLS hello", "\x16\x03\x01\x02\x00", 400, "bad_method"},
	{"version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version_unsupported"},
	{"version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "http_version_unsupported"},
	{"version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "http_version_unsupported"},
	{"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"long version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"version with comma", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},
	{"other protocol", "GET / ICY/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"},

	// Target.
	{"query", to("/a?b=/c?d"), 0, ""},
	{"unencoded but harmless", to("/a|b?c={d}\\e"), 0, ""},
	{"fragment", to("/a#b"), 400, "bad_target"},
	{"fragment in the query", to("/a?b#c"), 400, "bad_target"},
	{"NUL in the target", to("/a\x00b"), 400, "bad_target"},
	{"DEL in the target", to("/a\x7fb"), 400, "bad_target"},
	{"UTF-8 in the target", to("/caf\xc3\xa9"), 400, "bad_target"},
	{"backslash in the path", to("/a\\..\\b"), 400, "bad_target"},
	{"no slash", to("a"), 400, "bad_target"},
	{"query alone", to("?a"), 400, "bad_target"},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, ""},
	{"asterisk with GET", to("*"), 400, "bad_target"},
	{"asterisk and more", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
	{"asterisk with a query", "OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"},
	{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "connect_unsupported"},
	{"authority-form with GET", to("a:443"), 400, "bad_target"},
	{"absolute-form", to("http://a/b"), 0, ""},
	{"absolute-form, other case", to("HTTP://A/b"), 0, ""},
	{"absolute-form, https", to("https://a"), 0, ""},
	{"absolute-form for another host", to("http://b/"), 400, "host_mismatch"},
	{"absolute-form with a port", to("http://a:80/"), 400, "host_mismatch"},
	{"absolute-form with user information", to("http://u:p@a/"), 400, "bad_target"},
	{"absolute-form without a host", to("http:///b"), 400, "bad_target"},
	{"absolute-form without anything", to("http://"), 400, "bad_target"},
	{"absolute-form, other scheme", to("ftp://a/"), 400, "bad_target"},
	{"absolute-form without Host", "GET http://a/ HTTP/1.1\r\n\r\n", 400, "host_missing"},

	// Host.
	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "host_missing"},
	{"no Host, HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 0, ""},
	{"two Hosts", with("Host: a\r\n"), 400, "duplicate_host"},
	{"two Hosts, other case", with("hOsT: b\r\n"), 400, "duplicate_host"},
	{"two Hosts, HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "duplicate_host"},
	{"port", forHost("a.example:8080"), 0, ""},
	{"IPv4", forHost("192.0.2.1:80"), 0, ""},
	{"IPv6", forHost("[2001:db8::1]:80"), 0, ""},
	{"trailing dot", forHost("a.example."), 0, ""},
	{"underscore", forHost("my_host"), 0, ""},
	{"empty Host", forHost(""), 400, "bad_host"},
	{"port alone", forHost(":80"), 400, "bad_host"},
	{"dot alone", forHost("."), 400, "bad_host"},
	{"dot alone with a port", forHost(".:80"), 400, "bad_host"},
	{"dot at the end", forHost("a."), 0, ""},
	{"empty port", forHost("a:"), 0, ""},
	{"empty port of IPv6", forHost("[::1]:"), 0, ""},
	{"colon alone", forHost(":"), 400, "bad_host"},
	{"two colons", forHost("a::"), 400, "bad_host"},
	{"absolute-form with an empty port", to("http://a:/b"), 0, ""},
	{"port no number", forHost("a:8x"), 400, "bad_host"},
	{"port too large", forHost("a:65536"), 400, "bad_host"},
	{"two ports", forHost("a:80:80"), 400, "bad_host"},
	{"user information", forHost("u@a"), 400, "bad_host"},
	{"path", forHost("a/b"), 400, "bad_host"},
	{"space", forHost("a b"), 400, "bad_host"},
	{"list", forHost("a, b"), 400, "bad_host"},
	{"query in Host", forHost("a?b"), 400, "bad_host"},
	{"percent-encoded", forHost("a%2eb"), 400, "bad_host"},
	{"UTF-8", forHost("\xc3\xa9"), 400, "bad_host"},
	{"IPv6 without brackets", forHost("2001:db8::1"), 400, "bad_host"},
	{"IPv6 without end", forHost("[::1"), 400, "bad_host"},
	{"IPv6 malformed", forHost("[::1::2]"), 400, "bad_host"},
	{"IPv6 with a zone", forHost("[fe80::1%25eth0]"), 400, "bad_host"},
	{"IPv4 in brackets", forHost("[192.0.2.1]"), 400, "bad_host"},
	{"something behind IPv6", forHost("[::1]a"), 400, "bad_host"},

	// Field lines.
	{"empty value", with("X:\r\n"), 0, ""},
	{"HTAB in a value", with("X: a\tb\r\n"), 0, ""},
	{"bytes above ASCII in a value", with("X: caf\xc3\xa9\r\n"), 0, ""},
	{"underscore in a name", with("x_y: 1\r\n"), 0, ""},
	{"space before the colon", with("X : a\r\n"), 400, "bad_header_name"},
	{"tab before the colon", with("X\t: a\r\n"), 400, "bad_header_name"},
	{"no colon", with("X\r\n"), 400, "bad_header_name"},
	{"empty name", with(": a\r\n"), 400, "bad_header_name"},
	{"name no token", with("X(: a\r\n"), 400, "bad_header_name"},
	{"NUL in a name", with("X\x00: a\r\n"), 400, "bad_header_name"},
	{"UTF-8 in a name", with("\xc3\xa9: a\r\n"), 400, "bad_header_name"},
	{"folded", with("X: a\r\n b\r\n"), 400, "folded_header"},
	{"folded with a tab", with("X: a\r\n\tb\r\n"), 400, "folded_header"},
	{"first field indented", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded_header"},
	{"bare LF behind a field", with("X: a\nY: b\r\n"), 400, "bad_line_ending"},
	{"bare CR in a value", with("X: a\rY: b\r\n"), 400, "bad_line_ending"},
	{"bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bad_line_ending"},
	{"bare CR for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX", 400, "bad_line_ending"},
	{"two CRs", with("X: a\r\r\n"), 400, "bad_line_ending"},
	{"NUL in a value", with("X: a\x00b\r\n"), 400, "bad_header_value"},
	{"ESC in a long value", with("X: 0123456789abcdef\x1b0123456789abcdef\r\n"), 400, "bad_header_value"},
	{"DEL in a value", with("X: a\x7f\r\n"), 400, "bad_header_value"},
	{"VT before a value", with("X: \x0ba\r\n"), 400, "bad_header_value"},

	// Content-Length.
	{"length", with("Content-Length: 5\r\n"), 0, ""},
	{"length with zeros", with("Content-Length: 0005\r\n"), 0, ""},
	{"length with many zeros", with("Content-Length: " + strings.Repeat("0", 100) + "5\r\n"), 0, ""},
	{"length of 18 digits behind zeros", with("Content-Length: 000999999999999999999\r\n"), 0, ""},
	{"length of 19 digits", with("Content-Length: 1000000000000000000\r\n"), 400, "bad_content_length"},
	{"length with plus", with("Content-Length: +5\r\n"), 400, "bad_content_length"},
	{"length with minus", with("Content-Length: -5\r\n"), 400, "bad_content_length"},
	{"length hexadecimal", with("Content-Length: 0x5\r\n"), 400, "bad_content_length"},
	{"length with space", with("Content-Length: 5 5\r\n"), 400, "bad_content_length"},
	{"length with underscore", with("Content-Length: 1_0\r\n"), 400, "bad_content_length"},
	{"length empty", with("Content-Length:\r\n"), 400, "bad_content_length"},
	{"length a list", with("Content-Length: 5, 5\r\n"), 400, "bad_content_length"},
	{"length a fraction", with("Content-Length: 5.0\r\n"), 400, "bad_content_length"},
	{"length overflows", with("Content-Length: 18446744073709551621\r\n"), 400, "bad_content_length"},
	{"length twice, equal", with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400, "duplicate_content_length"},
	{"length twice, different", with("Content-Length: 5\r\ncontent-length: 6\r\n"), 400, "duplicate_content_length"},
	{"length with space before the colon", with("Content-Length : 5\r\n"), 400, "bad_header_name"},

	// Transfer-Encoding.
	{"chunked", with("Transfer-Encoding: chunked\r\n"), 0, ""},
	{"chunked, other case", with("transfer-encoding: ChunKed\r\n"), 0, ""},
	{"chunked between spaces", with("Transfer-Encoding: \t chunked \t\r\n"), 0, ""},
	{"CL.TE", with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"), 400, "ambiguous_length"},
	{"TE.CL", with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), 400, "ambiguous_length"},
	{"TE.TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "bad_transfer_encoding"},
	{"TE.TE with cow", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n"), 400, "bad_transfer_encoding"},
	{"TE.TE cow first", with("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n"), 501, "transfer_encoding_unsupported"},
	{"chunked twice in a list", with("Transfer-Encoding: chunked, chunked\r\n"), 400, "bad_transfer_encoding"},
	{"chunked not last", with("Transfer-Encoding: chunked, gzip\r\n"), 400, "bad_transfer_encoding"},
	{"chunked last but not alone", with("Transfer-Encoding: gzip, chunked\r\n"), 501, "transfer_encoding_unsupported"},
	{"identity", with("Transfer-Encoding: identity\r\n"), 501, "transfer_encoding_unsupported"},
	{"xchunked", with("Transfer-Encoding: xchunked\r\n"), 501, "transfer_encoding_unsupported"},
	{"empty coding", with("Transfer-Encoding:\r\n"), 400, "bad_transfer_encoding"},
	{"empty element", with("Transfer-Encoding: , chunked\r\n"), 400, "bad_transfer_encoding"},
	{"comma behind", with("Transfer-Encoding: chunked,\r\n"), 400, "bad_transfer_encoding"},
	{"quoted", with("Transfer-Encoding: \"chunked\"\r\n"), 400, "bad_transfer_encoding"},
	{"parameter", with("Transfer-Encoding: chunked;q=1\r\n"), 400, "bad_transfer_encoding"},
	{"VT before chunked", with("Transfer-Encoding: \x0bchunked\r\n"), 400, "bad_header_value"},
	{"NUL behind chunked", with("Transfer-Encoding: chunked\x00\r\n"), 400, "bad_header_value"},
	{"LF before chunked", with("Transfer-Encoding:\n chunked\r\n"), 400, "bad_line_ending"},
	{"folded chunked", with("Transfer-Encoding:\r\n chunked\r\n"), 400, "bad_transfer_encoding"},
	{"space before the colon of TE", with("Transfer-Encoding : chunked\r\n"), 400, "bad_header_name"},
	{"space before the name of TE", with(" Transfer-Encoding: chunked\r\n"), 400, "folded_header"},
	{"TE hidden behind a bare LF", with("X: y\nTransfer-Encoding: chunked\r\n"), 400, "bad_line_ending"},
	{"TE hidden behind a bare CR", with("X: y\rTransfer-Encoding: chunked\r\n"), 400, "bad_line_ending"},
	{"chunked, HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_transfer_encoding"},

	// Others.
	{"100-continue", with("Expect: 100-Continue\r\nContent-Length: 1\r\n"), 0, ""},
	{"other expectation", with("Expect: 200-ok\r\n"), 417, "expectation_unsupported"},
	{"Connection no token", with("Connection: a b\r\n"), 400, "bad_connection"},
	{"too many options", with("Connection: " + strings.Repeat("a,", maxOptions) + "a\r\n"), 400, "bad_connection"},
	{"target at the limit", to("/" + strings.Repeat("a", wide.Target-1)), 0, ""},
	{"target too long", to("/" + strings.Repeat("a", wide.Target)), 414, "target_too_long"},
	{"target far too long", to("/" + strings.Repeat("a", wide.Head)), 414, "target_too_long"},
	{"head at the limit", with("X: " + strings.Repeat("a", wide.Head-len(with("X: \r\n"))) + "\r\n"), 0, ""},
	{"head too large", with("X: " + strings.Repeat("a", wide.Head-len(with("X: \r\n"))+1) + "\r\n"), 431, "header_too_large"},
	{"fields at the limit", with(strings.Repeat("X: a\r\n", wide.Fields-1)), 0, ""},
	{"too many fields", with(strings.Repeat("X: a\r\n", wide.Fields)), 431, "too_many_headers"},
}

var responses = []vector{
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, ""},
	{"no reason", "HTTP/1.1 200 \r\n\r\n", 0, ""},
	{"no space and no reason", "HTTP/1.1 200\r\n\r\n", 0, ""},
	{"reason with text", "HTTP/1.1 404 Pas trouv\xc3\xa9 \t!\r\n\r\n", 0, ""},
	{"version 1.0", "HTTP/1.0 200 OK\r\n\r\n", 0, ""},
	{"equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, ""},
	{"different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 502, "more than one Content-Length"},
	{"length a list", "HTTP/1.1 200 OK\r\nContent-Length: 5,5 , 5\r\n\r\n", 0, ""},
	{"length a list of several", "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", 502, "not a number"},
	{"length a list with nothing in it", "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n", 502, "not a number"},
	{"length a list, another line", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 6\r\n\r\n", 502, "more than one Content-Length"},
	{"length with many zeros", "HTTP/1.1 200 OK\r\nContent-Length: " + strings.Repeat("0", 50) + "5\r\n\r\n", 0, ""},
	{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "exclude"},
	{"chunked and length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 502, "exclude"},
	{"chunked and length for HEAD too", "HTTP/1.1 304 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 502, "exclude"},
	{"gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 502, "only transfer coding"},
	{"chunked, HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "Transfer-Encoding"},
	{"chunked 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "Transfer-Encoding"},
	{"204 with content", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 502, "Content-Length"},
	{"204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 0, ""},
	{"version 2", "HTTP/2.0 200 OK\r\n\r\n", 502, "HTTP/1.0 and"},
	{"other protocol", "ICY 200 OK\r\n\r\n", 502, "status line"},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", 502, "status line"},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", 502, "status line"},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", 502, "status line"},
	{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", 502, "status line"},
	{"status above 599", "HTTP/1.1 600 OK\r\n\r\n", 502, "status line"},
	{"empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", 502, "status line"},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", 502, "CR LF"},
	{"bare LF without a reason", "HTTP/1.1 200\nContent-Length: 0\r\n\r\n", 502, "CR LF"},
	{"bare CR", "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n", 502, "CR LF"},
	{"NUL in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", 502, "control"},
	{"folded", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 502, "folded"},
	{"space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", 502, "name"},
	{"head too large", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", wide.Head) + "\r\n\r\n", 502, "too large"},
}

func TestRequestVectors(t *testing.T) {
	for _, v := range requests {
		var h RequestHead
		n, err := ParseRequest([]byte(v.message), &h, wide, nil)
		if v.status == 0 {
			if err != nil || n != len(v.message) {
				t.Errorf("%s: refused with %v after %d of %d bytes", v.name, err, n, len(v.message))
			}
			continue
		}
		if err == nil || err.Status != v.status || err.Code != v.code || n != 0 {
			t.Errorf("%s: %d bytes, error %v, want %d %s", v.name, n, err, v.status, v.code)
		}
	}
}

func TestResponseVectors(t *testing.T) {
	for _, v := range responses {
		var h ResponseHead
		n, err := ParseResponse([]byte(v.message), "GET", &h, wide, nil)
		if v.status == 0 {
			if err != nil || n != len(v.message) {
				t.Errorf("%s: refused with %v after %d of %d bytes", v.name, err, n, len(v.message))
			}
			continue
		}
		if err == nil || err.Status != v.status || err.Code != "backend_bad_response" || !strings.Contains(err.Detail, v.code) {
			t.Errorf("%s: %d bytes, error %v, want %d about %q", v.name, n, err, v.status, v.code)
		}
	}
}

// A message that arrives byte by byte is read or refused as it is in one piece,
// whatever comes behind it.
func TestSplitsMakeNoDifference(t *testing.T) {
	grow := func(name, message string, parse func(b []byte) (int, *exchange.Error)) {
		want, wantErr := parse([]byte(message + "GET / HTTP/1.1\r\n"))
		step := 1 + len(message)/2000
		for cut := 0; ; cut = min(cut+step, len(message)) {
			n, err := parse([]byte(message[:cut]))
			if n == 0 && err == nil && cut < len(message) {
				continue
			}
			if n != want || (err == nil) != (wantErr == nil) || err != nil && *err != *wantErr {
				t.Errorf("%s: cut at %d gives %d, %v; whole gives %d, %v", name, cut, n, err, want, wantErr)
			}
			break
		}
	}
	for _, v := range requests {
		grow(v.name, v.message, func(b []byte) (int, *exchange.Error) {
			return ParseRequest(b, &RequestHead{}, wide, nil)
		})
	}
	for _, v := range responses {
		grow(v.name, v.message, func(b []byte) (int, *exchange.Error) {
			return ParseResponse(b, "GET", &ResponseHead{}, wide, nil)
		})
	}
}
