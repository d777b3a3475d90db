package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What a request must not carry in HTTP/2 (RFC 9113, section 8). wire.Check has
// the rest. Answers of 400 are followed by a reset with PROTOCOL_ERROR.
var (
	errPseudo      = refuse(400, "bad_pseudo_header", "a pseudo-header field is missing, repeated, unknown or out of place")
	errScheme      = refuse(400, "bad_scheme", "the scheme is neither http nor https")
	errFieldName   = refuse(400, "bad_header_name", "a header field name is malformed")
	errFieldValue  = refuse(400, "bad_header_value", "a header field value has a control character, or a space at its end")
	errConnection  = refuse(400, "bad_connection", "HTTP/2 has no connection-specific header fields")
	errTE          = refuse(400, "bad_te", "TE may only be trailers")
	errHostTwice   = refuse(400, "duplicate_host", "the request has more than one Host header")
	errHostDiffers = refuse(400, "host_mismatch", "the Host header and the authority differ")
	errContentSize = refuse(400, "bad_content_length", "Content-Length is not a number, or not that of the content")
	errExpect      = refuse(417, "expectation_unsupported", "only 100-continue can be expected")
	errHeadLong    = refuse(431, "header_too_large", "the message head is too large")
)

func refuse(status int, code, detail string) *exchange.Error {
	return &exchange.Error{Status: status, Code: code, Detail: detail}
}

type header = hpack.HeaderField

// fields is a header block as it is decoded. The strings are the decoder's, which
// never change.
type fields struct {
	method, scheme, authority, path string

	seen    pseudo
	regular bool // a field that is no pseudo-header field has come
	expect  bool
	hosts   int
	cookies []string // to be joined
	host    string
	length  int64 // Content-Length; -1 for none
	trailer exchange.Header
	bad     *exchange.Error // the first thing that is wrong
}

type pseudo uint8

const (
	seenMethod pseudo = 1 << iota
	seenScheme
	seenAuthority
	seenPath
)

func (f *fields) begin() {
	clear(f.cookies)
	*f = fields{length: -1, trailer: f.trailer[:0], cookies: f.cookies[:0]}
}

// take takes one field of st's request.
func (f *fields) take(st *stream, h header) {
	switch {
	case f.bad != nil:
	case h.Name != "" && h.Name[0] == ':':
		f.bad = f.pseudo(h)
	case !frame.ValidName(h.Name):
		f.bad = errFieldName
	case !frame.ValidValue(h.Value):
		f.bad = errFieldValue
	default:
		f.regular = true
		f.bad = f.add(st, h)
	}
}

func (f *fields) pseudo(h header) *exchange.Error {
	if f.regular {
		return errPseudo
	}
	var this pseudo
	switch h.Name {
	case ":method":
		this, f.method = seenMethod, h.Value
	case ":scheme":
		this, f.scheme = seenScheme, h.Value
	case ":authority":
		this, f.authority = seenAuthority, h.Value
	case ":path":
		this, f.path = seenPath, h.Value
	}
	if this == 0 || f.seen&this != 0 {
		return errPseudo
	}
	f.seen |= this
	return nil
}

// add takes a field, apart from those that the gateway handles itself.
func (f *fields) add(st *stream, h header) *exchange.Error {
	switch h.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return errConnection // section 8.2.2
	case "te":
		if !strings.EqualFold(h.Value, "trailers") {
			return errTE
		}
		return nil
	case "host":
		f.host = h.Value
		if f.hosts++; f.hosts > 1 {
			return errHostTwice
		}
		return nil
	case "expect":
		f.expect = true
		if !strings.EqualFold(h.Value, "100-continue") {
			return errExpect
		}
		return nil
	case "content-length":
		n, ok := digits(h.Value)
		if !ok || f.length >= 0 {
			return errContentSize
		}
		f.length = n
		return nil
	case "cookie":
		f.cookies = append(f.cookies, h.Value)
		return nil
	}
	q := &st.Exchange.Request
	if len(q.Header) <= st.c.cfg.Limits.Fields { // else it is refused anyway
		q.Header.Add(h.Name, h.Value)
	}
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
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// join makes one field of the cookies, which clients send one by one (section 8.2.3).
func (f *fields) join(x *exchange.Exchange) {
	if len(f.cookies) == 0 {
		return
	}
	all := f.cookies[0]
	if len(f.cookies) > 1 {
		n := 2 * (len(f.cookies) - 1)
		for _, one := range f.cookies {
			n += len(one)
		}
		b := x.Arena.Alloc(n)[:0]
		for i, one := range f.cookies {
			if i > 0 {
				b = append(b, ';', ' ')
			}
			b = append(b, one...)
		}
		all = mem.String(b)
	}
	x.Request.Header.Add("cookie", all)
}

// late takes one field of a trailer section.
func (f *fields) late(h header) {
	switch {
	case f.bad != nil:
	case h.Name != "" && h.Name[0] == ':':
		f.bad = errPseudo
	case !frame.ValidName(h.Name):
		f.bad = errFieldName
	case !frame.ValidValue(h.Value):
		f.bad = errFieldValue
	case wire.Late(h.Name):
		f.trailer.Add(h.Name, h.Value)
	}
}

// finish judges what the fields say together. end says that there is no content.
func (f *fields) finish(st *stream, end bool) *exchange.Error {
	f.join(&st.Exchange)
	if f.seen&seenAuthority == 0 {
		f.authority = f.host
	}
	want := seenMethod | seenScheme | seenPath
	if f.method == "CONNECT" {
		want = seenMethod | seenAuthority // section 8.5
	}
	switch {
	case f.bad != nil:
		return f.bad
	case f.seen&(seenMethod|seenScheme|seenPath) != want&^seenAuthority || f.seen&want != want:
		return errPseudo
	case f.seen&seenScheme != 0 && f.scheme != "http" && f.scheme != "https":
		return errScheme
	case f.hosts > 0 && !strings.EqualFold(f.host, f.authority):
		return errHostDiffers // section 8.3.1
	case end && f.length > 0:
		return errContentSize
	}
	return nil
}
