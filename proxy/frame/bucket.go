package frame

import "time"

// Bucket is how much a peer may still do of something that is of no use: it holds so
// much at first, and gains some every second, and some by what is useful.
type Bucket struct {
	left, most int
	rate       int // gained in a second
	filled     time.Time
}

// NewBucket returns a full one.
func NewBucket(most, rate int, now time.Time) Bucket {
	return Bucket{left: most, most: most, rate: rate, filled: now}
}

// Gain adds n.
func (b *Bucket) Gain(n int) { b.left = min(b.left+n, b.most) }

// Take takes n, and reports whether there was as much.
func (b *Bucket) Take(n int, now time.Time) bool {
	if b.left < n {
		if gained := int(now.Sub(b.filled) * time.Duration(b.rate) / time.Second); gained > 0 {
			b.Gain(gained)
			b.filled = b.filled.Add(time.Duration(gained) * time.Second / time.Duration(b.rate)) // what is less than one is not lost
		}
	}
	b.left -= n
	return b.left >= 0
}

// Streams that a client takes back before their answer began and soon (rapid reset,
// CVE-2023-44487), or has us reset by a fault of its own ("made you reset", CVE-2025-8671),
// and malformed requests.
const (
	Resets      = 200                    // at first
	ResetRate   = 20                     // a second
	ResetAnswer = 1                      // gained by an answer that was completed
	ResetSoon   = 100 * time.Millisecond // one who waited as long holds streams, of which there are few
)
