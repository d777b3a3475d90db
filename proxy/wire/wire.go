// Package wire is the syntax of HTTP/1.1 messages (RFC 9112) as pure functions,
// in both directions: bytes to heads and chunks, heads and chunks to bytes.
//
// proxy/http1 reads requests and writes answers with it, proxy/upstream the
// other way round. It calls mem and exchange only; it reads no socket and keeps
// no state but what Chunks and Seen hold.
//
// It is strict, because a message that two programs frame differently is how
// requests are smuggled: every message it accepts has one reading, every other
// one is refused with a named Error. Nothing is repaired. In particular lines
// end in CR LF, never in a bare LF; field lines are not folded; Content-Length
// and Transfer-Encoding never occur together, twice, or in any other form than
// digits and "chunked". ParseResponse says what it allows answers beyond that.
//
// Parsing does not allocate once the head's Header has its capacity. Strings in
// a head are views of the bytes parsed.
package wire

import "github.com/gatehouse-dev/gatehouse/proxy/exchange"

// Limits bound a message head.
type Limits struct {
	Head   int // bytes of the whole head, its empty line included; beyond: 431
	Target int // bytes of the request target; beyond: 414
	Fields int // field lines; beyond: 431
}

// RequestHead is a request line and its fields.
type RequestHead struct {
	Method    string
	Target    string // as sent
	Scheme    string // "http" or "https" from an absolute-form target, else empty
	Authority string // host[:port] of the target or the Host field; empty only with HTTP/1.0
	Path      string // "/..." or "*"
	RawQuery  string // without the question mark
	Minor     int    // 0 or 1
	// EmptyQuery says that there is a question mark and nothing behind it.
	EmptyQuery bool
	// Header has the end-to-end fields. Host, Content-Length, Expect and all
	// that belongs to the connection (RFC 9110, section 7.6.1) are not in it.
	Header        exchange.Header
	ContentLength int64  // -1 when chunked
	Chunked       bool   // content is chunked
	Close         bool   // the connection ends after this exchange
	Expect        bool   // the client waits for 100 Continue
	Upgrade       string // the one protocol offered, if Connection names upgrade and there is no content
}

// Reset makes h an empty one that keeps the memory of its Header.
func (h *RequestHead) Reset() {
	header := h.Header[:0]
	*h = RequestHead{}
	h.Header = header
}

// ResponseHead is a status line and its fields.
type ResponseHead struct {
	Status int
	Minor  int
	// Header has the end-to-end fields, without Content-Length.
	Header        exchange.Header
	ContentLength int64  // as declared, also when NoBody; -1 when not
	Chunked       bool   // content is chunked
	UntilClose    bool   // content ends with the connection
	NoBody        bool   // no content follows: 1xx, 204, 304 and answers to HEAD
	Close         bool   // the connection ends after this exchange
	Upgrade       string // with 101, the protocol switched to
}

// Reset makes h an empty one that keeps the memory of its Header.
func (h *ResponseHead) Reset() {
	header := h.Header[:0]
	*h = ResponseHead{}
	h.Header = header
}
