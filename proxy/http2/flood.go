package http2

import "github.com/gatehouse-dev/gatehouse/proxy/frame"

// What a client may send that brings no request on. Each kind is a bucket: it
// holds so much at first, gains some every second, and some by what is useful; one
// who empties it is told to calm down, and the connection ends.
const (
	// Frames that cost us work and are cheap to send: SETTINGS and PING, which must
	// be acknowledged, PRIORITY, WINDOW_UPDATE, unknown types, CONTINUATION, DATA
	// without content. Updates of windows count only where more come than the content
	// sent before gains, up to mostOwed.
	idleRate    = 100
	idleRequest = 10  // gained by a request: one may come with a window update and a ping
	idleFrame   = 3   // by a frame of content in either direction: gRPC updates both windows for it, and pings
	idleBytes   = 256 // of content gain one, when that is more
	mostOwed    = 1 << 20
)

// idleGain is what n bytes of content in a frame gain.
func idleGain(n int) int { return max(idleFrame, n/idleBytes) }

// Floods are how large the buckets are, and how many frames a header block may
// come in. Zero fields mean the default.
type Floods struct {
	Idle   int // frames that bring no request on, 1,000
	Resets int // streams, frame.Resets
	Block  int // frames of one header block, 64
}

func (f *Floods) defaults() {
	for _, v := range []struct {
		of        *int
		otherwise int
	}{{&f.Idle, 1000}, {&f.Resets, frame.Resets}, {&f.Block, 64}} {
		if *v.of <= 0 {
			*v.of = v.otherwise
		}
	}
}
