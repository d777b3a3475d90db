package mem

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestQueue(t *testing.T) {
	var q Queue
	var in, out []byte
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		switch r.IntN(4) {
		case 0, 1:
			p := make([]byte, r.IntN(9000))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			q.Put(p)
			in = append(in, p...)
		case 2:
			p := q.Next()
			q.Put([]byte("while that is read"))
			in = append(in, "while that is read"...)
			out = append(out, p...)
		case 3:
			p := make([]byte, r.IntN(20_000))
			out = append(out, p[:q.Read(p)]...)
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("after %d bytes", len(out))
		}
		in, out = in[len(out):], out[:0]
	}
	if n := q.Drop(); n != len(in) {
		t.Errorf("dropped %d bytes of %d", n, len(in))
	}
	if q.Next() != nil || q.Read(make([]byte, 1)) != 0 || q.Drop() != 0 {
		t.Error("there is something after Drop")
	}
}
