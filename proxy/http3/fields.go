package http3

import (
	"io"
	"strings"

	"github.com/quic-go/qpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// What makes a request malformed (section 4.1.2): it is not answered, its stream is
// reset with H3_MESSAGE_ERROR.
var (
	errPseudo      = refuse(400, "bad_pseudo_header", "a pseudo-header field is missing, repeated, unknown or out of place")
	errScheme      = refuse(400, "bad_scheme", "the scheme is neither http nor https")
	errFieldName   = refuse(400, "bad_header_name", "a header field name is malformed")
	errFieldValue  = refuse(400, "bad_header_value", "a header field value has a control character, or a space at its end")
	errConnection  = refuse(400, "bad_connection", "HTTP/3 has no connection-specific header fields")
	errTE          = refuse(400, "bad_te", "TE may only be trailers")
	errHostTwice   = refuse(400, "duplicate_host", "the request has more than one Host header")
	errHostDiffers = refuse(400, "host_mismatch", "the Host header and the authority differ")
	errLength      = refuse(400, "bad_content_length", "Content-Length is not a number, or not that of the content")
)

// What is answered without the handler.
var (
	errConnect  = refuse(501, "connect_unsupported", "the gateway is no forward proxy")
	errExpect   = refuse(417, "expectation_unsupported", "only 100-continue can be expected")
	errHeadLong = refuse(431, "header_too_large", "the message head is too large")
)

func refuse(status int, code, detail string) *exchange.Error {
	return &exchange.Error{Status: status, Code: code, Detail: detail}
}

// overhead is what a field counts beside its name and value (section 4.2.2).
const overhead = 32

// maxFields is how large a header section may be, as section 4.2.2 counts.
func (s *Server) maxFields() int { return s.cfg.Limits.Head + overhead*s.cfg.Limits.Fields }

// fields is a header section as it is decoded.
type fields struct {
	method, scheme, authority, path, host string

	seen    pseudo
	regular bool // a field that is no pseudo-header field has come
	expect  bool
	cookies []string // to be joined
	length  int64    // Content-Length; -1 for none
}

type pseudo uint8

const (
	seenMethod pseudo = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenHost
)

// decode hands the fields of a block to take, until that returns an error.
func (s *Server) decode(block []byte, take func(name, value string) *exchange.Error) error {
	next, room := qpack.NewDecoder().Decode(block), s.maxFields()
	for n := 0; ; n++ {
		f, err := next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return connError(codeDecompression)
		}
		if room -= len(f.Name) + len(f.Value) + overhead; room < 0 {
			return errHeadLong
		}
		if err := take(f.Name, f.Value); err != nil {
			return err
		}
	}
}

// take takes one field of a request's head.
func (st *stream) take(name, value string) *exchange.Error {
	f := &st.fields
	switch {
	case name != "" && name[0] == ':':
		return f.pseudo(name, value)
	case !frame.ValidName(name):
		return errFieldName
	case !frame.ValidValue(value):
		return errFieldValue
	}
	f.regular = true
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return errConnection // section 4.2
	case "te":
		if !strings.EqualFold(value, "trailers") {
			return errTE
		}
	case "host":
		if f.seen&seenHost != 0 {
			return errHostTwice
		}
		f.seen |= seenHost
		f.host = value
	case "expect":
		if !strings.EqualFold(value, "100-continue") {
			return errExpect
		}
		f.expect = true
	case "content-length":
		n, ok := digits(value)
		if !ok || f.length >= 0 {
			return errLength
		}
		f.length = n
	case "cookie":
		f.cookies = append(f.cookies, value)
	default:
		if len(st.Request.Header) <= st.k.srv.cfg.Limits.Fields { // else it is refused anyway
			st.Request.Header.Add(name, value)
		}
	}
	return nil
}

func (f *fields) pseudo(name, value string) *exchange.Error {
	if f.regular {
		return errPseudo
	}
	var this pseudo
	switch name {
	case ":method":
		this, f.method = seenMethod, value
	case ":scheme":
		this, f.scheme = seenScheme, value
	case ":authority":
		this, f.authority = seenAuthority, value
	case ":path":
		this, f.path = seenPath, value
	}
	if this == 0 || f.seen&this != 0 {
		return errPseudo
	}
	f.seen |= this
	return nil
}

// check looks at the section as a whole (section 4.3.1).
func (f *fields) check() *exchange.Error {
	if f.method == "CONNECT" {
		if f.seen&(seenAuthority|seenScheme|seenPath) != seenAuthority {
			return errPseudo
		}
		return errConnect
	}
	if f.seen&(seenMethod|seenScheme|seenPath) != seenMethod|seenScheme|seenPath || f.path == "" {
		return errPseudo
	}
	if f.scheme != "https" && f.scheme != "http" {
		return errScheme
	}
	switch {
	case f.seen&(seenAuthority|seenHost) == 0, f.seen&seenAuthority != 0 && f.authority == "":
		return errPseudo
	case f.seen&seenAuthority == 0:
		f.authority = f.host
	case f.seen&seenHost != 0 && !strings.EqualFold(f.host, f.authority):
		return errHostDiffers
	}
	return nil
}

// malformed reports what is not answered.
func malformed(err *exchange.Error) bool {
	switch err {
	case errPseudo, errScheme, errFieldName, errFieldValue, errConnection, errTE, errHostTwice, errHostDiffers, errLength:
		return true
	}
	return false
}

// trailer takes one field of a request's trailer section.
func (st *stream) trailer(name, value string) *exchange.Error {
	switch {
	case name == "" || name[0] == ':':
		return errPseudo
	case !frame.ValidName(name):
		return errFieldName
	case !frame.ValidValue(value):
		return errFieldValue
	case len(st.Request.Trailer) >= st.k.srv.cfg.Limits.Fields:
		return errHeadLong
	}
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return errConnection
	case "content-length", "host", "te":
		return nil // they say nothing there (RFC 9110, section 6.5.1)
	}
	st.Request.Trailer.Add(name, value)
	return nil
}

// digits reads a Content-Length.
func digits(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, true
}

// hostOf returns authority without its port, lower case, no trailing dot.
func hostOf(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.IndexByte(authority, ']') {
		authority = authority[:i]
	}
	return strings.ToLower(strings.TrimSuffix(authority, "."))
}
