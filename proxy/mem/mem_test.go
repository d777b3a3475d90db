package mem

import (
	"strings"
	"testing"
)

// HasUpper, which looks at eight bytes at a time, sees what a look at each byte does.
func TestHasUpper(t *testing.T) {
	for size := range 27 {
		for at := range size {
			for c := range 256 {
				for _, around := range []byte{'a', '[', 0xff, 0xc1} {
					b := []byte(strings.Repeat(string([]byte{around}), size))
					b[at] = byte(c)
					if got, want := HasUpper(string(b)), c >= 'A' && c <= 'Z'; got != want {
						t.Fatalf("%q: %v, want %v", b, got, want)
					}
				}
			}
		}
	}
}

// EqualFold takes letters for the same whatever their case, and nothing else.
func TestEqualFold(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := EqualFold("x"+string([]byte{byte(a)}), "X"+string([]byte{byte(b)})), Lower[a] == Lower[b]; got != want {
				t.Errorf("%q and %q: %v", rune(a), rune(b), got)
			}
		}
	}
	if EqualFold("ab", "abc") {
		t.Error("lengths differ")
	}
}

func TestWithin(t *testing.T) {
	s := strings.Clone("name: value")
	if !Within(s, 6, s[6:]) || Within(s, 6, s[5:]) || Within(s, 6, strings.Clone("value")) {
		t.Error("what is within is told by where it is")
	}
	if got := Longer(s[:4], 11); got != s {
		t.Errorf("got %q", got)
	}
}
