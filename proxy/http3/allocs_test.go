//go:build !race

package http3

import (
	"bytes"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What this package does of a request and its answer, without QUIC, which allocates
// for each stream and packet. Under the race detector sync.Pool forgets at random, so
// this counts without it.
func TestAllocs(t *testing.T) {
	s := New(Config{Limits: wire.Limits{Head: 16 << 10, Target: 4 << 10, Fields: 100}})
	k := &conn{srv: s, cfg: &s.cfg, info: &exchange.Conn{}}
	st := &stream{k: k}
	in := bytes.NewReader(nil)
	read := func(request []byte) func() {
		return func() {
			in.Reset(request)
			st.Conn, st.in = k.info, input{str: in, buf: mem.GetSmall()}
			st.section.Begin()
			st.body.begin(st)
			length, err := st.headers()
			if err != nil {
				t.Fatal(err)
			}
			block, err := st.in.whole(int(length))
			if err != nil {
				t.Fatal(err)
			}
			if err := decode(k.cfg, block, st.take); err != nil {
				t.Fatal(err)
			}
			if err := st.fill(); err != nil || st.Request.Path != "/" {
				t.Fatal(st.Request.Path, err)
			}
			if err := st.content(); err != nil || st.Request.ContentLength != 0 {
				t.Fatal(st.Request.ContentLength, err)
			}
			release(st.in.buf)
			st.Reset()
		}
	}
	content, now := make([]byte, 128), time.Now()
	write := func() {
		w := &st.writer
		w.begin(st)
		st.Start = now
		st.Response.Status, st.Response.ContentLength = 200, int64(len(content))
		st.Response.Header.Add("Content-Type", "text/plain")
		st.Response.Header.Add("X-Field", "value")
		if err := w.Head(&st.Exchange); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if len(w.buf) < len(content) {
			t.Fatalf("%d bytes are staged", len(w.buf))
		}
		w.release()
		st.Reset()
	}
	common := []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}
	is := func(name string, most float64, f func()) {
		t.Helper()
		for range 10 {
			f()
		}
		if n := testing.AllocsPerRun(200, f); n > most {
			t.Errorf("%s: %v allocations, want at most %v", name, n, most)
		} else {
			t.Logf("%s: %v allocations", name, n)
		}
	}
	is("a request", 0, read(headers(common...)))
	is("a request of ten fields", 5, // qpack's: a string of each name and value that the static table does not have
		read(headers(append(common, "user-agent", "test", "accept", "*/*", "x-a", "1", "x-b", "2", "x-c", "3", "x-d", "4")...)))
	is("an answer", 0, write)
}
