package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	lookEvery = time.Second
	calm      = 10          // looks without a collection before something is given back
	between   = time.Minute // two times that something is given back
	worth     = 4 << 20     // the least that is given back of the heap, and an eighth of what is in use
	stroke    = 128 << 20   // the largest heap that is given back at a stroke, which takes 5 ms
	program   = 8 << 20     // what may be in memory of the program itself
	glance    = 5           // looks between two at that
)

// Keep gives back what a load has left behind, until ctx ends. The runtime keeps as much as the
// heap had before its last collection, and collects again when that much has been allocated, or after
// two minutes: a proxy that allocates next to nothing stays as large as it was at its busiest.
//
// What it does depends on how often the runtime collects, not on how many requests there are. A look costs
// some microseconds, a time at which something is given back some milliseconds.
func Keep(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.look(now)
		}
	}
}

// rest is what Keep remembers between two looks.
type rest struct {
	looks  int
	cycles uint64 // collections so far
	quiet  int    // looks since there was one
	gave   time.Time
}

func (r *rest) look(now time.Time) {
	switch r.due(now, use()) {
	case everything:
		debug.FreeOSMemory()
	case garbage:
		runtime.GC()
	}
	if r.looks++; r.looks%glance == 0 {
		unload(program) // after the collector, which has a look at much of it
	}
}

// what is to be given back.
type what int

const (
	nothing    what = iota
	garbage         // collected; the runtime returns what it has too much of, beside whatever runs
	everything      // that is not in use; no goroutine of this processor runs meanwhile
)

// due says what is to be given back at now.
func (r *rest) due(now time.Time, h heap) what {
	if h.cycles != r.cycles {
		r.cycles, r.quiet = h.cycles, 0
		return nothing
	}
	r.quiet++
	idle := h.free + h.objects - min(h.live, h.objects)
	if r.quiet < calm || now.Sub(r.gave) < between || idle < max(worth, h.live/8) {
		return nothing
	}
	r.gave = now
	if h.objects+h.free > stroke {
		return garbage
	}
	return everything
}

// heap is what the runtime says of its memory, in bytes.
type heap struct {
	cycles  uint64 // collections so far
	live    uint64 // objects that the last one has left
	objects uint64 // those, and what has been allocated since
	free    uint64 // kept for objects to come
}

func use() heap {
	s := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}
