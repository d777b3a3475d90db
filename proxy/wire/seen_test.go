package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// sameReading fails unless b is read with seen as it is without, and leaves no view
// of what seen remembers.
func sameReading(t *testing.T, b []byte, response bool, seen *Seen) {
	t.Helper()
	var header, want exchange.Header
	var n, m int
	var err, errWant *exchange.Error
	var equal bool
	if response {
		var h, w ResponseHead
		n, err = ParseResponse(b, "GET", &h, wide, seen)
		m, errWant = ParseResponse(b, "GET", &w, wide, nil)
		header, want, equal = h.Header, w.Header, err != nil || equalResponse(h, w)
	} else {
		var h, w RequestHead
		n, err = ParseRequest(b, &h, wide, seen)
		m, errWant = ParseRequest(b, &w, wide, nil)
		header, want, equal = h.Header, w.Header, err != nil || equalRequest(h, w)
	}
	if n != m || (err == nil) != (errWant == nil) || err != nil && *err != *errWant {
		t.Fatalf("%q: %d, %v, without memory %d, %v", b, n, err, m, errWant)
	}
	if err == nil && (!equal || !slices.Equal(header, want)) {
		t.Fatalf("%q: %+v, without memory %+v", b, header, want)
	}
	kept := string(seen.text)
	for i := range seen.text {
		seen.text[i] = '?'
	}
	if err == nil && !slices.Equal(header, want) {
		t.Fatalf("%q: a field is a view of what is remembered", b)
	}
	copy(seen.text, kept)
}

// Whatever came before on a connection, a head is read the same.
func TestSeenMakesNoDifference(t *testing.T) {
	check := func(messages []string, response bool) {
		for _, first := range messages {
			var seen Seen
			for _, then := range messages {
				for _, message := range []string{first, first, then, then[:len(then)/2], then, first} {
					sameReading(t, []byte(message), response, &seen)
				}
			}
		}
	}
	var messages []string
	for _, v := range requests {
		if len(v.message) < 300 {
			messages = append(messages, v.message)
		}
	}
	check(messages, false)
	messages = messages[:0]
	for _, v := range responses {
		if len(v.message) < 300 {
			messages = append(messages, v.message)
		}
	}
	check(messages, true)
}

func FuzzSeen(f *testing.F) {
	for i, v := range requests {
		if w := requests[(i*7+3)%len(requests)]; len(v.message)+len(w.message) < 1000 {
			f.Add([]byte(v.message), []byte(w.message), uint16(i), false)
		}
	}
	for i, v := range responses {
		if w := responses[(i*7+3)%len(responses)]; len(v.message)+len(w.message) < 1000 {
			f.Add([]byte(v.message), []byte(w.message), uint16(i), true)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte, cut uint16, response bool) {
		var seen Seen
		for _, head := range [][]byte{a, a, b, b[:min(int(cut), len(b))], b, a, a, append(bytes.Clone(a[:min(int(cut), len(a))]), b...)} {
			sameReading(t, head, response, &seen)
		}
	})
}

// What is remembered is the head before, from the second on, and nothing that is long.
func TestSeenIsBounded(t *testing.T) {
	var seen Seen
	read := func(fields string) {
		sameReading(t, []byte("GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n"), false, &seen)
	}
	expect := func(lines int) {
		t.Helper()
		if len(seen.lines) != lines || cap(seen.text) > 2*maxSeenText || cap(seen.lines) > 2*maxSeenLines {
			t.Errorf("%d lines remembered, want %d; room for %d bytes and %d lines", len(seen.lines), lines, cap(seen.text), cap(seen.lines))
		}
	}
	read("A: b\r\n")
	expect(0)
	read("A: b\r\n")
	expect(2)
	read("")
	expect(1)
	read("A: " + strings.Repeat("x", maxSeenText) + "\r\n")
	expect(0)
	read("A: b\r\nC: d\r\n")
	expect(3)
	read(strings.Repeat("A: b\r\n", maxSeenLines))
	expect(0)
}
