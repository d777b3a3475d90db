// Package proxyproto reads the header with which a load balancer says who has
// connected to it: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//
// proxy/listener calls it with the first bytes of a connection that a trusted
// load balancer has made. It is strict: what is not exactly of the form is an
// error, and the connection is of no use then. It calls nothing.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// Max is the longest header that is taken, in bytes. The address needs 232 of
// them; the rest is room for what a load balancer adds.
const Max = 4 << 10

// maxLine is the longest header of version 1, with its line ending (2.1).
const maxLine = 107

// What is wrong with a header.
var (
	ErrNone      = errors.New("no PROXY header")
	ErrMalformed = errors.New("malformed PROXY header")
	ErrTooLarge  = errors.New("PROXY header of more than 4 KiB")
	ErrChecksum  = errors.New("PROXY header with a wrong checksum")
)

const signature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2 (2.2)

const word = "PROXY " // of version 1

// Parse reads the header that b begins with. n is how long it is; 0 without an
// error: more bytes are needed. source is the client; invalid where the load
// balancer has connected for itself (LOCAL), or does not know the client.
func Parse(b []byte) (source netip.AddrPort, n int, err error) {
	switch {
	case begins(b, signature):
		return parse2(b)
	case begins(b, word):
		return parse1(b)
	}
	return source, 0, ErrNone
}

// begins reports whether b begins with s, as far as it goes.
func begins(b []byte, s string) bool {
	k := min(len(b), len(s))
	return string(b[:k]) == s[:k]
}

// parse1 reads a line such as "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443".
func parse1(b []byte) (source netip.AddrPort, n int, err error) {
	end := bytes.Index(b[:min(len(b), maxLine)], []byte("\r\n"))
	switch {
	case end < 0 && len(b) >= maxLine:
		return source, 0, ErrMalformed
	case end < 0:
		return source, 0, nil
	}
	line, n := string(b[:end]), end+2
	if line == "PROXY UNKNOWN" || strings.HasPrefix(line, "PROXY UNKNOWN ") {
		return source, n, nil // whatever follows is to be ignored
	}
	part := strings.Split(line, " ")
	if len(part) != 6 || part[1] != "TCP4" && part[1] != "TCP6" {
		return source, 0, ErrMalformed
	}
	from, ok := address(part[2], part[4], part[1] == "TCP6")
	_, also := address(part[3], part[5], part[1] == "TCP6")
	if !ok || !also {
		return source, 0, ErrMalformed
	}
	return from, n, nil
}

func address(ip, port string, six bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.Zone() != "" || a.Is6() != six {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// The bytes of version 2 before the addresses: signature, version and command,
// family and protocol, length.
const fixed = len(signature) + 4

// Version and command, and family and protocol.
const (
	local = 0x20
	proxy = 0x21

	unknown = 0x00
	tcp4    = 0x11
	tcp6    = 0x21
)

func parse2(b []byte) (source netip.AddrPort, n int, err error) {
	if len(b) < fixed {
		return source, 0, nil
	}
	command, family := b[12], b[13]
	n = fixed + int(binary.BigEndian.Uint16(b[14:]))
	size := map[byte]int{unknown: 0, tcp4: 12, tcp6: 36}
	length, known := size[family]
	switch {
	case command != local && command != proxy, command == proxy && !known, command == proxy && n < fixed+length:
		return source, 0, ErrMalformed
	case n > Max:
		return source, 0, ErrTooLarge
	case len(b) < n:
		return source, 0, nil
	case command == local, family == unknown:
		return source, n, nil // whatever follows is to be ignored
	}
	at := b[fixed:n]
	if err := extensions(b[:n], at[length:]); err != nil {
		return source, 0, err
	}
	half := (length - 4) / 2 // both addresses come before both ports
	a, _ := netip.AddrFromSlice(at[:half])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(at[2*half:])), n, nil
}

// typeChecksum is the extension that a header is checked with (2.2.3).
const typeChecksum = 0x03

// extensions checks the type-length-values behind the addresses of a whole header.
func extensions(header, list []byte) error {
	for len(list) > 0 {
		if len(list) < 3 {
			return ErrMalformed
		}
		size := 3 + int(binary.BigEndian.Uint16(list[1:]))
		if size > len(list) {
			return ErrMalformed
		}
		if list[0] == typeChecksum {
			if size != 7 {
				return ErrMalformed
			}
			at := len(header) - len(list) + 3
			sum := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), header[:at])
			sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), []byte{0, 0, 0, 0})
			if crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), header[at+4:]) != binary.BigEndian.Uint32(list[3:]) {
				return ErrChecksum
			}
		}
		list = list[size:]
	}
	return nil
}
