// Package http3 serves HTTP/3 (RFC 9114) on QUIC connections, behind the same
// exchange as http1 and http2.
//
// proxy/listener hands it connections whose handshake is over; quic-go carries
// them (RFC 9000). Streams of requests, their frames and their header blocks
// (QPACK, RFC 9204, without the dynamic table) are read and written here: quic-go's
// own HTTP/3 would make a net/http request and answer of each, and let through some
// of what section 4 calls malformed. It holds requests to the rules of proxy/wire, and
// calls the handler.
//
// A request is an exchange in a worker's goroutine, for handlers block; workers
// that have nothing to do are kept for a connection's next request.
package http3

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Protocol is its name in ALPN (section 3.1).
const Protocol = "h3"

// Config is what a Server needs.
type Config struct {
	Handler  exchange.Handler
	Refused  func(x *exchange.Exchange) // told of requests that were refused without the handler; may be nil
	Full     func() bool                // says that there is no memory for another request, whose stream is rejected then; may be nil
	Limits   wire.Limits
	Streams  uint32            // open at one time on a connection; see QUIC
	Resets   int               // streams that may come to nothing through the client (see frame.Resets); not above 0: as many as that
	Flooded  func(kind string) // told of connections that ended for more, "resets", or for heads that do not come, "header"; may be nil
	Heads    exchange.Count    // heads of requests that have not come: when it is busy a connection waits for its own; nil: they may be any number
	MaxBody  int64             // content of a request (413); not above 0: no limit
	Pace     exchange.Pace     // of a request's content, after the first Timeouts.Read (408); gRPC's has its own time
	Buffers  exchange.Buffers
	Timeouts Timeouts
}

// Timeouts of a connection and its streams.
type Timeouts struct {
	Idle  time.Duration // a connection without requests
	Head  time.Duration // for a request's head; 0: Read
	Read  time.Duration // for the next bytes of its content
	Write time.Duration // for the client to take bytes of the answer: at least this, at most twice

	Stream time.Duration // Read, for gRPC, if that is more
}

// uniStreams is how many unidirectional streams a client may have open: it needs
// three (section 6.2), and may try others.
const uniStreams = 8

// silence is how long a connection of QUIC may be silent at least. Chromium shows every
// 15 s that it waits for an answer.
const silence = time.Minute

// QUIC returns the settings of connections: what c bounds of them, and that no
// request is taken before the handshake is over (0-RTT), for it could be replayed.
func (c Config) QUIC() *quic.Config {
	buffers := c.Buffers.Settled()
	return &quic.Config{
		// For QUIC a connection is idle as well while a request waits for its backend, or a stream
		// for its next message. One without requests is ended by us, before.
		MaxIdleTimeout:                 max(c.Timeouts.Idle, c.Timeouts.Stream, silence) + 2*linger,
		InitialStreamReceiveWindow:     uint64(buffers.Stream),
		MaxStreamReceiveWindow:         uint64(buffers.Stream),
		InitialConnectionReceiveWindow: uint64(buffers.Connection),
		MaxConnectionReceiveWindow:     uint64(buffers.Connection),
		MaxIncomingStreams:             int64(c.Streams),
		MaxIncomingUniStreams:          uniStreams,
	}
}

// within is c for a connection whose port has limits of its own; proxy/listener sees to
// that of its streams.
func (c *Config) within(info *exchange.Conn) *Config {
	l := info.Limits
	if l == nil {
		return c
	}
	own := *c
	own.Limits.Head = table.Tighter(c.Limits.Head, l.Header)
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
	if cfg.Resets <= 0 {
		cfg.Resets = frame.Resets
	}
	cfg.Buffers = cfg.Buffers.Settled()
	return &Server{cfg: cfg, conns: map[*conn]struct{}{}}
}

// Serve serves one connection and returns when it has ended, with all its
// requests.
func (s *Server) Serve(c *quic.Conn, info *exchange.Conn) {
	info.Protocol = "HTTP/3.0"
	k := newConn(s, c, info)
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		k.close(codeNo)
		return
	}
	s.conns[k] = struct{}{}
	s.mu.Unlock()
	k.serve()
	s.mu.Lock()
	delete(s.conns, k)
	s.mu.Unlock()
}

// Shed ends the connections without a request, where the process has no memory left. They may
// have more of it than others: an answer is quic-go's from when it has been written until its
// client has taken it, and for clients that do not there is nobody who waits.
func (s *Server) Shed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.conns {
		if k.quiet() {
			go k.close(codeNo)
		}
	}
}

// Finish sends GOAWAY with the next answer of each connection, so that clients
// leave by themselves before Drain; new connections are served.
func (s *Server) Finish() { s.ending.Store(true) }

// Drain sends GOAWAY on every connection: requests under way finish, then the
// connections close. It does not wait.
func (s *Server) Drain() {
	s.ending.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for k := range s.conns {
		go k.leave()
	}
}
