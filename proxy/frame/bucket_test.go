package frame

import (
	"testing"
	"time"
)

// TestBucketLosesNothing has somebody take what comes, ever again just before it is whole.
func TestBucketLosesNothing(t *testing.T) {
	now := time.Now()
	b := NewBucket(2, 10, now)
	taken := 0
	for range 200 {
		now = now.Add(95 * time.Millisecond)
		if b.left > 0 || b.filled.Add(100*time.Millisecond).Compare(now) <= 0 {
			if !b.Take(1, now) {
				t.Fatalf("empty after %d", taken)
			}
			taken++
		}
	}
	if taken < 190 { // of the 190 that come in 19 s, and the two there are
		t.Errorf("%d taken", taken)
	}
}
