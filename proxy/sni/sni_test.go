package sni

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// capture keeps what a TLS client writes first.
type capture struct {
	net.Conn
	sent bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error)      { return c.sent.Write(b) }
func (c *capture) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (c *capture) SetDeadline(time.Time) error      { return nil }
func (c *capture) SetReadDeadline(time.Time) error  { return nil }
func (c *capture) SetWriteDeadline(time.Time) error { return nil }
func (c *capture) Close() error                     { return nil }

// hello is what crypto/tls says to a server of that name.
func hello(name string, versions ...uint16) []byte {
	c := &capture{}
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2"}} //nolint:gosec // nothing is verified
	if len(versions) > 0 {
		config.MaxVersion = versions[0]
	}
	_ = tls.Client(c, config).Handshake()
	return c.sent.Bytes()
}

// records cuts the body of one record into records of size bytes.
func records(b []byte, size int) (out []byte) {
	for body := b[recordHeader:]; len(body) > 0; body = body[min(size, len(body)):] {
		part := body[:min(size, len(body))]
		out = append(append(out, recordHandshake, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	return out
}

// extension is a ClientHello with extensions of our own making.
func extension(list ...byte) []byte {
	return fields(0, 2, 1, append([]byte{byte(len(list) >> 8), byte(len(list))}, list...)...)
}

// fields is a ClientHello with so many bytes of session, suites and compression.
func fields(session, suites, compression int, rest ...byte) []byte {
	body := append([]byte{3, 3}, make([]byte, randomBytes)...)
	body = append(append(body, byte(session)), make([]byte, session)...)
	body = append(append(body, 0, byte(suites)), make([]byte, suites)...)
	body = append(append(body, byte(compression)), make([]byte, compression)...)
	return wrap(append(body, rest...))
}

func wrap(body []byte) []byte {
	n := len(body)
	b := []byte{recordHandshake, 3, 1, byte((n + 4) >> 8), byte(n + 4), messageHello, byte(n >> 16), byte(n >> 8), byte(n)}
	return append(b, body...)
}

// named is a server_name extension with one name.
func named(kind byte, name string) []byte {
	n := len(name)
	return append([]byte{0, 0, byte((n + 5) >> 8), byte(n + 5), byte((n + 3) >> 8), byte(n + 3), kind, byte(n >> 8), byte(n)}, name...)
}

func TestParse(t *testing.T) {
	expect := func(what string, b []byte, want string, fails error) {
		t.Helper()
		name, done, err := Parse(b)
		if name != want || !errors.Is(err, fails) || done != (fails == nil) {
			t.Errorf("%s: %q done=%v %v; want %q %v", what, name, done, err, want, fails)
		}
	}
	expect("TLS 1.3", hello("db.example.com"), "db.example.com", nil)
	expect("TLS 1.2", hello("db.example.com", tls.VersionTLS12), "db.example.com", nil)
	expect("no name", hello(""), "", nil)
	expect("two records", records(hello("db.example.com"), 100), "db.example.com", nil)
	expect("many records", records(hello("db.example.com"), 32), "db.example.com", nil)
	expect("too many records", records(hello("db.example.com"), 1), "", ErrMalformed)
	expect("capitals", extension(named(0, "DB.Example.COM")...), "db.example.com", nil)
	expect("final dot", extension(named(0, "db.example.com.")...), "db.example.com", nil)
	expect("no extensions", extension(), "", nil)

	expect("digits, hyphen, underscore", extension(named(0, "9a.db-1_z.Z0.example")...), "9a.db-1_z.z0.example", nil)
	longest := strings.Repeat("a.", maxName/2) + "a"
	expect("the longest name", extension(named(0, longest)...), longest, nil)
	expect("TLS 1.2 without extensions", fields(maxSession, 2, 1), "", nil)
	expect("another kind of name", extension(named(1, "db.example.com")...), "", ErrMalformed)
	expect("two names", extension(append(named(0, "a.example"), named(0, "b.example")...)...), "", ErrMalformed)
	expect("an address", extension(named(0, "192.0.2.1")...), "", ErrMalformed)
	expect("an empty name", extension(named(0, "")...), "", ErrMalformed)
	expect("a dot", extension(named(0, ".")...), "", ErrMalformed)
	expect("too long a name", extension(named(0, longest+"a")...), "", ErrMalformed)
	expect("an empty label", extension(named(0, "a..b")...), "", ErrMalformed)
	expect("a dot in front", extension(named(0, ".a")...), "", ErrMalformed)
	expect("a last label of digits", extension(named(0, "a.1")...), "", ErrMalformed)
	expect("a zero byte", extension(named(0, "a\x00.example")...), "", ErrMalformed)
	expect("a cut extension", extension(named(0, "a.example")[:8]...), "", ErrMalformed)
	one := named(0, "a.example")
	both := slices.Concat(one, one[6:]) // in one list
	both[3], both[5] = byte(len(both)-4), byte(len(both)-6)
	expect("two names in a list", extension(both...), "", ErrMalformed)
	both[5] = one[5]
	expect("more behind the list", extension(both...), "", ErrMalformed)
	expect("more behind the extensions", fields(0, 2, 1, 0, 0, 0), "", ErrMalformed)
	expect("too long a session", fields(maxSession+1, 2, 1), "", ErrMalformed)
	expect("no suites", fields(0, 0, 3), "", ErrMalformed)
	expect("half a suite", fields(0, 3, 1), "", ErrMalformed)
	expect("no compression", fields(0, 4, 0), "", ErrMalformed)
	old := fields(0, 2, 1)
	old[9] = 2
	expect("another version", old, "", ErrMalformed)
	expect("plain HTTP", []byte("GET / HTTP/1.1\r\n"), "", ErrNotTLS)
	expect("an alert", []byte{21, 3, 1, 0, 2, 1, 0}, "", ErrNotTLS)
	expect("another version of records", []byte{recordHandshake, 2}, "", ErrNotTLS)
	expect("SSL 2", []byte{0x80, 0x2e, 1, 3, 1}, "", ErrNotTLS)
	expect("another message", []byte{recordHandshake, 3, 1, 0, 60, 2}, "", ErrMalformed)
	expect("an empty record", []byte{recordHandshake, 3, 1, 0, 0}, "", ErrMalformed)
	expect("an overlong record", []byte{recordHandshake, 3, 1, 0x40, 1}, "", ErrMalformed)
	expect("too large", []byte{recordHandshake, 3, 1, 0x3f, 0xff, messageHello, 0, 0x40, 0}, "", ErrTooLarge)
	full := wrap(make([]byte, Max-13))
	expect("too large with its records", append(records(full, Max-300)[:Max-295], recordHandshake, 3, 1, 1, 0x23), "", ErrTooLarge)
	more := append(hello("db.example.com"), recordHandshake)
	expect("a byte behind it", more, "db.example.com", nil)
	long := hello("db.example.com")
	long[4]++
	expect("a message and more in one record", append(long, 0), "", ErrMalformed)
}

// TestParseInPieces: as long as bytes are missing Parse asks for more.
func TestParseInPieces(t *testing.T) {
	for _, whole := range [][]byte{hello("db.example.com"), records(hello("db.example.com"), 64)} {
		for n := range whole {
			if name, done, err := Parse(whole[:n]); name != "" || done || err != nil {
				t.Fatalf("%d bytes: %q %v %v", n, name, done, err)
			}
		}
	}
}

// told is a connection on which a client has said something and waits.
type told struct {
	capture
	in *bytes.Reader
}

func (c *told) Read(b []byte) (int, error) { return c.in.Read(b) }

// nameByTLS is the name that crypto/tls hears in a ClientHello, if it takes that.
func nameByTLS(b []byte) (name string, ok bool) {
	config := &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { //nolint:gosec // no connection is made
		name, ok = h.ServerName, true
		return nil, net.ErrClosed
	}}
	_ = tls.Server(&told{in: bytes.NewReader(b)}, config).Handshake()
	return name, ok
}

// What is taken for a whole ClientHello says the same to crypto/tls, and a part of it
// says nothing else.
func FuzzParse(f *testing.F) {
	f.Add(hello("db.example.com"))
	f.Add(records(hello("a.b.example"), 50))
	f.Add(extension(named(0, "a.example")...))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, done, err := Parse(b)
		if name != "" && (!done || err != nil) || done && err != nil {
			t.Fatalf("%q %v %v", name, done, err)
		}
		if name != strings.ToLower(name) || len(name) > maxName || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
			t.Fatalf("name %q", name)
		}
		if !done && err == nil && len(b) > Max {
			t.Fatal("asks for more than there may be")
		}
		if theirs, ok := nameByTLS(b); done && ok && strings.ToLower(theirs) != name {
			t.Fatalf("%q to crypto/tls, here %q", theirs, name)
		}
		if done { // a cut hello is never taken for a whole one
			for _, n := range []int{0, 5, len(b) / 2} {
				if again, early, _ := Parse(b[:n]); early && again != name {
					t.Fatalf("%d bytes say %q, all say %q", n, again, name)
				}
			}
		}
	})
}
