// Package sni reads the server name that a TLS client asks for (RFC 6066,
// section 3) from the first bytes it sends, without ending TLS.
//
// proxy/listener calls it where one port both ends TLS and passes it through. It
// calls nothing. It takes a ClientHello in one way only: whatever is cut off,
// overlong, doubled or out of place is refused, so that a backend which is more
// lenient never sees another name than the one that was routed by.
package sni

import (
	"errors"
	"strings"
)

// Max is how many bytes of records a ClientHello may take up, headers included.
const Max = 16 << 10

// The errors of Parse.
var (
	ErrNotTLS    = errors.New("sni: these are not TLS handshake records")
	ErrMalformed = errors.New("sni: the ClientHello is malformed")
	ErrTooLarge  = errors.New("sni: the ClientHello is larger than 16 KiB")
)

// What stands in records and messages (RFC 8446, sections 4 and 5.1).
const (
	recordHandshake   = 22
	recordHeader      = 5
	maxRecord         = 1 << 14 // bytes of plaintext
	maxRecords        = 64      // that one ClientHello may be cut into
	messageHello      = 1
	messageHeader     = 4
	extServerName     = 0
	nameHost          = 0
	maxName           = 255
	randomBytes       = 32
	maxSession        = 32
	minHello          = 2 + randomBytes + 1 + 2 + 2 + 1 + 1
	maxHandshakeBytes = Max
)

// Parse looks for a whole ClientHello at the start of b, in as many records as
// it comes in. done is false as long as more bytes are needed. name is in lower
// case and without a final dot; empty when the client names no server.
func Parse(b []byte) (name string, done bool, err error) {
	hello, done, err := message(b)
	if err != nil || !done {
		return "", false, err
	}
	name, ok := serverName(hello)
	if !ok {
		return "", false, ErrMalformed
	}
	return name, true, nil
}

// message joins the records to the body of the first handshake message.
func message(b []byte) (body []byte, done bool, err error) {
	var joined []byte
	used := 0
	for range maxRecords {
		record := b[used:]
		switch {
		case len(record) > 0 && record[0] != recordHandshake,
			len(record) > 1 && record[1] != 3: // TLS 1.3 still says 3.1 or 3.3
			return nil, false, ErrNotTLS
		case len(record) < recordHeader:
			return nil, false, room(used + recordHeader)
		}
		size := int(record[3])<<8 | int(record[4])
		if size == 0 || size > maxRecord {
			return nil, false, ErrMalformed
		}
		if len(record) < recordHeader+size {
			return nil, false, early(joined, record[recordHeader:], used+recordHeader+size)
		}
		if part := record[recordHeader : recordHeader+size]; used == 0 {
			joined = part[:size:size] // a view of b: the next record makes a copy
		} else {
			joined = append(joined, part...)
		}
		used += recordHeader + size
		whole, err := length(joined)
		switch {
		case err != nil:
			return nil, false, err
		case whole < 0 || len(joined) < whole:
			continue
		case len(joined) > whole: // a client may not send more before it is answered
			return nil, false, ErrMalformed
		}
		return joined[messageHeader:], true, nil
	}
	return nil, false, ErrMalformed
}

// early refuses a message by what has come of a record that is not complete.
func early(joined, part []byte, need int) error {
	if len(joined) < messageHeader {
		head := append(joined[:len(joined):len(joined)], part[:min(len(part), messageHeader)]...)
		if _, err := length(head); err != nil {
			return err
		}
	}
	return room(need)
}

// room refuses to wait for more bytes than a ClientHello may have.
func room(need int) error {
	if need > Max {
		return ErrTooLarge
	}
	return nil
}

// length returns how long the message is, its header included; -1 when that has
// not come yet.
func length(b []byte) (int, error) {
	if len(b) > 0 && b[0] != messageHello {
		return 0, ErrMalformed
	}
	if len(b) < messageHeader {
		return -1, nil
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	switch {
	case n+messageHeader > maxHandshakeBytes-recordHeader:
		return 0, ErrTooLarge
	case n < minHello:
		return 0, ErrMalformed
	}
	return n + messageHeader, nil
}

// serverName walks the body of a ClientHello (RFC 8446, section 4.1.2).
func serverName(b []byte) (name string, ok bool) {
	r := reader{b}
	version, ok := r.take(2)
	if !ok || version[0] != 3 {
		return "", false
	}
	if _, ok = r.take(randomBytes); !ok {
		return "", false
	}
	session, ok := r.vector(1)
	if !ok || len(session) > maxSession {
		return "", false
	}
	suites, ok := r.vector(2)
	if !ok || len(suites) == 0 || len(suites)%2 != 0 {
		return "", false
	}
	compression, ok := r.vector(1)
	if !ok || len(compression) == 0 {
		return "", false
	}
	if len(r.rest) == 0 { // TLS 1.2 without extensions
		return "", true
	}
	list, ok := r.vector(2)
	if !ok || len(r.rest) > 0 {
		return "", false
	}
	return inExtensions(list)
}

// inExtensions finds the server name among the extensions; each may stand there
// once.
func inExtensions(list []byte) (name string, ok bool) {
	r := reader{list}
	seen := false
	for len(r.rest) > 0 {
		kind, ok := r.take(2)
		if !ok {
			return "", false
		}
		data, ok := r.vector(2)
		if !ok {
			return "", false
		}
		if int(kind[0])<<8|int(kind[1]) != extServerName {
			continue
		}
		if seen {
			return "", false
		}
		seen = true
		if name, ok = inList(data); !ok {
			return "", false
		}
	}
	return name, true
}

// inList reads a ServerNameList with exactly one name, of a host.
func inList(data []byte) (name string, ok bool) {
	r := reader{data}
	list, ok := r.vector(2)
	if !ok || len(r.rest) > 0 {
		return "", false
	}
	r = reader{list}
	kind, ok := r.take(1)
	if !ok || kind[0] != nameHost {
		return "", false
	}
	host, ok := r.vector(2)
	if !ok || len(r.rest) > 0 {
		return "", false
	}
	return hostName(host)
}

// hostName checks that a name is one DNS could have, in letters of ASCII, and
// no address.
func hostName(b []byte) (string, bool) {
	b = b[:len(b)-dots(b)]
	if len(b) == 0 || len(b) > maxName || b[0] == '.' || b[len(b)-1] == '.' {
		return "", false
	}
	digits := true // of the last label: an IPv4 address, which may not be sent
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
			digits = false
		case '0' <= c && c <= '9':
		case c == '.' && b[i-1] != '.':
			digits = true
		default:
			return "", false
		}
	}
	if digits {
		return "", false
	}
	return strings.ToLower(string(b)), true
}

// dots is 1 for a name with a final dot.
func dots(b []byte) int {
	if len(b) > 1 && b[len(b)-1] == '.' {
		return 1
	}
	return 0
}

// reader takes bytes from the front.
type reader struct{ rest []byte }

func (r *reader) take(n int) ([]byte, bool) {
	if len(r.rest) < n {
		return nil, false
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, true
}

// vector takes a length of so many bytes, and then as much.
func (r *reader) vector(lengthBytes int) ([]byte, bool) {
	head, ok := r.take(lengthBytes)
	if !ok {
		return nil, false
	}
	n := 0
	for _, c := range head {
		n = n<<8 | int(c)
	}
	return r.take(n)
}
