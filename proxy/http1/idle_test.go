//go:build !race

package http1_test

import (
	"runtime"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/http1"
)

// TestIdleMemory holds connections that have had an answer and wait, and counts
// what each keeps: ours and, since they are in this process, the client's.
func TestIdleMemory(t *testing.T) {
	for kind, most := range map[over]int{clear: 8 << 10, driven: 24 << 10} { // with TLS, half of it the client's
		t.Run(string(kind), func(t *testing.T) { idle(t, start(t, http1.Config{}, kind), most) })
	}
}

func idle(t *testing.T, s *stack, most int) {
	t.Helper()
	const conns = 400
	used := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc + m.StackInuse)
	}
	before := used()
	all := make([]*client, conns)
	for i := range all {
		all[i] = s.dial()
		all[i].send(get)
		all[i].want(200, "*")
		all[i].r = nil // its buffer is not part of the matter
	}
	if each := (used() - before) / conns; each > most {
		t.Errorf("an idle connection holds %d bytes, want at most %d", each, most)
	} else {
		t.Logf("an idle connection holds %d bytes", each)
	}
	runtime.KeepAlive(all)
}
