// Package section is the header and the trailer section of a request in HTTP/2
// (RFC 9113, section 8) and HTTP/3 (RFC 9114, section 4): what a field may be, what
// the fields say together, and the request they make.
//
// Called by proxy/http2 and proxy/http3, which decode the fields; calls proxy/wire
// for what holds in every version of HTTP.
package section

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What is wrong with a section, beside what wire.Check finds. A request with one of
// these is malformed, apart from errExpect and ErrTooLong.
var (
	errPseudo      = refuse(400, "bad_pseudo_header", "a pseudo-header field is missing, repeated, unknown or out of place")
	errScheme      = refuse(400, "bad_scheme", "the scheme is neither http nor https")
	errFieldName   = refuse(400, "bad_header_name", "a header field name is malformed")
	errFieldValue  = refuse(400, "bad_header_value", "a header field value has a control character, or a space at its end")
	errConnection  = refuse(400, "bad_connection", "this version of HTTP has no connection-specific header fields")
	errTE          = refuse(400, "bad_te", "TE may only be trailers")
	errHostTwice   = refuse(400, "duplicate_host", "the request has more than one Host header")
	errHostDiffers = refuse(400, "host_mismatch", "the Host header and the authority differ")
	errExpect      = refuse(417, "expectation_unsupported", "only 100-continue can be expected")

	ErrLength  = refuse(400, "bad_content_length", "Content-Length is not a number, or not that of the content")
	ErrTooLong = refuse(431, "header_too_large", "the message head is too large")
)

func refuse(status int, code, detail string) *exchange.Error {
	return &exchange.Error{Status: status, Code: code, Detail: detail}
}

// Malformed reports an error that a stream ends with (RFC 9113, section 8.1.1; RFC
// 9114, section 4.1.2).
func Malformed(err *exchange.Error) bool {
	switch err {
	case errPseudo, errScheme, errFieldName, errFieldValue, errConnection, errTE, errHostTwice, errHostDiffers, ErrLength:
		return true
	}
	return false
}

// overhead is what a field counts beside its name and value (RFC 7541, section 4.1;
// RFC 9114, section 4.2.2).
const overhead = 32

// Size is how large a field is.
func Size(name, value string) int { return len(name) + len(value) + overhead }

// Bound is how large a section of l.Head bytes of text can be.
func Bound(l wire.Limits) int { return l.Head + overhead*l.Fields }

// Section is a section as it is decoded. Its strings are those it was given, which
// must not change while the request lasts.
type Section struct {
	Expect  bool  // 100-continue
	Length  int64 // Content-Length; -1 for none
	Trailer exchange.Header
	Bad     *exchange.Error // the first thing that is wrong

	method, scheme, authority, path, host string

	seen    pseudo
	regular bool // a field that is no pseudo-header field has come
	cookies []string
}

type pseudo uint8

const (
	seenMethod pseudo = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenHost
)

// Begin empties s for the next section.
func (s *Section) Begin() {
	clear(s.cookies)
	*s = Section{Length: -1, Trailer: s.Trailer[:0], cookies: s.cookies[:0]}
}

// Take takes one field of x's head, of which most are kept: wire.Check refuses more.
func (s *Section) Take(x *exchange.Exchange, most int, name, value string) {
	switch {
	case s.Bad != nil:
	case name != "" && name[0] == ':':
		s.Bad = s.pseudo(name, value)
	case !frame.ValidName(name):
		s.Bad = errFieldName
	case !frame.ValidValue(value):
		s.Bad = errFieldValue
	default:
		s.regular = true
		s.Bad = s.add(x, most, name, value)
	}
}

func (s *Section) pseudo(name, value string) *exchange.Error {
	if s.regular {
		return errPseudo
	}
	var this pseudo
	switch name {
	case ":method":
		this, s.method = seenMethod, value
	case ":scheme":
		this, s.scheme = seenScheme, value
	case ":authority":
		this, s.authority = seenAuthority, value
	case ":path":
		this, s.path = seenPath, value
	}
	if this == 0 || s.seen&this != 0 {
		return errPseudo
	}
	s.seen |= this
	return nil
}

// add takes a field, apart from those that the gateway handles itself.
func (s *Section) add(x *exchange.Exchange, most int, name, value string) *exchange.Error {
	if connectionSpecific(name) {
		return errConnection
	}
	switch name {
	case "te":
		if !strings.EqualFold(value, "trailers") {
			return errTE
		}
		return nil
	case "host":
		if s.seen&seenHost != 0 {
			return errHostTwice
		}
		s.seen, s.host = s.seen|seenHost, value
		return nil
	case "expect":
		s.Expect = true
		if !strings.EqualFold(value, "100-continue") {
			return errExpect
		}
		return nil
	case "content-length":
		n, ok := wire.Length(value)
		if !ok || s.Length >= 0 {
			return ErrLength
		}
		s.Length = n
		return nil
	case "cookie":
		s.cookies = append(s.cookies, value)
		return nil
	}
	if len(x.Request.Header) <= most {
		x.Request.Header.Add(name, value)
	}
	return nil
}

// connectionSpecific reports fields that make a message malformed (RFC 9113, section
// 8.2.2; RFC 9114, section 4.2).
func connectionSpecific(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// Late takes one field of a trailer section, and drops those that mean nothing
// there.
func (s *Section) Late(most int, name, value string) {
	switch {
	case s.Bad != nil:
	case name != "" && name[0] == ':':
		s.Bad = errPseudo
	case !frame.ValidName(name):
		s.Bad = errFieldName
	case !frame.ValidValue(value):
		s.Bad = errFieldValue
	case connectionSpecific(name):
		s.Bad = errConnection
	case len(s.Trailer) > most:
		s.Bad = ErrTooLong
	case wire.Late(name):
		s.Trailer.Add(name, value)
	}
}

// Fill makes x the request whose fields have been taken; head is where its target
// and authority are checked. end says that there is no content.
func (s *Section) Fill(x *exchange.Exchange, head *wire.RequestHead, l wire.Limits, end bool) *exchange.Error {
	s.join(x)
	if s.seen&seenAuthority == 0 {
		s.authority = s.host
	}
	q := &x.Request
	q.Method, q.Authority, q.ClientIP, q.Scheme = s.method, s.authority, x.Conn.Peer.Addr(), "http"
	if x.Conn.TLS {
		q.Scheme = "https"
	}
	if err := s.together(end); err != nil {
		return err
	}
	*head = wire.RequestHead{Method: s.method, Target: s.path, Authority: s.authority, Header: q.Header}
	if err := wire.Check(head, l); err != nil {
		return err
	}
	x.To(head.Authority)
	q.Path, q.RawQuery, q.EmptyQuery = head.Path, head.RawQuery, head.EmptyQuery
	return nil
}

// together judges what the fields say together (RFC 9113, section 8.3.1; RFC 9114,
// section 4.3.1).
func (s *Section) together(end bool) *exchange.Error {
	want := seenMethod | seenScheme | seenPath
	if s.method == "CONNECT" {
		want = seenMethod | seenAuthority
	}
	switch {
	case s.Bad != nil:
		return s.Bad
	case s.seen&(seenMethod|seenScheme|seenPath) != want&^seenAuthority || s.seen&want != want:
		return errPseudo
	case s.seen&(seenAuthority|seenHost) == 0 || s.seen&seenPath != 0 && s.path == "":
		return errPseudo
	case s.seen&seenScheme != 0 && s.scheme != "http" && s.scheme != "https":
		return errScheme
	case s.seen&seenHost != 0 && !s.agree():
		return errHostDiffers
	case end && s.Length > 0:
		return ErrLength
	}
	return nil
}

// agree reports whether Host names what :authority does. They may differ by the port
// that the scheme has anyhow (RFC 9113, section 8.3.1; RFC 3986, section 6.2.3).
func (s *Section) agree() bool {
	if strings.EqualFold(s.host, s.authority) {
		return true
	}
	port := ":80"
	if s.scheme == "https" {
		port = ":443"
	}
	bare := func(a string) string { return strings.TrimSuffix(strings.TrimSuffix(a, port), ":") }
	return strings.EqualFold(bare(s.host), bare(s.authority))
}

// join makes one field of the cookies, which clients send one by one (RFC 9113,
// section 8.2.3; RFC 9114, section 4.2.1).
func (s *Section) join(x *exchange.Exchange) {
	if len(s.cookies) == 0 {
		return
	}
	all := s.cookies[0]
	if len(s.cookies) > 1 {
		n := 2 * (len(s.cookies) - 1)
		for _, one := range s.cookies {
			n += len(one)
		}
		b := x.Arena.Alloc(n)[:0]
		for i, one := range s.cookies {
			if i > 0 {
				b = append(b, ';', ' ')
			}
			b = append(b, one...)
		}
		all = mem.String(b)
	}
	x.Request.Header.Add("cookie", all)
}
