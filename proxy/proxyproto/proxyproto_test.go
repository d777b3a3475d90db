package proxyproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// two is a header of version 2.
func two(command, family byte, rest string) string {
	return signature + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	four = "\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x67\x01\xbb" // 192.0.2.1:4711 to 198.51.100.1:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x67\x01\xbb"
)

// summed has its checksum in place of the four bytes behind the last "\x03\x00\x04".
func summed(header string) string {
	b := []byte(header)
	at := strings.LastIndex(header, "\x03\x00\x04") + 3
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

func TestParse(t *testing.T) {
	f := func(header, want string, wrong error) {
		t.Helper()
		source, n, err := Parse([]byte(header + "GET"))
		switch {
		case !errors.Is(err, wrong):
			t.Errorf("%q: %v, want %v", header, err, wrong)
		case err == nil && n != len(header):
			t.Errorf("%q: %d bytes, want %d", header, n, len(header))
		case err == nil && want == "" && source.IsValid(), want != "" && source.String() != want:
			t.Errorf("%q: %v, want %q", header, source, want)
		}
		if err != nil {
			return
		}
		for i := range len(header) {
			if _, n, err := Parse([]byte(header[:i])); n != 0 || err != nil {
				t.Errorf("the first %d bytes of %q: %d, %v", i, header, n, err)
			}
		}
	}
	f("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", "192.0.2.1:4711", nil)
	f("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", "[2001:db8::1]:4711", nil)
	f("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 0 65535\r\n", "192.0.2.1:0", nil)
	f("PROXY UNKNOWN\r\n", "", nil)
	f("PROXY UNKNOWN ffff:: whatever 1 2\r\n", "", nil)
	f(two(proxy, tcp4, four), "192.0.2.1:4711", nil)
	f(two(proxy, tcp6, six), "[2001:db8::1]:4711", nil)
	f(two(proxy, tcp4, four+"\xea\x00\x04\x01vpc\x04\x00\x00"), "192.0.2.1:4711", nil)
	f(two(local, unknown, ""), "", nil)
	f(two(local, tcp4, "anything"), "", nil)
	f(two(local, 0x31, strings.Repeat("x", 216)), "", nil)
	f(two(proxy, unknown, "anything"), "", nil)
	f(summed(two(proxy, tcp4, four+"\x03\x00\x04\x00\x00\x00\x00")), "192.0.2.1:4711", nil)

	f("GET / HTTP/1.1\r\n", "", ErrNone)
	f("PROXX", "", ErrNone)
	f("proxy TCP4", "", ErrNone)
	f("\r\n\r\n\x00\r\nQUIX", "", ErrNone)
	for _, line := range []string{
		"TCP4 192.0.2.1 198.51.100.1 4711", "TCP4 192.0.2.1 198.51.100.1 4711 443 1", "TCP4  192.0.2.1 198.51.100.1 4711 443", "TCP4 192.0.2.1 198.51.100.1 4711 443 ",
		"TCP5 192.0.2.1 198.51.100.1 4711 443", "tcp4 192.0.2.1 198.51.100.1 4711 443", "TCP4 2001:db8::1 2001:db8::2 4711 443", "TCP6 192.0.2.1 198.51.100.1 4711 443",
		"TCP4 192.0.2.01 198.51.100.1 4711 443", "TCP4 192.0.2.1 198.51.100.1 04711 443", "TCP4 192.0.2.1 198.51.100.1 65536 443", "TCP4 192.0.2.1 198.51.100.1 -1 443",
		"TCP4 192.0.2.1 198.51.100.1 +1 443", "TCP6 fe80::1%eth0 fe80::2 1 2", "UNKNOWNX", "", "TCP4 192.0.2.1 198.51.100.1 4711 443\n", "UNKNOWN " + strings.Repeat("x", 100),
	} {
		f("PROXY "+line+"\r\n", "", ErrMalformed)
	}
	f(two(0x22, tcp4, four), "", ErrMalformed)
	f(two(0x11, tcp4, four), "", ErrMalformed)
	f(two(proxy, 0x12, four), "", ErrMalformed)
	f(two(proxy, 0x31, strings.Repeat("x", 216)), "", ErrMalformed)
	f(two(proxy, 0x31, strings.Repeat("\x00", 216)), "", ErrMalformed)
	f(two(proxy, tcp4, four[:11]), "", ErrMalformed)
	f(two(proxy, tcp6, four), "", ErrMalformed)
	f(two(proxy, tcp4, four+"\x04"), "", ErrMalformed)
	f(two(proxy, tcp4, four+"\x04\x00\x01"), "", ErrMalformed)
	f(two(proxy, tcp4, four+"\x03\x00\x01x"), "", ErrMalformed)
	f(two(proxy, tcp4, four+"\x03\x00\x04\x00\x00\x00\x00"), "", ErrChecksum)
	f(two(proxy, tcp4, strings.Repeat("\x00", Max)), "", ErrTooLarge)
}

// plainly finds the source in a header that is known to be good.
func plainly(header string) (source netip.AddrPort) {
	if line, ok := strings.CutPrefix(header, word+"TCP"); ok {
		part := strings.Fields(line)
		source, _ = netip.ParseAddrPort(net.JoinHostPort(part[1], part[3]))
		return netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
	}
	at, ok := strings.CutPrefix(header, signature+"\x21\x11")
	if ok {
		a := netip.AddrFrom4([4]byte([]byte(at[2:6])))
		return netip.AddrPortFrom(a, uint16(at[10])<<8|uint16(at[11]))
	}
	if at, ok = strings.CutPrefix(header, signature+"\x21\x21"); ok {
		a := netip.AddrFrom16([16]byte([]byte(at[2:18])))
		return netip.AddrPortFrom(a.Unmap(), uint16(at[34])<<8|uint16(at[35]))
	}
	return source
}

// Whatever comes, a header is taken once it is whole and not before, and what
// follows it changes nothing. It says who connects as it does to a simpler reader.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\nGET /", "PROXY UNKNOWN\r\n",
		two(proxy, tcp4, four), two(proxy, tcp6, six), two(local, unknown, ""), two(proxy, tcp4, four+"\x04\x00\x01x"),
		summed(two(proxy, tcp4, four+"\x03\x00\x04\x00\x00\x00\x00")), "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		source, n, err := Parse(b)
		if n < 0 || n > len(b) || n > Max || err != nil && (n != 0 || source != netip.AddrPort{}) {
			t.Fatalf("%v, %d of %d, %v", source, n, len(b), err)
		}
		if n == 0 {
			return
		}
		if _, k, err := Parse(b[:n-1]); k != 0 || err != nil {
			t.Fatalf("without its last byte: %d, %v", k, err)
		}
		if s, k, err := Parse(b[:n]); s != source || k != n || err != nil {
			t.Fatalf("alone: %v, %d, %v; with what follows %v, %d", s, k, err, source, n)
		}
		if want := plainly(string(b[:n])); source != want {
			t.Fatalf("%v, want %v", source, want)
		}
		if source.Addr().Is4In6() || source.Addr().Zone() != "" {
			t.Fatalf("%v", source)
		}
	})
}
