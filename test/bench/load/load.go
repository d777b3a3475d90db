// Package load makes the requests of the benchmarks and answers them: wrk and
// h2load where they fit, generators of its own where they do not, and backends
// that cost little. test/bench runs both in processes of their own, on the CPU
// that the measured proxy does not have; it calls nothing of the project but
// proxy/socket.
package load

import (
	"context"
	"fmt"
	"time"
)

// Kinds of load.
const (
	Wrk       = "wrk"       // HTTP/1.1, closed loop
	H2load    = "h2load"    // HTTP over TLS, closed loop
	Loop      = "loop"      // messages over TCP or UDP, and HTTP/1.1 at a rate
	Handshake = "handshake" // a TLS connection for each request
	Streams   = "streams"   // messages of gRPC streams
	HTTP3     = "http3"     // HTTP/3, closed loop
)

// Kinds of messages, for Loop.
const (
	HTTP      = "http"
	Bytes     = "bytes" // what is sent comes back
	WebSocket = "websocket"
)

// Spec is one load.
type Spec struct {
	Kind        string
	Address     string // host and port
	Host        string // that is asked for
	Path        string
	Headers     []string // lines
	Body        int      // bytes that a request carries, or a message
	Connections int
	Streams     int  // on each connection
	HTTP1       bool // h2load: HTTP/1.1 in place of HTTP/2
	Message     string
	Datagrams   bool
	// Rate is how many a second fall due, however long answers take; 0 has each
	// connection ask again once it was answered.
	Rate int
	// Lossy has Loop count what is answered wrongly or not at all, and connect again, in place
	// of failing.
	Lossy   bool
	Resumed bool // Handshake: by a ticket
	Seconds float64
}

// Totals are what a load came to.
type Totals struct {
	Requests     int64 // answered as they should be
	Failed       int64 // answered otherwise, or not at all
	Microseconds int64 // from the first to the last
	Bytes        int64 // of answers, heads included where the tool counts them; 0 where it does not
	// Latencies in microseconds, counted from when a request fell due. Only with a rate.
	P50, P99, P999, Max int64
}

// Run makes the load in this process.
func Run(ctx context.Context, s Spec) (Totals, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Seconds*float64(time.Second))+30*time.Second)
	defer cancel()
	var t Totals
	var err error
	switch s.Kind {
	case Wrk:
		t, err = wrk(ctx, s)
	case H2load:
		t, err = h2load(ctx, s)
	case Loop:
		t, err = loop(ctx, s)
	case Handshake:
		t, err = handshakes(ctx, s)
	case Streams:
		t, err = streams(ctx, s)
	case HTTP3:
		t, err = http3(ctx, s)
	default:
		return t, fmt.Errorf("there is no load %q", s.Kind)
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w", s.Kind, err)
	}
	if t.Failed > 0 && !s.Lossy || t.Requests == 0 {
		return t, fmt.Errorf("%s: %d answered as they should be, %d not", s.Kind, t.Requests, t.Failed)
	}
	return t, nil
}
