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
		i = nameEnd(b, i, isToken)
		if i == len(b) {
			return 0, nil
		}
		if b[i] != ':' || i == start {
			return endOfFields(b, start, i)
		}
		if f.lines++; f.lines > limit {
			return 0, errFields
		}
		end := textEnd(b, i+1)
		if end+1 >= len(b) {
			return 0, unfinished(b, end)
		}
		if b[end] != '\r' {
			return 0, notText(b[end])
		}
		if b[end+1] != '\n' {
			return 0, errLineEnd
		}
		name, line := mem.String(b[start:i]), ""
		from, to := i+1, end
		if from < to && b[from] == ' ' {
			from++
			line = mem.String(b[start : end+2])
		}
		if from < to && (blank(b[from]) || blank(b[to-1])) {
			from, to = trim(b, from, to)
			line = ""
		}
		value := mem.String(b[from:to])
		if f.plain(name) {
			f.header.AddLine(name, value, line)
		} else if err := f.add(name, value, line); err != nil {
			return 0, err
		}
		i = end + 2
	}
}

// unfinished judges a line that ends within b[end:], a byte or none.
func unfinished(b []byte, end int) *exchange.Error {
	if end < len(b) && b[end] != '\r' {
		return notText(b[end])
	}
	return nil
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

// framed has, by their length, the lower-case first letters of the fields that add
// looks at.
var framed = [...][2]byte{2: {'t'}, 4: {'h'}, 6: {'e'}, 7: {'u'}, 10: {'c', 'k'}, 14: {'c'}, 16: {'p'}, 17: {'t'}}

// plain reports whether a field of that name is surely none that add looks at: so
// it is with most, at one look.
func (f *fields) plain(name string) bool {
	if f.trailer {
		return false
	}
	if len(name) >= len(framed) {
		return true
	}
	first, of := name[0]|0x20, framed[len(name)]
	return first != of[0] && first != of[1]
}

// add takes one field line that may frame the message or belong to the connection.
func (f *fields) add(name, value, line string) *exchange.Error {
	if f.trailer {
		if Late(name) {
			f.header.AddLine(name, value, line)
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
	f.header.AddLine(name, value, line)
	return nil
}

// contentLength takes a Content-Length (RFC 9112, section 6.3): digits alone. A
// request has one at most; an answer may repeat it.
func (f *fields) contentLength(value string) *exchange.Error {
	if f.transfer != identity {
		return errFraming
	}
	if len(value) == 0 || len(value) > 18 {
		return errLength
	}
	n := int64(0)
	for i := range len(value) {
		if class[value[i]]&isDigit == 0 {
			return errLength
		}
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
