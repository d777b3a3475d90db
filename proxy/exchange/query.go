package exchange

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Query returns the decoded value of the first query parameter called name, and
// how many there are. It allocates, from the arena, only for a value that is
// escaped. A broken escape stands for itself.
func (x *Exchange) Query(name string) (value string, n int) {
	for rest := x.Request.RawQuery; rest != ""; {
		var key, v string
		key, v, rest = CutParameter(rest)
		if !EqualDecoded(key, name) {
			continue
		}
		if n == 0 {
			value = v
		}
		n++
	}
	if n > 0 {
		value = x.DecodeParameter(value)
	}
	return value, n
}

// DropQuery removes every query parameter called name.
func (x *Exchange) DropQuery(name string) {
	if _, n := x.Query(name); n == 0 {
		return
	}
	kept := x.Arena.Alloc(len(x.Request.RawQuery))[:0]
	for rest := x.Request.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if key, _, _ := strings.Cut(pair, "="); EqualDecoded(key, name) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, '&')
		}
		kept = append(kept, pair...)
	}
	x.Request.RawQuery = mem.String(kept)
}

// CutParameter takes the first parameter off a raw query; key and value are as sent.
func CutParameter(raw string) (key, value, rest string) {
	pair, rest, _ := strings.Cut(raw, "&")
	key, value, _ = strings.Cut(pair, "=")
	return key, value, rest
}

// EqualDecoded reports whether key, decoded, is name.
func EqualDecoded(key, name string) bool {
	j := 0
	for i := 0; i < len(key); j++ {
		c, n := unescape(key[i:])
		if j == len(name) || name[j] != c {
			return false
		}
		i += n
	}
	return j == len(name)
}

// DecodeParameter decodes a key or value of a raw query.
func (x *Exchange) DecodeParameter(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := x.Arena.Alloc(len(s))[:0]
	for i := 0; i < len(s); {
		c, n := unescape(s[i:])
		b = append(b, c)
		i += n
	}
	return mem.String(b)
}

// unescape decodes the first byte of s, which is not empty, and says how many
// bytes of s it takes.
func unescape(s string) (c byte, n int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) > 2:
		hi, lo := unhex(s[1]), unhex(s[2])
		if hi|lo < 16 {
			return hi<<4 | lo, 3
		}
	}
	return s[0], 1
}

// unhex returns a hexadecimal digit's value, 255 for another byte.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
