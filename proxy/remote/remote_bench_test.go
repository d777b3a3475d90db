package remote

import (
	"context"
	"testing"
	"time"
)

func TestHitDoesNotAllocate(t *testing.T) {
	c := NewCache[string](CacheConfig{})
	defer c.Close()
	if _, err := c.Load(t.Context(), "a key of some length", func(context.Context) (string, Life, error) { return "v", Life{Fresh: time.Hour}, nil }); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if v, ok := c.Get("a key of some length"); !ok || v != "v" {
			t.Fatal(v, ok)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := NewCache[string](CacheConfig{})
	defer c.Close()
	if _, err := c.Load(b.Context(), "a key of some length", func(context.Context) (string, Life, error) { return "v", Life{Fresh: time.Hour}, nil }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := c.Get("a key of some length"); !ok {
				b.Error("a miss")
			}
		}
	})
}
