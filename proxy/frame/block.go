package frame

import (
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Header blocks (RFC 7541) are written without the dynamic table and without
// Huffman coding: each field for itself, by the static table as far as that has
// it. So writing one needs no state, which streams would have to share, and no
// memory; and nobody can learn from lengths what else a connection has carried.

// Indexes of the static table (RFC 7541, appendix A).
const (
	authority  = 1
	method     = 2
	path       = 4
	scheme     = 6
	status200  = 8
	authorized = 23
	length     = 28
	setCookie  = 55
)

// AppendTableSize appends the table size update that a peer must see first when
// it has allowed less than it did (RFC 7541, section 4.2). We use none anyway.
func AppendTableSize(dst []byte) []byte { return append(dst, 0x20) }

// AppendStatus appends the pseudo-header field of an answer.
func AppendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0x80|status200)
	case 204:
		return append(dst, 0x80|status200+1)
	case 206:
		return append(dst, 0x80|status200+2)
	case 304:
		return append(dst, 0x80|status200+3)
	case 400:
		return append(dst, 0x80|status200+4)
	case 404:
		return append(dst, 0x80|status200+5)
	case 500:
		return append(dst, 0x80|status200+6)
	}
	dst = append(dst, status200, 3)
	return append(dst, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10))
}

// AppendFields appends the end-to-end fields of h. Names become lower case, control
// characters in values spaces, as proxy/wire has it; what is no name is left out,
// and so is what frames a message or belongs to a connection of HTTP/1.1 (RFC
// 9113, section 8.2.2).
func AppendFields(dst []byte, h exchange.Header) []byte {
	for i := range h {
		dst = AppendField(dst, h[i].Name, h[i].Value)
	}
	return dst
}

// AppendLength appends Content-Length.
func AppendLength(dst []byte, n int64) []byte {
	dst = append(dst, 0x0f, length-15, 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}

// AppendTrailers appends TE: trailers, which says that trailer fields are passed on.
func AppendTrailers(dst []byte) []byte { return append(dst, "\x00\x02te\x08trailers"...) }

// maxName is the longest name of the static table.
const maxName = 27

// AppendField appends one field; see AppendFields.
func AppendField(dst []byte, name, value string) []byte {
	start := len(dst)
	if name == "" {
		return dst
	}
	dst = append(dst, 0)
	dst = AppendInt(dst, 0, 7, len(name))
	at := len(dst)
	dst = append(dst, name...)
	for i := at; i < len(dst); i++ {
		c := mem.FieldName[dst[i]]
		if c == 0 {
			return dst[:start]
		}
		dst[i] = c
	}
	if len(name) <= maxName {
		switch index := nameIndex(dst[at:]); index {
		case 0:
		case connectionSpecific:
			return dst[:start]
		case authorized, setCookie:
			dst = AppendInt(dst[:start], 0x10, 4, index) // never to be indexed behind us either
		default:
			dst = AppendInt(dst[:start], 0, 4, index)
		}
	}
	return AppendValue(dst, value)
}

// AppendValue appends a value as a string literal, without spaces at its ends; control
// characters in it become spaces.
func AppendValue(dst []byte, s string) []byte {
	for len(s) > 0 && blank(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return wire.AppendText(AppendInt(dst, 0, 7, len(s)), s)
}

// blank reports what is a space in a value, or becomes one.
func blank(c byte) bool { return c <= ' ' || c == 0x7f }

// AppendInt appends n with a prefix of that many bits (RFC 7541, section 5.1),
// below the bits of first.
func AppendInt(dst []byte, first byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, 0x80|byte(n))
	}
	return append(dst, byte(n))
}

// connectionSpecific is nameIndex for fields that HTTP/2 must not carry, and for
// Content-Length and Host, which go by other ways.
const connectionSpecific = -1

// nameIndex returns the index of a name, in lower case, in the static table; 0 if
// it is not there.
func nameIndex(name []byte) int {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length", "host", "te":
		return connectionSpecific
	case "accept-charset":
		return 15
	case "accept-encoding":
		return 16
	case "accept-language":
		return 17
	case "accept-ranges":
		return 18
	case "accept":
		return 19
	case "access-control-allow-origin":
		return 20
	case "age":
		return 21
	case "allow":
		return 22
	case "authorization":
		return authorized
	case "cache-control":
		return 24
	case "content-disposition":
		return 25
	case "content-encoding":
		return 26
	case "content-language":
		return 27
	case "content-location":
		return 29
	case "content-range":
		return 30
	case "content-type":
		return 31
	case "cookie":
		return 32
	case "date":
		return 33
	case "etag":
		return 34
	case "expect":
		return 35
	case "expires":
		return 36
	case "from":
		return 37
	}
	return lateIndex(name)
}

// lateIndex is the other half of nameIndex.
func lateIndex(name []byte) int {
	switch string(name) {
	case "if-match":
		return 39
	case "if-modified-since":
		return 40
	case "if-none-match":
		return 41
	case "if-range":
		return 42
	case "if-unmodified-since":
		return 43
	case "last-modified":
		return 44
	case "link":
		return 45
	case "location":
		return 46
	case "max-forwards":
		return 47
	case "proxy-authenticate":
		return 48
	case "proxy-authorization":
		return 49
	case "range":
		return 50
	case "referer":
		return 51
	case "refresh":
		return 52
	case "retry-after":
		return 53
	case "server":
		return 54
	case "set-cookie":
		return setCookie
	case "strict-transport-security":
		return 56
	case "user-agent":
		return 58
	case "vary":
		return 59
	case "via":
		return 60
	case "www-authenticate":
		return 61
	}
	return 0
}

// ValidName reports whether s is a field name as HTTP/2 has them (section 8.2.1):
// a token in lower case.
func ValidName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == 0 || mem.FieldName[c] != c {
			return false
		}
	}
	return s != ""
}

// ValidValue reports whether s is a field value (section 8.2.1).
func ValidValue(s string) bool {
	if n := len(s); n > 0 && (s[0] == ' ' || s[0] == '\t' || s[n-1] == ' ' || s[n-1] == '\t') {
		return false
	}
	return wire.Text(s)
}

// Request is the pseudo-header fields of a request.
type Request struct {
	Method, Scheme, Authority, Path, RawQuery string
	EmptyQuery                                bool
}

// AppendRequest appends them. What would end the target is percent-encoded, as
// proxy/wire has it.
func AppendRequest(dst []byte, r Request) []byte {
	switch r.Method {
	case "GET":
		dst = append(dst, 0x80|method)
	case "POST":
		dst = append(dst, 0x80|method+1)
	default:
		dst = AppendValue(append(dst, method), r.Method)
	}
	if r.Scheme == "https" {
		dst = append(dst, 0x80|scheme+1)
	} else {
		dst = append(dst, 0x80|scheme)
	}
	dst = AppendValue(append(dst, authority), r.Authority)
	if r.Path == "/" && r.RawQuery == "" && !r.EmptyQuery {
		return append(dst, 0x80|path)
	}
	dst = append(dst, path)
	n := len(r.Path)
	if r.RawQuery != "" || r.EmptyQuery {
		n += 1 + len(r.RawQuery)
	}
	at := len(dst)
	dst = AppendInt(dst, 0, 7, n)
	from := len(dst)
	if dst = wire.AppendTarget(dst, r.Path, r.RawQuery, r.EmptyQuery); len(dst)-from == n {
		return dst
	}
	target := string(dst[from:]) // it has been encoded, so it is longer
	return append(AppendInt(dst[:at], 0, 7, len(target)), target...)
}
