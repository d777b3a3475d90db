package wire

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// maxMethod bounds a method: none that is registered has more than 17 bytes.
const maxMethod = 64

// ParseRequest parses the request head at the start of b into h and returns
// its length. Zero without an error means that b ends before the head does:
// read more and call again. h.Header is overwritten from its start. seen, which may
// be nil, knows the requests that came before on the same connection.
//
// One empty line before the request line is skipped (RFC 9112, section 2.2).
func ParseRequest(b []byte, h *RequestHead, l Limits, seen *Seen) (int, *exchange.Error) {
	full := len(b) >= l.Head
	if full {
		b = b[:l.Head]
	}
	h.Reset()
	i, err := requestLine(b, h, l.Target)
	if err != nil {
		return 0, err
	}
	if i == 0 {
		return 0, ifFull(full, errTargetLong)
	}
	var f fields
	f.header, f.length, f.seen = h.Header, -1, seen
	n, err := f.read(b, i, l.Fields)
	h.Header = f.header
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, ifFull(full, errHeadLong)
	}
	if err := h.settle(&f); err != nil {
		return 0, err
	}
	return n, nil
}

// ifFull returns err when the bytes that a head may have are used up.
func ifFull(full bool, err *exchange.Error) *exchange.Error {
	if full {
		return err
	}
	return nil
}

// requestLine parses the request line into h. It returns the index behind it,
// or 0 when b ends before it.
func requestLine(b []byte, h *RequestHead, maxTarget int) (int, *exchange.Error) {
	i := len("GET ")
	if len(b) > i && string(b[:i]) == "GET " {
		h.Method = "GET"
	} else {
		var err *exchange.Error
		if i, err = method(b, h); i == 0 {
			return 0, err
		}
	}
	start := i
	i = pathEnd(b, i)
	question := i
	if i < len(b) && b[i] == '?' {
		for i++; i < len(b) && class[b[i]]&isQuery != 0; {
			i++
		}
	}
	if i-start > maxTarget {
		return 0, errTargetLong
	}
	if i == len(b) {
		return 0, nil
	}
	if b[i] != ' ' || i == start {
		return 0, badTarget(b[i], i == start)
	}
	h.Target = mem.String(b[start:i])
	h.Path = mem.String(b[start:question])
	if question < i {
		h.RawQuery, h.EmptyQuery = mem.String(b[question+1:i]), question+1 == i
	}
	i++
	n, err := requestEnd(b[i:], h)
	if n == 0 {
		return 0, err
	}
	return i + n, target(h)
}

// method parses what is before the target into h; see requestLine.
func method(b []byte, h *RequestHead) (int, *exchange.Error) {
	i, err := skipEmptyLine(b)
	if err != nil {
		return 0, err
	}
	start := i
	for i < len(b) && class[b[i]]&isMethod != 0 {
		i++
	}
	if i-start > maxMethod {
		return 0, errMethod
	}
	if i == len(b) {
		return 0, nil
	}
	if i == start || b[i] != ' ' {
		return 0, badStart(b[i], i == start)
	}
	h.Method = mem.String(b[start:i])
	return i + 1, nil
}

// requestEnd parses what is behind the target, which is the start of b, into h; see
// requestLine.
func requestEnd(b []byte, h *RequestHead) (int, *exchange.Error) {
	const usual = "HTTP/1.1\r\n"
	if len(b) >= len(usual) && string(b[:len(usual)]) == usual {
		h.Minor = 1
		return len(usual), nil
	}
	n, err := version(b)
	if n == 0 {
		return 0, err
	}
	h.Minor = int(b[7] - '0')
	if len(b) < n+2 || b[n] != '\r' || b[n+1] != '\n' {
		return 0, lineEnding(b[n:])
	}
	return n + 2, nil
}

// skipEmptyLine returns the index behind one CR LF at the start of b, if there is one.
func skipEmptyLine(b []byte) (int, *exchange.Error) {
	if len(b) == 0 || b[0] != '\r' && b[0] != '\n' {
		return 0, nil
	}
	if err := lineEnding(b); err != nil {
		return 0, err
	}
	if len(b) == 1 {
		return 1, nil
	}
	return 2, nil
}

// lineEnding returns an error unless b starts with CR LF, or with as much of it
// as there is.
func lineEnding(b []byte) *exchange.Error {
	switch {
	case len(b) == 0:
		return nil
	case b[0] == '\n':
		return errLineEnd
	case b[0] != '\r':
		return errRequestLine
	case len(b) > 1 && b[1] != '\n':
		return errLineEnd
	}
	return nil
}

// badStart names what is wrong with a method that ends in c.
func badStart(c byte, empty bool) *exchange.Error {
	if empty && (c == ' ' || c == '\r' || c == '\n') {
		return errRequestLine
	}
	return errMethod
}

// badTarget names what is wrong with a target that ends in c.
func badTarget(c byte, empty bool) *exchange.Error {
	if empty && c == ' ' || c == '\r' || c == '\n' || c == '\t' {
		return errRequestLine // two spaces, or HTTP/0.9
	}
	return errTarget
}

// version checks that b starts with HTTP/1.0 or HTTP/1.1 and returns the length
// of that, or 0 when b is too short.
func version(b []byte) (int, *exchange.Error) {
	const name = "HTTP/"
	if len(b) >= 8 && string(b[:7]) == name+"1." && b[7]|1 == '1' {
		return 8, nil
	}
	for i := range min(len(b), 8) {
		c := b[i]
		switch {
		case i < len(name):
			if c != name[i] {
				return 0, errRequestLine
			}
		case i == 6:
			if c != '.' {
				return 0, errRequestLine
			}
		case class[c]&isDigit == 0:
			return 0, errRequestLine
		}
	}
	if len(b) < 8 {
		return 0, nil
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, errVersion
	}
	return 8, nil
}

// settle checks what the fields say together and fills h from them.
func (h *RequestHead) settle(f *fields) *exchange.Error {
	if f.options.named {
		if err := f.dropNamed(); err != nil {
			return err
		}
	}
	if f.transfer == chunked {
		if h.Minor == 0 {
			return errTransfer
		}
		h.Chunked, h.ContentLength = true, -1
	} else {
		h.ContentLength = max(f.length, 0)
	}
	if err := h.authority(f); err != nil {
		return err
	}
	h.Close = f.options.close || h.Minor == 0 && !f.options.keepAlive
	if h.Minor == 1 {
		h.Expect = f.expect && h.ContentLength != 0
		if h.ContentLength == 0 {
			h.Upgrade = f.protocol()
		}
	}
	return nil
}
