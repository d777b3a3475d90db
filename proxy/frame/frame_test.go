package frame

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func decode(t testing.TB, block []byte) (fields []string) {
	t.Helper()
	d := hpack.NewDecoder(TableSize, func(f hpack.HeaderField) { fields = append(fields, f.Name+": "+f.Value) })
	if _, err := d.Write(block); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestStatus(t *testing.T) {
	for status, want := range map[int]string{
		100: "100", 200: "200", 204: "204", 206: "206", 304: "304", 400: "400", 404: "404", 500: "500", 201: "201", 599: "599",
	} {
		if got := decode(t, AppendStatus(nil, status)); len(got) != 1 || got[0] != ":status: "+want {
			t.Errorf("%d: %q", status, got)
		}
	}
}

func TestFields(t *testing.T) {
	long := strings.Repeat("abcdefgh", 1000)
	for _, c := range []struct{ name, value, want string }{
		{"X-Name", "value", "x-name: value"},
		{"Content-Type", "text/plain", "content-type: text/plain"},
		{"Set-Cookie", "a=b", "set-cookie: a=b"},
		{"Authorization", "Basic x", "authorization: Basic x"},
		{"x", "", "x: "},
		{"x", " \ta\t ", "x: a"},
		{"x", "\x7fa\nb\x00c\x7f", "x: a b c"},
		{"x", "\r\n", "x: "},
		{strings.Repeat("N", 300), long, strings.Repeat("n", 300) + ": " + long},
		{"", "x", ""},
		{"a b", "x", ""},
		{"a\n", "x", ""},
		{"Grün", "x", ""},
		{":path", "/", ""},
		{"Connection", "close", ""},
		{"Transfer-Encoding", "chunked", ""},
		{"Content-Length", "5", ""},
		{"Host", "a", ""},
		{"TE", "trailers", ""},
	} {
		got := strings.Join(decode(t, AppendField(nil, c.name, c.value)), "|")
		if got != c.want {
			t.Errorf("%.20q: got %.40q, want %.40q", c.name, got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 5: "5", 1<<62 + 1: "4611686018427387905"} {
		if got := decode(t, AppendLength(nil, n)); got[0] != "content-length: "+want {
			t.Errorf("%d: %q", n, got)
		}
	}
	// Each name that the static table has is the name it stands for.
	for name := range strings.FieldsSeq(`accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow
		authorization cache-control content-disposition content-encoding content-language content-location content-range content-type cookie
		date etag expect expires from if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location
		max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security
		user-agent vary via www-authenticate`) {
		b := AppendField(nil, name, "v")
		if got := decode(t, b); got[0] != name+": v" || len(b) > 4 {
			t.Errorf("%s: %q in %d bytes", name, got, len(b))
		}
	}
}

func TestHeadersAreCut(t *testing.T) {
	block := bytes.Repeat([]byte("x"), 10)
	for size, want := range map[int]int{10: 1, 5: 2, 3: 4, 11: 1} {
		var got []byte
		n, last := 0, uint8(0)
		for b := AppendHeaders(nil, 7, EndStream, block, size); len(b) > 0; n++ {
			h := Parse(b)
			if (n == 0) != (h.Type == Headers) || (n > 0) != (h.Type == Continuation) || (n == 0) != (h.Flags&EndStream != 0) || h.Stream != 7 {
				t.Errorf("size %d, frame %d: %+v", size, n, h)
			}
			got = append(got, b[HeadSize:HeadSize+h.Length]...)
			last = h.Flags
			b = b[HeadSize+h.Length:]
		}
		if n != want || last&EndHeaders == 0 || !bytes.Equal(got, block) {
			t.Errorf("size %d: %d frames, %q", size, n, got)
		}
	}
	if b := AppendHeaders(nil, 1, 0, nil, 5); len(b) != HeadSize {
		t.Errorf("empty block: %q", b)
	}
}

// Any header becomes a block that decodes to fields that HTTP/2 allows.
func FuzzFields(f *testing.F) {
	f.Add("Content-Type", "text/plain", 200)
	f.Add("X-A", " a\r\nSet-Cookie: b", 404)
	f.Add("Transfer-Encoding", "chunked", 999)
	f.Fuzz(func(t *testing.T, name, value string, status int) {
		block := AppendFields(AppendStatus(nil, status), exchange.Header{{Name: name, Value: value}, {Name: "x-last", Value: "z"}})
		fields := decode(t, block)
		if len(fields) < 2 || len(fields) > 3 || fields[len(fields)-1] != "x-last: z" {
			t.Fatalf("%q", fields)
		}
		if len(fields) == 3 {
			n, v, _ := strings.Cut(fields[1], ": ")
			if n != strings.ToLower(name) || strings.ContainsAny(v, "\r\n\x00") || strings.Trim(v, " \t") != v {
				t.Fatalf("%q: %q became %q", name, value, fields[1])
			}
		}
	})
}

// What is appended is parsed as it was, here and by another implementation, which takes
// the padding off alike.
func FuzzFrame(f *testing.F) {
	f.Add(uint8(Data), uint8(Padded), uint32(1), []byte{1, 2, 0})
	f.Add(uint8(Headers), uint8(0), uint32(1<<31), []byte{})
	f.Fuzz(func(t *testing.T, kind, flags uint8, stream uint32, payload []byte) {
		h := Head{Length: len(payload), Type: Type(kind), Flags: flags, Stream: stream & MaxStream}
		if h.Length > MaxMaxSize {
			return
		}
		b := append(Append(nil, h), payload...)
		if got := Parse(b); got != h {
			t.Fatalf("%+v became %+v", h, got)
		}
		theirs, err := http2.NewFramer(nil, bytes.NewReader(b)).ReadFrame()
		if err == nil {
			got := theirs.Header()
			if int(got.Length) != h.Length || got.Type != http2.FrameType(kind) || got.Flags != http2.Flags(flags) || got.StreamID != h.Stream {
				t.Fatalf("%+v is %v to another", h, got)
			}
		}
		content, ok := Unpad(&h, payload)
		if !h.Has(Padded) && !bytes.Equal(content, payload) {
			t.Fatalf("%q without padding became %q", payload, content)
		}
		if h.Type == Data && h.Stream != 0 {
			if ok != (err == nil) || ok && !bytes.Equal(content, theirs.(*http2.DataFrame).Data()) {
				t.Fatalf("%q: %q, %v; %v, %v to another", payload, content, ok, theirs, err)
			}
		}
	})
}
