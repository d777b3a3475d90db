package poll

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHeap(t *testing.T) {
	var h heap
	var in []*Entry
	r := rand.New(rand.NewPCG(1, 2))
	earliest := func() int64 {
		return slices.MinFunc(in, func(a, b *Entry) int { return int(a.due - b.due) }).due
	}
	for i := range 20_000 {
		switch {
		case len(in) == 0 || len(in) < 500 && r.IntN(2) == 0:
			e := &Entry{due: 1 + r.Int64N(1000)}
			h.add(e)
			in = append(in, e)
		case r.IntN(2) == 0:
			at := r.IntN(len(in))
			h.remove(in[at])
			h.remove(in[at])
			in = slices.Delete(in, at, at+1)
		default:
			want := earliest()
			if e := h.due(want - 1); e != nil {
				t.Fatalf("step %d: one too early", i)
			}
			e := h.due(want)
			at := slices.Index(in, e)
			if at < 0 || e.at != 0 {
				t.Fatalf("step %d: %v", i, e)
			}
			in = slices.Delete(in, at, at+1)
		}
		if len(h) != len(in) {
			t.Fatalf("step %d: %d are left, want %d", i, len(h), len(in))
		}
	}
}
