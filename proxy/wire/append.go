package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// RequestOptions say how a request is framed on its backend connection.
type RequestOptions struct {
	Upgrade bool   // offer x.Request.Upgrade
	Close   bool   // Connection: close
	Lines   string // whole field lines, well-formed, to come last
}

// AppendRequestHead appends the head of x.Request, in origin-form. Content is
// chunked when its length is not known.
//
// Control characters never reach the wire, whoever put them into the exchange:
// those in values become spaces, those in the target are percent-encoded, and
// fields whose name is no token are left out. So are the fields which frame the
// message, should some filter have set them.
func AppendRequestHead(dst []byte, x *exchange.Exchange, o RequestOptions) []byte {
	r := &x.Request
	dst = AppendText(dst, r.Method)
	dst = append(dst, ' ')
	dst = AppendTarget(dst, r.Path, r.RawQuery, r.EmptyQuery)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = AppendText(dst, r.Authority)
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, r.Header)
	switch {
	case r.Body != nil && r.ContentLength < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Body != nil || WantsLength(r.Method):
		dst = appendLength(dst, max(r.ContentLength, 0))
	}
	upgrade := ""
	if o.Upgrade {
		upgrade = r.Upgrade
	}
	dst = appendConnection(dst, connection{close: o.Close, upgrade: upgrade})
	dst = append(dst, o.Lines...)
	return append(dst, '\r', '\n')
}

// WantsLength reports the methods that expect content, for which RFC 9110,
// section 8.6 wants a Content-Length of 0 when there is none.
func WantsLength(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

// ResponseOptions say how an answer is framed on its client connection.
type ResponseOptions struct {
	Close     bool   // Connection: close
	KeepAlive bool   // Connection: keep-alive, which an HTTP/1.0 client waits for
	Chunked   bool   // content whose length is not known is chunked; else it ends with the connection
	Upgrade   string // with 101, the protocol switched to
	Date      string // added unless the answer has its own; empty for none
}

// AppendResponseHead appends the head of x.Response; see AppendRequestHead for
// what it does about control characters. Content-Length is left out where it
// must not be: 1xx and 204.
func AppendResponseHead(dst []byte, x *exchange.Exchange, o ResponseOptions) []byte {
	r := &x.Response
	dst = appendStatus(dst, r.Status)
	dst = appendFields(dst, r.Header)
	if o.Date != "" {
		if _, ok := r.Header.Get("date"); !ok {
			dst = append(dst, "Date: "...)
			dst = append(dst, o.Date...)
			dst = append(dst, '\r', '\n')
		}
	}
	switch {
	case r.Status < 200 || r.Status == 204:
	case r.ContentLength >= 0:
		dst = appendLength(dst, r.ContentLength)
	case o.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = appendConnection(dst, connection{close: o.Close, keepAlive: o.KeepAlive, upgrade: o.Upgrade})
	return append(dst, '\r', '\n')
}

// statusLines are those of 100 to 599.
var statusLines = func() (t [500]string) {
	for i := range t {
		t[i] = statusLine(100 + i)
	}
	return t
}()

func statusLine(status int) string {
	return "HTTP/1.1 " + strconv.Itoa(status) + " " + exchange.StatusText(status) + "\r\n"
}

func appendStatus(dst []byte, status int) []byte {
	if i := status - 100; 0 <= i && i < len(statusLines) {
		return append(dst, statusLines[i]...)
	}
	return append(dst, statusLine(status)...)
}

// AppendChunkHead appends what comes before size bytes of data, size > 0. CR LF
// comes behind them.
func AppendChunkHead(dst []byte, size int) []byte {
	return append(strconv.AppendUint(dst, uint64(size), 16), '\r', '\n')
}

// AppendLastChunk appends the end of chunked content.
func AppendLastChunk(dst []byte, trailer exchange.Header) []byte {
	dst = append(dst, '0', '\r', '\n')
	return append(appendFields(dst, trailer), '\r', '\n')
}

// AppendContinue appends the interim answer 100 Continue.
func AppendContinue(dst []byte) []byte { return append(dst, "HTTP/1.1 100 Continue\r\n\r\n"...) }

// connection is what the Connection field of a message says.
type connection struct {
	close, keepAlive bool
	upgrade          string
}

func appendConnection(dst []byte, c connection) []byte {
	if !c.close && !c.keepAlive && c.upgrade == "" {
		return dst
	}
	return c.append(dst)
}

func (c connection) append(dst []byte) []byte {
	if c.upgrade != "" {
		dst = append(dst, "Upgrade: "...)
		dst = append(AppendText(dst, c.upgrade), '\r', '\n')
	}
	dst = append(dst, "Connection: "...)
	start := len(dst)
	option := func(on bool, name string) {
		if on {
			if len(dst) > start {
				dst = append(dst, ',', ' ')
			}
			dst = append(dst, name...)
		}
	}
	option(c.close, "close")
	option(c.keepAlive && !c.close, "keep-alive")
	option(c.upgrade != "", "Upgrade")
	return append(dst, '\r', '\n')
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	return append(strconv.AppendInt(dst, n, 10), '\r', '\n')
}

// appendFields appends the fields that are not this package's own business. Lines
// which follow each other as they came, as most do, are copied at one time.
func appendFields(dst []byte, h exchange.Header) []byte {
	for i := 0; i < len(h); i++ {
		f := &h[i]
		if !asCame(f) {
			dst = appendField(dst, f)
			continue
		}
		first, n := f.Line, len(f.Line)
		for i+1 < len(h) && mem.Within(first, n, h[i+1].Line) && asCame(&h[i+1]) {
			i++
			n += len(h[i].Line)
		}
		dst = append(dst, mem.Longer(first, n)...)
	}
	return dst
}

// asCame reports whether f is what its Line says, which was found good when it
// came: its parts are still views of that.
func asCame(f *exchange.Field) bool {
	n := len(f.Name)
	return len(f.Line) == n+2+len(f.Value)+2 && mem.Within(f.Line, 0, f.Name) && mem.Within(f.Line, n+2, f.Value)
}

func appendField(dst []byte, f *exchange.Field) []byte {
	if f.Name == "" || !is(f.Name, isToken) || framing(f.Name) {
		return dst
	}
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = AppendText(dst, f.Value)
	return append(dst, '\r', '\n')
}

// framing reports the fields that are written from what the exchange says, and
// never from its header.
func framing(name string) bool {
	switch len(name) {
	case 4:
		return mem.EqualFold(name, "host")
	case 10:
		return mem.EqualFold(name, "connection")
	case 14:
		return mem.EqualFold(name, "content-length")
	case 17:
		return mem.EqualFold(name, "transfer-encoding")
	}
	return false
}

// AppendText appends s with its control characters made spaces.
func AppendText(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i := start; ; i++ {
		if i = textEnd(dst, i); i == len(dst) {
			return dst
		}
		dst[i] = ' '
	}
}

// AppendTarget appends a request target in origin-form; query comes without its
// question mark, and empty says that one without a query is there.
func AppendTarget(dst []byte, path, query string, empty bool) []byte {
	dst = appendTarget(dst, path)
	if query != "" || empty {
		dst = append(dst, '?')
		dst = appendTarget(dst, query)
	}
	return dst
}

// appendTarget appends s, part of a request target, with whatever would end the
// target percent-encoded.
func appendTarget(dst []byte, s string) []byte {
	if visible(s) {
		return append(dst, s...)
	}
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; class[c]&isQuery != 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// visible reports whether s can stand in a request target.
func visible(s string) bool {
	b := mem.Bytes(s)
	last := len(b) - 8
	if last < 0 {
		return is(s, isQuery)
	}
	bad := invisible(binary.LittleEndian.Uint64(b[last:]))
	for i := 0; i < last; i += 8 {
		bad |= invisible(binary.LittleEndian.Uint64(b[i:]))
	}
	return bad == 0
}
