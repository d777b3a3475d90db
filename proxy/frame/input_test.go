package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Frames of all lengths come through, however the bytes come in, and a connection that
// is quiet holds a small buffer, or none.
func TestInput(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var sent, want []byte
	for range 300 {
		p := make([]byte, r.IntN(MinMaxSize+1)>>r.IntN(15))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		sent = append(Append(sent, Head{Length: len(p), Type: Data, Stream: 1}), p...)
		want = append(want, p...)
	}
	var in Input
	var got []byte
	in.Put(sent[:mem.Small+1])
	sent = sent[mem.Small+1:]
	for {
		for b := in.Bytes(); len(b) >= HeadSize && len(b) >= HeadSize+Parse(b).Length; b = in.Bytes() {
			n := HeadSize + Parse(b).Length
			got = append(got, b[HeadSize:n]...)
			in.Take(n)
		}
		if len(sent) == 0 {
			break
		}
		room := in.Room()
		if len(room) == 0 {
			t.Fatalf("no room, with %d bytes held", len(in.Bytes()))
		}
		n := copy(room, sent[:min(len(sent), 1+r.IntN(mem.Large)>>r.IntN(12))])
		in.Add(n)
		sent = sent[n:]
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes that differ from the %d sent", len(got), len(want))
	}
	if in.Shrink(); in.buf != nil {
		t.Errorf("quiet, it holds %d bytes", cap(in.buf))
	}
	if n := len(in.Room()); n != mem.Small {
		t.Errorf("there is room for %d bytes at first", n)
	}
	in.Free()
}
