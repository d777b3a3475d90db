package upstream

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// ErrNoEndpoint says that a backend has no endpoints.
var ErrNoEndpoint = errors.New("the backend has no endpoints")

// connectTries is how many endpoints a stream is offered to.
const connectTries = 3

// Stream is a connection to an endpoint that carries one client's bytes and is
// never pooled.
type Stream struct {
	net.Conn // *net.TCPConn, or *tls.Conn after the handshake
	ep       *Endpoint
	closed   atomic.Bool
}

// Connect opens a connection for a stream, to another endpoint when one cannot
// be reached: to three at most, each within ConnectTimeout.
func (b *Backend) Connect() (*Stream, error) {
	var avoid *Endpoint
	for try := 1; ; try++ {
		now := time.Now()
		e := b.Pick(avoid, now)
		if e == nil {
			return nil, ErrNoEndpoint
		}
		c, failed := e.join(now)
		if failed == nil {
			e.busy.Add(1)
			return &Stream{Conn: c, ep: e}, nil
		}
		if try == connectTries || e == avoid {
			return nil, failed
		}
		avoid = e
	}
}

// join opens a connection for a stream, and makes it one of TLS where the
// backend is reached so.
func (e *Endpoint) join(now time.Time) (net.Conn, *exchange.Error) {
	c, failed := e.connect(time.Time{})
	if failed != nil {
		return nil, failed
	}
	secure := e.secure.Load()
	if secure == nil {
		e.reached()
		return c, nil
	}
	over, err := e.handshake(c, secure.stream, now, time.Time{})
	if err != nil {
		_ = c.Close()
		e.open.Add(-1)
		_ = e.unreached()
		return nil, errInsecure
	}
	e.reached()
	return over, nil
}

// Close closes the connection. It may be called more than once.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.ep.busy.Add(-1)
	s.ep.open.Add(-1)
	return s.Conn.Close()
}

// Busy adds to what the endpoint is busy with: sessions of datagrams, when they
// begin (1) and end (-1).
func (e *Endpoint) Busy(sessions int32) { e.busy.Add(sessions) }

// Gone says that the endpoint has been taken out of its backend.
func (e *Endpoint) Gone() bool { return e.pool.closed.Load() }

// Failed notes that the endpoint could not be reached: for a while others are
// picked, as long as there are any.
func (e *Endpoint) Failed() { _ = e.unreached() }
