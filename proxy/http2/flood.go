package http2

import "time"

// What a client may send that brings no request on. Each kind is a bucket: it
// holds so much at first, gains some every second, and some by what is useful; one
// who empties it is told to calm down, and the connection ends.
const (
	// Frames that cost us work and are cheap to send: SETTINGS and PING, which must
	// be acknowledged, PRIORITY, WINDOW_UPDATE, unknown types, CONTINUATION, DATA
	// without content.
	idleRate    = 100
	idleRequest = 10  // gained by a request: one may come with a window update and a ping
	idleFrame   = 3   // by a frame of content in either direction: gRPC updates both windows for it, and pings
	idleBytes   = 256 // of content gain one, when that is more

	// Streams taken back before their answer began and soon, by the client (rapid
	// reset, CVE-2023-44487) or by us for a fault of the client's ("made you reset",
	// CVE-2025-8671), and malformed requests.
	resetRate   = 20
	resetAnswer = 1                      // gained by an answer that was completed
	resetSoon   = 100 * time.Millisecond // one who waited as long holds streams, of which there are few
)

// idleGain is what n bytes of content in a frame gain.
func idleGain(n int) int { return max(idleFrame, n/idleBytes) }

// Floods are how large the buckets are, and how many frames a header block may
// come in. Zero fields mean the default.
type Floods struct {
	Idle   int // frames that bring no request on, 1,000
	Resets int // streams, 200
	Block  int // frames of one header block, 64
}

func (f *Floods) defaults() {
	for _, v := range []struct {
		of        *int
		otherwise int
	}{{&f.Idle, 1000}, {&f.Resets, 200}, {&f.Block, 64}} {
		if *v.of <= 0 {
			*v.of = v.otherwise
		}
	}
}

// bucket is how much of one kind is left.
type bucket struct {
	left, most int
	rate       int // gained in a second
	filled     time.Time
}

func newBucket(most, rate int, now time.Time) bucket {
	return bucket{left: most, most: most, rate: rate, filled: now}
}

// gain adds n.
func (b *bucket) gain(n int) { b.left = min(b.left+n, b.most) }

// take takes n, and reports whether there was as much.
func (b *bucket) take(n int, now time.Time) bool {
	if b.left < n {
		if gained := int(now.Sub(b.filled) * time.Duration(b.rate) / time.Second); gained > 0 {
			b.gain(gained)
			b.filled = b.filled.Add(time.Duration(gained) * time.Second / time.Duration(b.rate)) // what is less than one is not lost
		}
	}
	b.left -= n
	return b.left >= 0
}
