package memory

import (
	"runtime"
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	const mib = 1 << 20
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		after time.Duration // since the beginning
		heap  heap
		want  what
	}
	small := heap{cycles: 1, live: 10 * mib, objects: 12 * mib, free: 6 * mib}
	for name, steps := range map[string][]step{
		"when all is calm, and once a minute": {
			{9 * time.Second, small, nothing},
			{10 * time.Second, small, everything},
			{20 * time.Second, small, nothing},
			{69 * time.Second, small, nothing},
			{70 * time.Second, small, everything},
		},
		"not while the runtime collects": {
			{9 * time.Second, heap{cycles: 1, live: 10 * mib, objects: 20 * mib}, nothing},
			{10 * time.Second, heap{cycles: 2, live: 10 * mib, objects: 20 * mib}, nothing},
			{19 * time.Second, heap{cycles: 2, live: 10 * mib, objects: 20 * mib}, nothing},
			{20 * time.Second, heap{cycles: 2, live: 10 * mib, objects: 20 * mib}, everything},
		},
		"not for little": {
			{time.Hour, heap{cycles: 1, live: 10 * mib, objects: 11 * mib, free: 2 * mib}, nothing},
		},
		"not for little beside what is in use": {
			{time.Hour, heap{cycles: 1, live: 80 * mib, objects: 84 * mib, free: 5 * mib}, nothing},
		},
		"not much at a stroke": {
			{10 * time.Second, heap{cycles: 1, live: 90 * mib, objects: 90 * mib, free: 60 * mib}, garbage},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, at := rest{cycles: 1}, time.Duration(0)
			for _, s := range steps {
				for ; at+lookEvery < s.after; at += lookEvery {
					before := s.heap
					before.cycles = r.cycles
					if got := r.due(began.Add(at+lookEvery), before); got != nothing {
						t.Fatalf("after %v: %d, want nothing", at+lookEvery, got)
					}
				}
				at = s.after
				if got := r.due(began.Add(at), s.heap); got != s.want {
					t.Errorf("after %v: %d, want %d", at, got, s.want)
				}
			}
		})
	}
}

// TestUse: the runtime has all that is asked of it.
func TestUse(t *testing.T) {
	if h := use(); h.objects == 0 {
		t.Errorf("%+v", h)
	}
}

// TestLook: what a load has left behind is given back.
func TestLook(t *testing.T) {
	const left = 32 << 20
	all := make([][]byte, left/(16<<10))
	for i := range all {
		all[i] = make([]byte, 16<<10)
	}
	before := use()
	runtime.KeepAlive(all) // and no longer
	r := rest{cycles: before.cycles}
	now := time.Now()
	for i := range 100 {
		if r.look(now); !r.gave.IsZero() {
			break
		}
		if now = now.Add(lookEvery); i%(2*calm) == 2*calm-1 {
			runtime.GC() // as the runtime does every two minutes: its last one may have come before all that was dead
		}
	}
	if after := use(); after.objects+after.free+left/2 > before.objects+before.free {
		t.Errorf("%d KiB are left of %d", (after.objects+after.free)>>10, (before.objects+before.free)>>10)
	}
}
