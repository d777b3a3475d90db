package remote

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait after failures: from First, doubled with each
// failure in a row, to Last. Zero fields mean 1 s and 1 min.
type Backoff struct{ First, Last time.Duration }

func (b *Backoff) defaults() {
	b.First = or(b.First, time.Second)
	b.Last = max(or(b.Last, time.Minute), b.First)
}

// After returns the wait after so many failures in a row, jittered.
func (b Backoff) After(failures int) time.Duration {
	b.defaults()
	d := b.First
	for i := 1; i < failures && d < b.Last; i++ {
		d *= 2
	}
	return Jitter(min(d, b.Last))
}

// Jitter spreads d over its last fifth, so that replicas do not ask at once.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}
