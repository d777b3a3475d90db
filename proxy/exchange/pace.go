package exchange

import "time"

// Pace is how fast the content of requests must come, in bytes a second on
// average, once a client has been waited for for some time. The zero Pace is
// content with anything.
type Pace struct {
	Least int64                 // not above 0: any
	Busy  int64                 // instead, while Full says so, if it is more
	Full  func(conn *Conn) bool // whether what the connection came by has little room left; nil: never
}

// Slow reports whether content is too slow of which so many bytes came in the
// time that its client was waited for. It may take grace whatever comes.
func (p *Pace) Slow(conn *Conn, bytes int64, waited, grace time.Duration) bool {
	if waited < grace {
		return false
	}
	least := p.Least
	if p.Busy > least && p.Full != nil && p.Full(conn) {
		least = p.Busy
	}
	return least > 0 && bytes < int64(waited.Seconds()*float64(least))
}

// Buffers are what may be held in memory of content that nobody has read yet, in
// the versions of HTTP with streams: the client is told to send no more. Zero
// fields mean the default, and the least is 64 KiB.
type Buffers struct {
	Stream     int // of one request, 256 KiB
	Connection int // of all of a connection, 1 MiB
}

// Settled is b with its defaults and within its bounds.
func (b Buffers) Settled() Buffers {
	return Buffers{settled(b.Stream, 256<<10), settled(b.Connection, 1<<20)}
}

func settled(v, otherwise int) int {
	if v <= 0 {
		v = otherwise
	}
	return min(max(v, 64<<10), 1<<30)
}
