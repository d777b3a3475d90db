package wire

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// coding is what Transfer-Encoding said.
type coding uint8

const (
	identity coding = iota // no Transfer-Encoding
	chunked
)

// fields reads a field section and keeps apart what frames the message or
// belongs to the connection.
type fields struct {
	header   exchange.Header // end-to-end fields
	lines    int
	host     string
	hosts    int
	length   int64 // Content-Length; -1 for none
	lengths  int
	transfer coding
	upgrade  string
	upgrades int
	options  options // Connection
	expect   bool
	trailers bool
	trailer  bool // a trailer section: fields that must not come late are dropped, others are plain
	response bool // equal Content-Lengths are one; Host, TE and Expect are plain fields
}

// read parses field lines from b[i] on, at most limit of them. It returns the
// index behind the section's empty line, or 0 when b ends before it.
func (f *fields) read(b []byte, i, limit int) (int, *exchange.Error) {
	for {
		start := i
		for i < len(b) && class[b[i]]&isToken != 0 {
			i++
		}
		if i == len(b) {
			return 0, nil
		}
		if b[i] != ':' || i == start {
			return endOfFields(b, start, i)
		}
		if f.lines++; f.lines > limit {
			return 0, errFields
		}
		name := mem.String(b[start:i])
		end := textEnd(b, i+1)
		if end == len(b) {
			return 0, nil
		}
		if b[end] != '\r' {
			return 0, notText(b[end])
		}
		if end+1 == len(b) {
			return 0, nil
		}
		if b[end+1] != '\n' {
			return 0, errLineEnd
		}
		from, to := trim(b, i+1, end)
		line := ""
		if b[i+1] == ' ' && from == i+2 && to == end {
			line = mem.String(b[start : end+2])
		}
		if err := f.add(name, mem.String(b[from:to]), line); err != nil {
			return 0, err
		}
		i = end + 2
	}
}

// endOfFields judges a line that is not a field line: it stops at b[i].
func endOfFields(b []byte, start, i int) (int, *exchange.Error) {
	switch c := b[i]; {
	case i > start:
		return 0, errFieldName
	case c == ' ' || c == '\t':
		return 0, errFold
	case c == '\n':
		return 0, errLineEnd
	case c != '\r':
		return 0, errFieldName
	case i+1 == len(b):
		return 0, nil
	case b[i+1] != '\n':
		return 0, errLineEnd
	}
	return i + 2, nil
}

// notText names what is wrong with a line that holds the control character c.
func notText(c byte) *exchange.Error {
	if c == '\n' {
		return errLineEnd
	}
	return errFieldValue
}

// add takes one field line; line is as exchange.Field has it.
func (f *fields) add(name, value, line string) *exchange.Error {
	if f.trailer {
		if Late(name) {
			f.header = append(f.header, exchange.Field{Name: name, Value: value, Line: line})
		}
		return nil
	}
	switch len(name) {
	case 2:
		if !f.response && mem.EqualFold(name, "te") {
			f.trailers = f.trailers || listed(value, "trailers")
			return nil
		}
	case 4:
		if !mem.EqualFold(name, "host") {
			break
		}
		if f.response {
			line = "" // framing fields are not sent on as they came
			break
		}
		f.host = value
		if f.hosts++; f.hosts > 1 {
			return errHostTwice
		}
		return nil
	case 6:
		if !f.response && mem.EqualFold(name, "expect") {
			f.expect = true
			if len(value) != 12 || !mem.EqualFold(value, "100-continue") {
				return errExpect
			}
			return nil
		}
	case 7:
		if mem.EqualFold(name, "upgrade") {
			f.upgrade = value
			f.upgrades++
			return nil
		}
	case 10:
		if mem.EqualFold(name, "connection") {
			return f.connection(name, value)
		}
		if mem.EqualFold(name, "keep-alive") {
			return nil
		}
	case 14:
		if mem.EqualFold(name, "content-length") {
			return f.contentLength(value)
		}
	case 16:
		if mem.EqualFold(name, "proxy-connection") {
			return nil
		}
	case 17:
		if mem.EqualFold(name, "transfer-encoding") {
			return f.transferEncoding(value)
		}
	}
	f.header = append(f.header, exchange.Field{Name: name, Value: value, Line: line})
	return nil
}

// contentLength takes a Content-Length (RFC 9112, section 6.3): digits alone. A
// request has one at most; an answer may repeat it.
func (f *fields) contentLength(value string) *exchange.Error {
	if f.transfer != identity {
		return errFraming
	}
	if len(value) == 0 || len(value) > 18 || !is(value, isDigit) {
		return errLength
	}
	n := int64(0)
	for i := range len(value) {
		n = n*10 + int64(value[i]-'0')
	}
	if f.lengths++; f.lengths > 1 && (!f.response || n != f.length) {
		return errLengthTwice
	}
	f.length = n
	return nil
}

// transferEncoding takes a Transfer-Encoding (RFC 9112, section 6.1). Nothing
// but one "chunked" is understood. Which of the two errors a longer list gets
// says whether its framing would have been sound.
func (f *fields) transferEncoding(value string) *exchange.Error {
	if f.lengths > 0 {
		return errFraming
	}
	if f.transfer != identity {
		return errTransfer // a second line: chunked is not last or comes twice
	}
	if mem.EqualFold(value, "chunked") {
		f.transfer = chunked
		return nil
	}
	unknown := false
	for rest := value; ; {
		var coding string
		var more bool
		coding, rest, more = element(rest)
		switch {
		case coding == "" || !is(coding, isToken):
			return errTransfer
		case !mem.EqualFold(coding, "chunked"):
			unknown = true
		case more:
			return errTransfer
		}
		if !more {
			break
		}
	}
	if unknown {
		return errTransferUnknown
	}
	return errTransfer
}

// element cuts the first element off a comma-separated list, and says whether
// there is a comma behind it.
func element(list string) (first, rest string, more bool) {
	i := 0
	for i < len(list) && list[i] != ',' {
		i++
	}
	from, to := trim(mem.Bytes(list), 0, i)
	if i == len(list) {
		return list[from:to], "", false
	}
	return list[from:to], list[i+1:], true
}

// listed reports whether list has an element that is name, which is lower case.
func listed(list, name string) bool {
	for more := true; more; {
		var e string
		if e, list, more = element(list); mem.EqualFold(e, name) {
			return true
		}
	}
	return false
}
