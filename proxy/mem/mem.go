// Package mem is memory on the request path: views between strings and bytes,
// per-exchange arenas, pooled buffers and ASCII byte tables.
//
// Everything under proxy may call it; it calls nothing. Together with the system
// calls of proxy/poll and proxy/socket it is the only place that uses unsafe.
package mem

import (
	"encoding/binary"
	"unsafe"
)

// String returns a view of b. It is good as long as b's bytes do not change.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Bytes returns a view of s that must not be written to.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Within reports whether part is, in memory, the bytes of s from i on: then they
// are the same without a look at them. That of other memory is not, equal or not.
func Within(s string, i int, part string) bool {
	return uintptr(unsafe.Pointer(unsafe.StringData(part))) == uintptr(unsafe.Pointer(unsafe.StringData(s)))+uintptr(i)
}

// Longer returns the n bytes in memory that s begins, which must all be good.
func Longer(s string, n int) string { return unsafe.String(unsafe.StringData(s), n) }

// EqualFold reports whether a and b, of equal length, are the same ASCII text
// but for case. Bytes outside A-Z compare as they are.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if d := a[i] ^ b[i]; d != 0 && (d != 0x20 || a[i]|0x20-'a' > 'z'-'a') { // no table to fetch
			return false
		}
	}
	return true
}

// HasUpper reports whether s has an ASCII letter in upper case.
func HasUpper(s string) bool {
	b := Bytes(s)
	if last := len(b) - 8; last >= 0 {
		doubt := doubtful(binary.LittleEndian.Uint64(b[last:]))
		for i := 0; i < last; i += 8 {
			doubt |= doubtful(binary.LittleEndian.Uint64(b[i:]))
		}
		if doubt == 0 {
			return false
		}
	}
	for _, c := range b {
		if Lower[c] != c {
			return true
		}
	}
	return false
}

// doubtful is not 0 if a byte of x is 0x40 to 0x5f, or that above 0x7f: of what host
// names have, a letter in upper case or an underscore.
func doubtful(x uint64) uint64 { return x &^ (x << 1) & 0x4040404040404040 }

// Lower maps each byte to its ASCII lower case.
var Lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// FieldName has for each byte of a field name what it is in lower case, and 0 for
// those that no name has.
var FieldName = func() (t [256]byte) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c + 'a' - 'A'
	}
	return t
}()
