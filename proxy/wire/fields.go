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
	host     string
	hosts    int
	badHost  bool
	length   int64 // Content-Length; -1 for none
	lengths  int
	transfer coding
	upgrade  string
	upgrades int
	options  options // Connection
	expect   bool
	trailer  bool // a trailer section: fields that must not come late are dropped, others are plain
	seen     *Seen
	response bool // equal Content-Lengths are one; Host, TE and Expect are plain fields
}

// read parses field lines from b[i] on, at most limit of them. It returns the
// index behind the section's empty line, or 0 when b ends before it.
func (f *fields) read(b []byte, i, limit int) (int, *exchange.Error) {
	if f.seen == nil {
		return f.scan(b, i, limit)
	}
	if lines, n := f.seen.same(b[i:]); n > 0 && len(lines) <= limit {
		return i + n, f.again(lines, mem.String(b[i:i+n]))
	}
	end, err := f.scan(b, i, limit)
	f.seen.keep(b[i:max(i, end)])
	return end, err
}

// again takes the lines that came before, of section.
func (f *fields) again(lines []line, section string) *exchange.Error {
	for i := range lines {
		l := &lines[i]
		text := section[:l.size]
		section = section[l.size:]
		if l.asCame { // then it is plain
			f.header.AddLine(text[:l.name], text[l.from:l.to], text)
		} else if err := f.take(l, text); err != nil {
			return err
		}
	}
	return nil
}

func (f *fields) scan(b []byte, i, limit int) (int, *exchange.Error) {
	var fresh line
	for lines := 0; ; {
		l := f.seen.next(b[i:])
		if l == nil {
			l = &fresh
			if end, err := f.cut(b, i, l); l.size == 0 {
				return end, err
			}
			f.seen.learn(l)
		}
		if lines++; lines > limit {
			return 0, errFields
		}
		end := i + int(l.size)
		if err := f.take(l, mem.String(b[i:end])); err != nil {
			return 0, err
		}
		i = end
	}
}

// cut takes the line at b[i] apart. If that is none, whole and well-formed, l.size
// is 0, and the results are those of read.
func (f *fields) cut(b []byte, i int, l *line) (int, *exchange.Error) {
	*l = line{}
	colon := nameEnd(b, i, isToken)
	if colon == len(b) {
		return 0, nil
	}
	if b[colon] != ':' || colon == i {
		return endOfFields(b, i, colon)
	}
	end := textEnd(b, colon+1)
	if end+1 >= len(b) {
		return 0, unfinished(b, end)
	}
	if b[end] != '\r' {
		return 0, notText(b[end])
	}
	if b[end+1] != '\n' {
		return 0, errLineEnd
	}
	from, to := colon+1, end
	if from < to && b[from] == ' ' {
		from++
		l.asCame = true
	}
	if from < to && (blank(b[from]) || blank(b[to-1])) {
		from, to = trim(b, from, to)
		l.asCame = false
	}
	l.size, l.name = int32(end+2-i), int32(colon-i)
	l.from, l.to = int32(from-i), int32(to-i)
	l.kind = f.kind(mem.String(b[i:colon]))
	if l.kind == hostField && !validAuthority(mem.String(b[from:to])) {
		l.kind = badHostField
	}
	l.asCame = l.asCame && l.kind == plain
	return 0, nil
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

// kind is what a field line is to the message it came with.
type kind uint8

const (
	plain     kind = iota // end-to-end
	rewritten             // the same, but not sent on as it came
	dropped
	hostField
	badHostField
	lengthField
	transferField
	connectionField
	upgradeField
	expectField
)

// framed has, by their length, the lower-case first letters of the fields that are
// not end-to-end.
var framed = [...][2]byte{2: {'t'}, 4: {'h'}, 6: {'e'}, 7: {'u'}, 10: {'c', 'k'}, 14: {'c'}, 16: {'p'}, 17: {'t'}}

// kind returns what a field of that name is. Most are told at one look.
func (f *fields) kind(name string) kind {
	if f.trailer {
		if Late(name) {
			return plain
		}
		return dropped
	}
	if len(name) >= len(framed) {
		return plain
	}
	if first, of := name[0]|0x20, framed[len(name)]; first != of[0] && first != of[1] {
		return plain
	}
	switch {
	case mem.EqualFold(name, "content-length"):
		return lengthField
	case mem.EqualFold(name, "transfer-encoding"):
		return transferField
	case mem.EqualFold(name, "connection"):
		return connectionField
	case mem.EqualFold(name, "upgrade"):
		return upgradeField
	case mem.EqualFold(name, "keep-alive"), mem.EqualFold(name, "proxy-connection"), !f.response && mem.EqualFold(name, "te"):
		return dropped
	case mem.EqualFold(name, "host"):
		if f.response {
			return rewritten
		}
		return hostField
	case !f.response && mem.EqualFold(name, "expect"):
		return expectField
	}
	return plain
}

// take takes the field line text, which l has taken apart.
func (f *fields) take(l *line, text string) *exchange.Error {
	name, value := text[:l.name], text[l.from:l.to]
	if l.kind == plain {
		if !l.asCame {
			text = ""
		}
		f.header.AddLine(name, value, text)
		return nil
	}
	switch l.kind {
	case rewritten:
		f.header.Add(name, value)
	case hostField, badHostField:
		f.host, f.badHost = value, l.kind == badHostField
		if f.hosts++; f.hosts > 1 {
			return errHostTwice
		}
	case lengthField:
		return f.contentLength(value)
	case transferField:
		return f.transferEncoding(value)
	case connectionField:
		return f.connection(name, value)
	case upgradeField:
		f.upgrade = value
		f.upgrades++
	case expectField:
		f.expect = true
		if len(value) != 12 || !mem.EqualFold(value, "100-continue") {
			return errExpect
		}
	}
	return nil
}

// contentLength takes a Content-Length (RFC 9112, section 6.3): digits alone. A
// request has one at most; an answer may repeat it, also as a list.
func (f *fields) contentLength(value string) *exchange.Error {
	if f.transfer != identity {
		return errFraming
	}
	first, rest, more := value, "", false
	if f.response { // from whatever has put its lines together
		first, rest, more = element(value)
	}
	n, ok := Length(first)
	for same := ""; ok && more; ok = ok && same == first {
		same, rest, more = element(rest)
	}
	if !ok {
		return errLength
	}
	if f.lengths++; f.lengths > 1 && (!f.response || n != f.length) {
		return errLengthTwice
	}
	f.length = n
	return nil
}

// Length reads a Content-Length, which is digits alone; zeros before them are of no
// account (RFC 9110, section 8.6).
func Length(value string) (n int64, ok bool) {
	for i := range len(value) {
		if class[value[i]]&isDigit == 0 || n >= 1e17 {
			return 0, false
		}
		n = n*10 + int64(value[i]-'0')
	}
	return n, value != ""
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
