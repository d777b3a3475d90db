// Package http2 serves HTTP/2 (RFC 9113) on client connections, behind the same
// exchange as http1.
//
// proxy/listener hands it TLS connections that negotiated h2, proxy/http1 clear
// ones that begin with the HTTP/2 preface. It reads and writes frames with
// proxy/frame, decodes header blocks with golang.org/x/net/http2/hpack, holds
// requests to the rules of proxy/wire, and calls the handler.
//
// One goroutine reads a connection (conn.go) and makes streams of it. A stream is
// an exchange in a worker's goroutine, for handlers block; workers are kept, so
// that a stream costs a wake-up and no goroutine. What workers and reader have to
// say gathers in the connection's output, which one worker sends once no other has
// anything to add: answers of many streams leave in one write.
//
// Where the backend speaks HTTP/2 too, messages of a stream that stays open pass
// from the reader of one connection to the output of the other, past the handler
// that waits for them (relay.go).
//
// A connection has one lock. It guards the open streams, their windows and the
// output, and is held for moments, never while waiting. The order is: the server's,
// a connection's, one of a backend's, the workers'.
package http2

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Config is what a Server needs.
type Config struct {
	Handler  exchange.Handler
	Refused  func(x *exchange.Exchange) // told of requests that were answered without the handler; may be nil
	Full     func() bool                // says that there is no memory for another request, whose stream is refused then; may be nil
	Untaken  exchange.Count             // answers that wait for their client, of requests that were refused, or have no place among those in flight: where there is no room for another it is broken off; nil: any number may
	Waiting  int                        // requests of all connections that have come and that nobody has looked at, the streams of further ones are refused; not above 0: any number
	Limits   wire.Limits
	Streams  uint32        // open at one time on a connection
	MaxBody  int64         // content of a request (413); not above 0: no limit
	Pace     exchange.Pace // of a request's content, after the first Timeouts.Read (408); gRPC's has its own time
	Buffers  exchange.Buffers
	Timeouts Timeouts
	Floods   Floods
	Flooded  func(kind string) // told of connections that ended for a flood: "frames", "resets" or "header"; may be nil
	Log      logr.Logger       // why connections were broken off, at level 1
}

// Timeouts of a connection and its streams.
type Timeouts struct {
	Idle  time.Duration // a connection without streams; at most twice that
	Head  time.Duration // for the rest of a head, or of another frame, that has begun; 0: Read
	Read  time.Duration // for the next bytes of a request's content
	Write time.Duration // for the client to take 32 KiB of an answer; of a whole connection at least this, at most twice

	Stream time.Duration // Read, for gRPC, if that is more
}

// within is c for a connection whose port has limits of its own.
func (c *Config) within(info *exchange.Conn) *Config {
	l := info.Limits
	if l == nil {
		return c
	}
	own := *c
	own.Limits.Head = table.Tighter(c.Limits.Head, l.Header)
	own.Streams = table.Tighter(c.Streams, l.Streams)
	own.MaxBody = table.Tighter(c.MaxBody, l.Body)
	own.Timeouts.Idle = table.Tighter(c.Timeouts.Idle, l.IdleTime)
	own.Timeouts.Head = table.Tighter(c.Timeouts.Head, l.HeaderTime)
	own.Timeouts.Read = table.Tighter(c.Timeouts.Read, l.BodyTime)
	own.Timeouts.Write = table.Tighter(c.Timeouts.Write, l.WriteTime)
	return &own
}

// Server serves connections until it is drained.
type Server struct {
	cfg      Config
	workers  workers
	waiting  atomic.Int32 // see Config
	clock    exchange.Clock
	ending   atomic.Bool // the next answer of each connection comes with GOAWAY
	draining atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New returns a Server.
func New(cfg Config) *Server {
	if cfg.Timeouts.Head <= 0 {
		cfg.Timeouts.Head = cfg.Timeouts.Read
	}
	cfg.Buffers = cfg.Buffers.Settled()
	cfg.Floods.defaults()
	return &Server{cfg: cfg, conns: map[*conn]struct{}{}}
}

// Serve serves one connection and returns when it has ended, with all its
// streams. ahead is what was already read of it.
func (s *Server) Serve(nc net.Conn, ahead []byte, info *exchange.Conn) {
	info.Protocol = "HTTP/2.0"
	c := newConn(s, nc, info)
	if !s.enter(c) {
		return
	}
	c.serve(ahead)
	s.leave(c)
}

// enter reports whether c may be served.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	if len(s.conns) == 0 {
		s.workers.open()
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.conns, c); len(s.conns) == 0 {
		s.workers.dismiss()
	}
}

// Finish sends GOAWAY with the next answer of each connection, so that clients
// leave by themselves before Drain; new connections are served.
func (s *Server) Finish() { s.ending.Store(true) }

// Drain sends GOAWAY on every connection: streams that are open finish, then
// the connections close. It does not wait.
func (s *Server) Drain() {
	s.ending.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for c := range s.conns {
		c.mu.Lock()
		c.announce()
		c.flush()
		c.mu.Unlock()
		c.nudge()
	}
}
