// Package mem is memory on the request path: views between strings and bytes,
// per-exchange arenas, pooled buffers and ASCII byte tables.
//
// Everything under proxy may call it; it calls nothing. Together with the system
// calls of proxy/poll and proxy/socket it is the only place that uses unsafe.
package mem

import "unsafe"

// String returns a view of b. It is good as long as b's bytes do not change.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Bytes returns a view of s that must not be written to.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// EqualFold reports whether a and b, of equal length, are the same ASCII text
// but for case. Bytes outside A-Z compare as they are.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && Lower[a[i]] != Lower[b[i]] {
			return false
		}
	}
	return true
}

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
