// Package http1 serves HTTP/1.0 and HTTP/1.1 on client connections (RFC 9112).
//
// proxy/listener hands it each accepted connection; it parses requests with
// proxy/wire, calls the handler, and writes the answers. TCP connections are
// driven by proxy/socket, with TLS over them by proxy/record; where neither can,
// they are read and written in the plain way by the same state machine.
//
// One goroutine serves a connection, until it has been quiet for a while: then it
// is handed back, and needs none. A request without content, or whose content
// has come with its head, is served inside the engine's long read; others are
// served outside it, because their content has to be waited for. A connection
// which waits for a request holds no buffer.
package http1

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Config bounds what a client may use. Zero fields mean the default, negative
// ones no limit where that is said.
type Config struct {
	Limits       wire.Limits   // head 64 KiB (431), target 8 KiB (414), 100 fields (431)
	MaxBody      int64         // content of a request, 1 GiB (413); negative: no limit
	MaxRequests  int           // on one connection, which is then closed; 0: no limit
	HeadTimeout  time.Duration // from a head's first byte to its last, 10 s (408)
	IdleTimeout  time.Duration // between requests, 60 s; at most twice that passes before the connection is closed
	BodyTimeout  time.Duration // between two pieces of content, 30 s (408); at most twice that
	Pace         exchange.Pace // of content, after the first BodyTimeout: 64 bytes a second (408); Least negative: any
	WriteTimeout time.Duration // for a client to read 32 KiB, 30 s; at most twice that passes before the connection is closed
	MaxDrain     int64         // content left unread after an answer that is read and dropped to keep the connection, 64 KiB
	Quiet        time.Duration // after so long without a byte, at most twice that, Serve hands a connection back; 0: never
	LingerTime   time.Duration // how long a closed connection is still read, so that the client gets the answer, 2 s

	// HTTP2 serves connections that begin with HTTP/2's preface (RFC 9113,
	// section 3.3); ahead is what was read of them. nil: they are refused.
	HTTP2 func(c net.Conn, ahead []byte, info *exchange.Conn)
	// Refused is told of requests that were answered without the handler. May be nil.
	Refused func(x *exchange.Exchange)
}

// Defaults fills in what is zero.
func (c *Config) Defaults() {
	c.Limits.Head = or(c.Limits.Head, 64<<10)
	c.Limits.Target = or(c.Limits.Target, 8<<10)
	c.Limits.Fields = or(c.Limits.Fields, 100)
	c.HeadTimeout = or(c.HeadTimeout, 10*time.Second)
	c.IdleTimeout = or(c.IdleTimeout, 60*time.Second)
	c.BodyTimeout = or(c.BodyTimeout, 30*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 30*time.Second)
	c.LingerTime = or(c.LingerTime, 2*time.Second)
	c.MaxDrain = or(c.MaxDrain, 64<<10)
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 30
	}
	if c.Pace.Least == 0 {
		c.Pace.Least = 64
	}
}

// within is c for a connection whose port has limits of its own.
func (c *Config) within(info *exchange.Conn) *Config {
	l := info.Limits
	if l == nil {
		return c
	}
	own := *c
	own.Limits.Head = table.Tighter(c.Limits.Head, l.Header)
	own.MaxBody = table.Tighter(c.MaxBody, l.Body)
	own.HeadTimeout = table.Tighter(c.HeadTimeout, l.HeaderTime)
	own.BodyTimeout = table.Tighter(c.BodyTimeout, l.BodyTime)
	own.IdleTimeout = table.Tighter(c.IdleTimeout, l.IdleTime)
	own.WriteTimeout = table.Tighter(c.WriteTimeout, l.WriteTime)
	return &own
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// shards is how many parts the set of connections has, so that connects and
// closes seldom wait for each other.
const shards = 16

// Server serves connections.
type Server struct {
	cfg      Config
	handler  exchange.Handler
	ending   atomic.Bool // every answer is its connection's last
	draining atomic.Bool
	closed   atomic.Bool
	clock    exchange.Clock
	next     atomic.Uint32
	serving  atomic.Int32 // connections in conns
	conns    [shards]shard
}

// shard is a part of the open connections. Its lock is taken when a connection
// begins and ends, never for a request.
type shard struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New returns a server that answers with h.
func New(cfg Config, h exchange.Handler) *Server {
	cfg.Defaults()
	s := &Server{cfg: cfg, handler: h}
	for i := range s.conns {
		s.conns[i].conns = map[*conn]struct{}{}
	}
	return s
}

// Serve serves nc until it ends, and closes it. What is known of it belongs to
// the Server meanwhile.
//
// A connection that is quiet (Config.Quiet) is handed back: then the result is
// when to close it, unless something comes before, for which Serve is to be called again.
func (s *Server) Serve(nc net.Conn, info *exchange.Conn) (until time.Time) {
	c, err := newConn(s, nc, info)
	if err != nil {
		nc.Close()
		return time.Time{}
	}
	s.serving.Add(1)
	defer s.serving.Add(-1)
	at := &s.conns[s.next.Add(1)%shards]
	at.mu.Lock()
	at.conns[c] = struct{}{}
	at.mu.Unlock()
	if !s.closed.Load() {
		c.run()
	}
	if c.outcome == handover {
		c.serveHTTP2()
	}
	if c.outcome == resting {
		until = time.Now().Add(c.cfg.IdleTimeout - c.cfg.Quiet)
	} else {
		c.close()
	}
	at.mu.Lock()
	delete(at.conns, c)
	at.mu.Unlock()
	c.release()
	return until
}

// Finish makes every answer from now on the last of its connection, so that
// clients leave by themselves before Drain; connections waiting for a request
// stay, and new ones are served.
func (s *Server) Finish() { s.ending.Store(true) }

// Drain lets every connection end with the answer it is at: from now on answers
// say Connection: close, and connections waiting for a request are closed now.
func (s *Server) Drain() {
	s.draining.Store(true)
	// A deadline in the past wakes whoever waits; conn.failed tells a request
	// on its way from none.
	s.each(func(c *conn) {
		if !c.tunnel.Load() {
			c.nc.SetReadDeadline(past()) //nolint:errcheck // closed meanwhile: just as well
		}
	})
}

// Close breaks all connections off.
func (s *Server) Close() {
	s.draining.Store(true)
	s.closed.Store(true)
	s.each(func(c *conn) {
		c.nc.SetDeadline(past()) //nolint:errcheck // closed meanwhile: just as well
		go c.below().Close()     // it waits until a request inside the long read is done with
	})
}

func (s *Server) each(f func(*conn)) {
	for i := range s.conns {
		at := &s.conns[i]
		at.mu.Lock()
		for c := range at.conns {
			f(c)
		}
		at.mu.Unlock()
	}
}

// past returns a deadline that wakes whoever waits.
func past() time.Time { return time.Unix(1, 0) }
