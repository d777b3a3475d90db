package wire

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes.
const (
	isToken uint8 = 1 << iota // RFC 9110, section 5.6.2
	isPath                    // in a request target before the question mark
	isQuery                   // in a request target after it
	isHost                    // in a host name
	isText                    // in a field value or reason: RFC 9110, section 5.5
	isDigit
	isMethod // in a method
)

// class has the classes of each byte.
//
// Targets may hold any visible ASCII but the number sign, for clients leave
// more unencoded than RFC 3986 lets them; the path may not hold a backslash
// either, which some servers take for a slash. Host names are the unreserved
// characters of RFC 3986 alone: no DNS name has others, and a comma or percent
// sign would read differently behind us. Methods are tokens without lower case: no
// registered one has any, and there are programs for which delete is DELETE, and
// policies for which it is not.
var class = func() (t [256]uint8) {
	set := func(c uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	const alnum = "abcdefghijklmnopqrstuvwxyz" + upper
	set(isDigit, "0123456789")
	set(isToken, alnum+"!#$%&'*+-.^_`|~")
	set(isMethod, upper+"!#$%&'*+-.^_`|~")
	set(isHost, alnum+"-._~")
	for c := 0x21; c < 0x7f; c++ {
		t[c] |= isPath | isQuery
	}
	t['#'] &^= isPath | isQuery
	t['\\'] &^= isPath
	t['?'] &^= isPath
	for c := 0x20; c < 0x100; c++ {
		t[c] |= isText
	}
	t['\t'] |= isText
	t[0x7f] &^= isText
	return t
}()

// hexes has the value of each hexadecimal digit plus one, and 0 for other bytes.
var hexes = func() (t [256]uint8) {
	for i := range uint8(10) {
		t['0'+i] = i + 1
	}
	for i := range uint8(6) {
		t['a'+i], t['A'+i] = i+11, i+11
	}
	return t
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls sets the top bit of each byte of x that is a control character, and may
// set that of a byte above one of these or above 0xff.
func controls(x uint64) uint64 { return ((x - 0x20*ones) | (x + ones)) & ^x & highs }

// equal sets the top bit of each byte of x that is c, and may set that of a byte
// above 0x7f.
func equal(x uint64, c byte) uint64 {
	return ^((x&^highs ^ uint64(c)*ones) + 0x7f*ones) & highs
}

// invisible sets the top bit of each byte of x that is not of class isQuery.
func invisible(x uint64) uint64 {
	low := x &^ highs
	return (x|(low+ones)|^(low+(0x7f-' ')*ones))&highs | equal(x, '#')
}

// textEnd returns the index of the first byte of b, from i on, that is neither
// text nor HTAB: in a well-formed line, its CR. It is len(b) if there is none.
func textEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		m := controls(binary.LittleEndian.Uint64(b[i : i+8]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if class[b[i]]&isText == 0 {
			return i
		}
		i++
	}
	if i < len(b) && len(b) >= 8 && controls(binary.LittleEndian.Uint64(b[len(b)-8:])) == 0 {
		return len(b)
	}
	for i < len(b) && class[b[i]]&isText != 0 {
		i++
	}
	return i
}

// unusual sets the top bit of each byte of x that is neither an ASCII letter nor a
// hyphen, as nearly all bytes of names are.
func unusual(x uint64) uint64 {
	low := x &^ highs
	letter := low | 0x20*ones
	letter = (letter + (0x80-'a')*ones) &^ (letter + (0x7f-'z')*ones)
	return (^letter&^equal(x, '-') | x) & highs
}

// nameEnd returns the index of the first byte of b, from i on, that is not of class
// c, or len(b). Letters and the hyphen are of that class.
func nameEnd(b []byte, i int, c uint8) int {
	for i+8 <= len(b) {
		m := unusual(binary.LittleEndian.Uint64(b[i : i+8]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if class[b[i]]&c == 0 {
			return i
		}
		i++
	}
	for i < len(b) && class[b[i]]&c != 0 {
		i++
	}
	return i
}

// pathEnd returns the index of the first byte of b, from i on, that is not of class
// isPath, or len(b).
func pathEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i : i+8])
		if m := invisible(x) | equal(x, '?') | equal(x, '\\'); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && class[b[i]]&isPath != 0 {
		i++
	}
	return i
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// trim returns b[i:j] without spaces and tabs at either end, as bounds.
func trim(b []byte, i, j int) (int, int) {
	for i < j && blank(b[i]) {
		i++
	}
	for i < j && blank(b[j-1]) {
		j--
	}
	return i, j
}

// is reports whether every byte of s is of class c. The empty string is of any.
func is(s string, c uint8) bool {
	for i := range len(s) {
		if class[s[i]]&c == 0 {
			return false
		}
	}
	return true
}
