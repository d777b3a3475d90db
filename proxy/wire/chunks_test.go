package wire

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// decode reads a chunked message that arrives in pieces of the size given. It
// returns the content, what is left behind the message, and whether it ended.
func decode(c *Chunks, message string, piece int) (content, rest string, done bool, err *exchange.Error) {
	for sent := 0; sent < len(message); {
		end := min(sent+piece, len(message))
		for b := []byte(message[sent:end]); len(b) > 0; {
			data, n, done, err := c.Next(b)
			if content += string(data); err != nil {
				return content, "", false, err
			}
			if b, sent = b[n:], sent+n; done {
				return content, message[sent:], true, nil
			}
		}
	}
	return content, "", false, nil
}

func TestChunks(t *testing.T) {
	check := func(message, content, trailer string) {
		t.Helper()
		for piece := 1; piece <= len(message); piece++ {
			var c Chunks
			got, rest, done, err := decode(&c, message+"rest", piece)
			if got != content || rest != "rest" || !done || err != nil || names(c.Trailer) != trailer {
				t.Errorf("%q in pieces of %d: content %q, rest %q, done %v, error %v, trailer %q", message, piece, got, rest, done, err, names(c.Trailer))
			}
		}
	}
	check("0\r\n\r\n", "", "")
	check("5\r\nhello\r\n0\r\n\r\n", "hello", "")
	check("005\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n", "hello0123456789", "")
	check("1\r\n\n\r\n2\r\n\r\n\r\n0\r\n\r\n", "\n\r\n", "")
	check("1;a\r\nx\r\n0;b=c;d=\"e\\\"\xc3 f\"\r\n\r\n", "x", "")
	check("1 ; a = b ;c\t=\t\"\" ; d\r\nx\r\n0\r\n\r\n", "x", "")
	check("0\r\nGrpc-Status: 0\r\nX:\r\n\r\n", "", "Grpc-Status X")
	check("0\r\nContent-Digest: sha-256=:x:\r\nContent-MD5: x\r\n\r\n", "", "Content-Digest")
	check("0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: a\r\nHost: b\r\nX-A: 1\r\nAuthorization: x\r\nConnection: x-a\r\n"+
		"Set-Cookie: a=b\r\nExpect: x\r\nX-Forwarded-For: 1\r\nContent-Type: x\r\nUpgrade: x\r\n\r\n", "", "X-A")
	check("0\r\nX: "+strings.Repeat("a", maxTrailer-7)+"\r\n\r\n", "", "X")
}

func TestChunksRefused(t *testing.T) {
	const (
		size, ext, chunk = "bad_chunk_size", "bad_chunk_extension", "bad_chunk"
	)
	check := func(message, code string) {
		t.Helper()
		for piece := 1; piece <= len(message); piece += 1 + len(message)/50 {
			var c Chunks
			if _, _, done, err := decode(&c, message, piece); err == nil || err.Code != code || done {
				t.Errorf("%.60q in pieces of %d: done %v, error %v, want %s", message, piece, done, err, code)
			}
		}
	}
	check("\r\n", size)
	check(" 5\r\nhello\r\n", size)
	check("-1\r\n", size)
	check("+5\r\nhello\r\n", size)
	check("0x5\r\nhello\r\n", size)
	check("5h\r\nhello\r\n", size)
	check("5_0\r\n", size)
	check("5.\r\n", size)
	check("5\nhello\r\n", size)
	check("5\rhello\r\n", size)
	check("5\x00\r\nhello\r\n", size)
	check("8000000000000000\r\n", size) // one more than 63 bits hold
	check("FFFFFFFFFFFFFFFF\r\n", size)
	check("10000000000000005\r\n", size)
	check(strings.Repeat("0", maxSize)+"5\r\nhello\r\n", size)
	check("000010000000000000005\r\n", size)
	check("5 \r\nhello\r\n", ext)
	check("5;\r\nhello\r\n", ext)
	check("5;a=\r\nhello\r\n", ext)
	check("5;a b\r\nhello\r\n", ext)
	check("5;=b\r\nhello\r\n", ext)
	check("5;a\nhello\r\n", ext)
	check("5;a \r\nhello\r\n", ext)
	check("5;a=\"b\nc\"\r\nhello\r\n", ext)
	check("5;a=\"b\r\nhello\r\n", ext)
	check("5;a=\"\\\r\nhello\r\n", ext)
	check("5;a=\"b\"c\r\nhello\r\n", ext)
	check("5;;a\r\nhello\r\n", ext)
	check("5;a\rhello\r\n", size)
	check("5;"+strings.Repeat("a", maxExtension+1), ext)
	check(strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", maxExtensions/200+1), ext)
	check("5\r\nhelloX\r\n", chunk)
	check("5\r\nhello\n0\r\n\r\n", chunk)
	check("5\r\nhello\rX", chunk)
	check("5\r\nhello0\r\n\r\n", chunk)
	check("0\r\n\n", "bad_line_ending")
	check("0\r\nX: a\n\r\n", "bad_line_ending")
	check("0\r\nX: a\rb\r\n\r\n", "bad_line_ending")
	check("0\r\nX : a\r\n\r\n", "bad_header_name")
	check("0\r\nX: a\r\n b\r\n\r\n", "folded_header")
	check("0\r\nX: a\x00\r\n\r\n", "bad_header_value")
	check("0\r\nGET / HTTP/1.1\r\n\r\n", "bad_header_name")
	check("0\r\n"+strings.Repeat("X: a\r\n", maxTrailers+1)+"\r\n", "too_many_headers")
	check("0\r\nX: "+strings.Repeat("a", maxTrailer), "trailer_too_large")
}

func TestChunksCanBeReset(t *testing.T) {
	var c Chunks
	for range 3 {
		content, _, done, err := decode(&c, "3\r\nabc\r\n0\r\nX: 1\r\n\r\n", 4)
		if content != "abc" || !done || err != nil || names(c.Trailer) != "X" {
			t.Fatalf("content %q, done %v, error %v, trailer %q", content, done, err, names(c.Trailer))
		}
		c.Reset()
	}
}

func TestAppendChunks(t *testing.T) {
	b := AppendChunkHead(nil, 26)
	b = append(b, "abcdefghijklmnopqrstuvwxyz\r\n"...)
	b = AppendLastChunk(b, exchange.Header{{Name: "X", Value: "1\n2"}, {Name: "Content-Length", Value: "3"}})
	if want := "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX: 1 2\r\n\r\n"; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

// Check finds what Next finds, and leaves no trace.
func TestChunksCheck(t *testing.T) {
	f := func(text string, bad bool) {
		t.Helper()
		var c Chunks
		behind, err := c.Check([]byte(text))
		if (err != nil) != bad {
			t.Errorf("%q: %v", text, err)
		}
		if _, want, _ := strings.Cut(text, "\r\n\r\n"); err == nil && string(behind) != want {
			t.Errorf("%q: %q is behind it", text, behind)
		}
		data, _, _, err := c.Next([]byte(text))
		if !strings.Contains(text, "2\r\nhi\r\n") {
			return
		}
		if string(data) != "hi" || err != nil {
			t.Errorf("%q: then %q, %v", text, data, err)
		}
	}
	f("", false)
	f("2", false)
	f("2\r\nh", false)
	f("2\r\nhi\r\n", false)
	f("2\r\nhi\r\n0\r\n\r\nmore", false)
	f("2\r\nhi\r\n0\r\nX: a\r\n\r\n", false)
	f("2\r\nhi\r\n0\r\nX a\r\n\r\n", true)
	f("2\r\nhi\r\nxyz", true)
	f("1\r\nhi", true)
	f("\r\n", true)
}
