// Package http2 serves HTTP/2 (RFC 9113) through golang.org/x/net/http2, behind
// the same exchange as http1.
//
// proxy/listener hands it TLS connections that negotiated h2, proxy/http1 clear
// ones that begin with the HTTP/2 preface. Each stream is an exchange for the
// proxy's handler, in a goroutine of its own.
package http2

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// What one connection may hold in memory of content nobody has read yet.
const (
	streamBuffer     = 256 << 10
	connectionBuffer = 1 << 20
)

// Config is what a Server needs.
type Config struct {
	Handler  exchange.Handler
	Refused  func(x *exchange.Exchange) // told of requests that were answered without the handler; may be nil
	Limits   wire.Limits
	Streams  uint32 // open at one time on a connection
	MaxBody  int64  // content of a request (413); not above 0: no limit
	Timeouts Timeouts
	Log      logr.Logger // what the library has to complain about
}

// Timeouts of a connection and its streams.
type Timeouts struct {
	Idle  time.Duration // a connection without streams
	Read  time.Duration // for the next bytes of a request's content
	Write time.Duration // for the client to take bytes of the answer: at least this, at most twice

	Stream time.Duration // Read, for gRPC, if that is more
}

// Server serves connections until it is drained.
type Server struct {
	cfg      Config
	library  *http2.Server //nolint:staticcheck // net/http, which it is deprecated for, cannot serve a connection that another package has accepted
	base     *http.Server  // carries the settings, and the drain to every connection
	ending   atomic.Bool   // every answer is its connection's last but for streams open already
	draining atomic.Bool
}

// New returns a Server.
//
//nolint:staticcheck // see Server.library
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.base = &http.Server{MaxHeaderBytes: cfg.Limits.Head, ReadHeaderTimeout: cfg.Timeouts.Read}
	s.base.ErrorLog = slog.NewLogLogger(logr.ToSlogHandler(cfg.Log), slog.LevelWarn)
	s.library = &http2.Server{
		MaxConcurrentStreams:         cfg.Streams,
		IdleTimeout:                  cfg.Timeouts.Idle,
		WriteByteTimeout:             cfg.Timeouts.Write,
		MaxUploadBufferPerConnection: connectionBuffer,
		MaxUploadBufferPerStream:     streamBuffer,
	}
	_ = http2.ConfigureServer(s.base, s.library) // it can only refuse cipher suites, and base has none
	return s
}

// Serve serves one connection and returns when it has ended. ahead is what was
// already read of it.
//
//nolint:staticcheck // see Server.library
func (s *Server) Serve(c net.Conn, ahead []byte, conn *exchange.Conn) {
	if s.draining.Load() {
		return
	}
	conn.Protocol = "HTTP/2.0"
	if len(ahead) > 0 {
		c = &prefixed{c, ahead}
	}
	s.library.ServeConn(c, &http2.ServeConnOpts{
		BaseConfig: s.base,
		Handler:    http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.stream(w, r, conn) }),
	})
}

// Finish sends GOAWAY with the next answer of each connection, so that clients
// leave by themselves before Drain; new connections are served.
func (s *Server) Finish() { s.ending.Store(true) }

// Drain sends GOAWAY on every connection: streams that are open finish, then
// the connections close. It does not wait.
func (s *Server) Drain() {
	s.ending.Store(true)
	s.draining.Store(true)
	_ = s.base.Shutdown(context.Background()) // runs the library's hook; the base server has nothing of its own to close
}

// prefixed is a connection some of which has been read already.
type prefixed struct {
	net.Conn
	ahead []byte
}

// Read implements io.Reader.
func (c *prefixed) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// stream is one request and its answer; reused.
type stream struct {
	exchange.Exchange
	head   wire.RequestHead
	body   body
	writer writer
}

var streams = sync.Pool{New: func() any { return new(stream) }}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, conn *exchange.Conn) {
	st := streams.Get().(*stream)
	x := &st.Exchange
	x.Conn, x.Writer, x.Start = conn, &st.writer, time.Now()
	st.writer = writer{x: x, rw: w.(responseWriter), stall: s.cfg.Timeouts.Write, ending: &s.ending}
	if err := st.read(r, &s.cfg); err != nil {
		x.Fail(err)
		_ = x.WriteReply() // a client that is gone needs no answer
		if s.cfg.Refused != nil {
			s.cfg.Refused(x)
		}
	} else {
		x.Context = r.Context()
		if r.ContentLength != 0 {
			b := &st.body
			b.x, b.request, b.rw, b.patience, b.limit = x, r, st.writer.rw, s.cfg.Timeouts.Read, s.cfg.MaxBody
			if x.GRPC() { // a stream of messages, without end if need be, whose client may well be silent
				b.patience, b.limit = max(b.patience, s.cfg.Timeouts.Stream), 0
			}
			x.Request.Body = b
		}
		s.cfg.Handler.Handle(x)
	}
	if !st.writer.ended {
		st.writer.abort()
	}
	st.body.release()
	st.writer = writer{}
	x.Reset()
	x.Conn, x.Writer, x.Context = nil, nil, nil
	streams.Put(st)
}
