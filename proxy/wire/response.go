package wire

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// ParseResponse parses the response head at the start of b, the answer to a
// request with that method, and returns its length; zero without an error means
// read more. 1xx are heads like others: the caller goes on with the next. Every
// error is 502 backend_bad_response. seen, which may be nil, knows the answers that
// came before on the same connection.
//
// It is as strict as ParseRequest, with two allowances for what servers really
// send: the space before an empty reason may be missing, and Content-Length may
// be repeated, as lines or as a list, if its values are equal (RFC 9112, section 6.3).
func ParseResponse(b []byte, method string, h *ResponseHead, l Limits, seen *Seen) (int, *exchange.Error) {
	n, err := response(b, method, h, l, seen)
	if err != nil {
		return 0, fromBackend(err)
	}
	return n, nil
}

func response(b []byte, method string, h *ResponseHead, l Limits, seen *Seen) (int, *exchange.Error) {
	full := len(b) >= l.Head
	if full {
		b = b[:l.Head]
	}
	h.Reset()
	const usual = "HTTP/1.1 200 OK\r\n"
	i := len(usual)
	if len(b) >= i && string(b[:i]) == usual {
		h.Minor, h.Status = 1, 200
	} else {
		var err *exchange.Error
		if i, err = parseStatus(b, h); err != nil {
			return 0, err
		}
		if i == 0 {
			return 0, ifFull(full, errHeadLong)
		}
	}
	var f fields
	f.header, f.length, f.response, f.seen = h.Header, -1, true, seen
	n, err := f.read(b, i, l.Fields)
	h.Header = f.header
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, ifFull(full, errHeadLong)
	}
	if err := h.settle(&f, method); err != nil {
		return 0, err
	}
	return n, nil
}

// parseStatus parses the status line into h. It returns the index behind it, or
// 0 when b ends before it.
func parseStatus(b []byte, h *ResponseHead) (int, *exchange.Error) {
	switch n, err := version(b); {
	case err == errRequestLine:
		return 0, errStatusLine
	case n == 0:
		return 0, err
	}
	h.Minor = int(b[7] - '0')
	if len(b) < 13 {
		return 0, beginsStatus(b[8:])
	}
	if b[8] != ' ' || class[b[9]]&class[b[10]]&class[b[11]]&isDigit == 0 {
		return 0, errStatusLine
	}
	h.Status = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	if h.Status < 100 || h.Status > 599 || b[12] != ' ' && b[12] != '\r' && b[12] != '\n' {
		return 0, errStatusLine
	}
	end := textEnd(b, 12)
	if end < len(b) && b[end] != '\r' {
		return 0, notText(b[end])
	}
	if end+1 >= len(b) {
		return 0, nil
	}
	if b[end+1] != '\n' {
		return 0, errLineEnd
	}
	return end + 2, nil
}

// beginsStatus returns an error unless b, up to four bytes, can be the beginning of
// a status.
func beginsStatus(b []byte) *exchange.Error {
	for i := range b {
		if i == 0 && b[i] != ' ' || i > 0 && class[b[i]]&isDigit == 0 {
			return errStatusLine
		}
	}
	return nil
}

// settle decides where the content ends (RFC 9112, section 6.3) and fills h.
func (h *ResponseHead) settle(f *fields, method string) *exchange.Error {
	if f.options.named {
		if err := f.dropNamed(); err != nil {
			return err
		}
	}
	if f.transfer == chunked && (h.Minor == 0 || h.Status < 200 || h.Status == 204) {
		return errTransfer
	}
	h.Close = f.options.close || h.Minor == 0 && !f.options.keepAlive
	h.ContentLength = f.length
	switch {
	case (h.Status < 200 || h.Status == 204) && f.length > 0:
		return errFraming // RFC 9110, section 8.6: what follows may be its content, or not
	case h.Status < 200 || h.Status == 204:
		h.NoBody, h.ContentLength = true, -1
		if h.Status == 101 {
			h.Upgrade = f.protocol()
		}
	case h.Status == 304 || method == "HEAD":
		h.NoBody = true
	case f.transfer == chunked:
		h.Chunked = true
	case f.lengths == 0:
		h.UntilClose, h.Close = true, true
	}
	return nil
}
