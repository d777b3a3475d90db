package sessions

import (
	"context"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

func key(n uint64) (k Key) {
	binary.BigEndian.PutUint64(k[:], n)
	return k
}

// stage is a Memory with a clock.
type stage struct {
	*Memory
	t   *testing.T
	now time.Time
}

func newStage(t *testing.T, max int) *stage {
	s := &stage{t: t, now: time.Unix(1_800_000_000, 0)}
	s.Memory = NewMemory(func() time.Time { return s.now }, max)
	return s
}

func (s *stage) set(n uint64, value string, keep time.Duration, when When) bool {
	ok, err := s.Set(context.Background(), key(n), []byte(value), keep, when)
	if err != nil {
		s.t.Fatal(err)
	}
	return ok
}

func (s *stage) get(keep time.Duration, keys ...uint64) string {
	list := make([]Key, len(keys))
	for i, n := range keys {
		list[i] = key(n)
	}
	values, err := s.Get(context.Background(), list, keep)
	if err != nil {
		s.t.Fatal(err)
	}
	out := ""
	for _, v := range values {
		if v == nil {
			v = []byte("-")
		}
		out += string(v) + " "
	}
	return out
}

func TestMemory(t *testing.T) {
	s := newStage(t, 0)
	if !s.set(1, "a", time.Minute, Always) || s.set(1, "b", time.Minute, Absent) || !s.set(1, "c", time.Minute, Present) || s.set(2, "d", time.Minute, Present) {
		t.Error("the cases of Set")
	}
	if got := s.get(time.Minute, 1, 2); got != "c - " {
		t.Error(got)
	}
	s.now = s.now.Add(50 * time.Second)
	s.get(time.Minute, 1) // it lives on
	s.now = s.now.Add(50 * time.Second)
	if got := s.get(time.Minute, 2, 1); got != "- c " { // only the first key's does
		t.Error(got)
	}
	s.now = s.now.Add(10 * time.Second)
	if got := s.get(time.Minute, 1); got != "- " {
		t.Error(got)
	}
	if !s.set(1, "e", time.Minute, Absent) {
		t.Error("what has run out is there")
	}
	if err := s.Delete(context.Background(), key(1)); err != nil || s.Figures() != (Figures{}) {
		t.Errorf("%v %+v", err, s.Figures())
	}
}

// When it is full what was not used for longest goes, and what has run out before that.
func TestMemoryIsBounded(t *testing.T) {
	s := newStage(t, 10*(overhead+1))
	for n := range uint64(10) {
		s.set(n, strconv.Itoa(int(n)), time.Hour, Always)
	}
	s.get(time.Hour, 0)
	for n := range uint64(5) {
		s.set(10+n, "x", time.Hour, Always)
	}
	if got := s.get(time.Hour, 0, 1, 5, 6, 14); got != "0 - - 6 x " {
		t.Error(got)
	}
	if f := s.Figures(); f.Values != 10 || f.Bytes > 10*(overhead+1) || f.Lost != 5 {
		t.Errorf("%+v", f)
	}
	s.now = s.now.Add(2 * time.Hour)
	for n := range uint64(20) {
		s.set(100+n%3, "y", time.Hour, Always)
	}
	if f := s.Figures(); f.Values != 3 || f.Lost != 5 {
		t.Errorf("what has run out stays: %+v", f)
	}
	s.set(200, string(make([]byte, 100_000)), time.Hour, Always) // larger than all there may be
	if f := s.Figures(); f.Values != 1 {
		t.Errorf("%+v", f)
	}
}

func TestMemoryConcurrently(t *testing.T) {
	m := NewMemory(time.Now, 100*overhead)
	var all sync.WaitGroup
	for g := range uint64(8) {
		all.Go(func() {
			for n := range uint64(500) {
				k := key((n*7 + g) % 150)
				_, _ = m.Set(t.Context(), k, []byte("v"), time.Second, When(n%3))
				_, _ = m.Get(t.Context(), []Key{k, key(n)}, time.Second)
				_ = m.Delete(t.Context(), key(n%20))
			}
		})
	}
	all.Wait()
	if f := m.Figures(); f.Bytes > 100*overhead || f.Bytes < 0 {
		t.Errorf("%+v", f)
	}
}

// BenchmarkMemory100k reports what 100,000 sessions of 1.5 KB take.
func BenchmarkMemory100k(b *testing.B) {
	const sessions, size = 100_000, 1500
	for b.Loop() {
		before := heap()
		m := NewMemory(time.Now, 0)
		for n := range uint64(sessions) {
			_, _ = m.Set(b.Context(), key(n), make([]byte, size), time.Hour, Always)
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(heap()-before)/sessions, "B/session")
		runtime.KeepAlive(m)
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func BenchmarkMemoryGet(b *testing.B) {
	m := NewMemory(time.Now, 0)
	keys := []Key{key(1), key(2), key(3)}
	_, _ = m.Set(b.Context(), keys[0], make([]byte, 1500), time.Hour, Always)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.Get(b.Context(), keys, time.Hour)
	}
}

// What had run out when it was dropped for want of room is not lost.
func TestMemoryLosesNothingThatHasRunOut(t *testing.T) {
	s := newStage(t, 10*(overhead+1))
	for n := range uint64(10) {
		s.set(n, "x", time.Minute, Always)
	}
	s.now = s.now.Add(time.Hour)
	s.set(100, string(make([]byte, 9*(overhead+1)-overhead)), time.Minute, Always) // nine places
	if f := s.Figures(); f.Lost != 0 || f.Values != 2 && f.Values != 1 {
		t.Errorf("%+v", f)
	}
}
