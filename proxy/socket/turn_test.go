package socket

import (
	"sync"
	"testing"
	"time"
)

// TestTurns computes beside connections that are asked and must answer, and ends
// with a Turns that is closed: nobody may be kept waiting by it.
func TestTurns(t *testing.T) {
	turns, err := NewTurns()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	var computing sync.WaitGroup
	for range 3 {
		computing.Go(func() {
			for {
				select {
				case <-asked:
					return
				default:
					turns.Step()
				}
			}
		})
	}
	a, b := pair(t)
	s := wrap(t, b)
	var one [1]byte
	for range 100 {
		if _, err := a.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(one[:]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	close(asked)
	computing.Wait()
	if err := turns.Close(); err != nil {
		t.Error(err)
	}
	for range 100 {
		turns.began = time.Time{}
		turns.Step()
	}
}

// BenchmarkTurns is what letting others go first costs when there are none.
func BenchmarkTurns(b *testing.B) {
	turns, err := NewTurns()
	if err != nil {
		b.Fatal(err)
	}
	defer turns.Close()
	b.ReportAllocs()
	for b.Loop() {
		turns.wait()
	}
}
