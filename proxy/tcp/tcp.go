// Package tcp relays connections: what a client sends goes to a backend as it
// is, and back.
//
// proxy/listener hands it connections of TCP listeners, of TLS listeners that
// pass TLS through (with the bytes that were read to find the server name) and
// of those that end TLS (after the handshake); the Route says where they go. It
// calls stream and upstream for a connection to a backend, and relay to copy.
//
// One end that finishes sending does not end the other: the end is passed on,
// and the other direction lasts until it finishes too. A connection that no
// backend can take is reset.
package tcp

import (
	"net"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/relay"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
)

// Config bounds what connections may do. Zero fields mean the default.
type Config struct {
	Idle time.Duration // a connection on which nothing moves in either direction for this long is closed, 1 h
	Poll *poll.Set     // what attends to them; nil: two goroutines for each
}

// Relay relays connections. Its methods may be called by any goroutine.
type Relay struct{ cfg Config }

// New returns a Relay.
func New(cfg Config) *Relay {
	if cfg.Idle <= 0 {
		cfg.Idle = time.Hour
	}
	return &Relay{cfg}
}

// Serve relays c, a *net.TCPConn or one of TLS after its handshake, of which
// ahead has been read already. It returns when the connection has ended; the
// caller closes c.
func (r *Relay) Serve(c net.Conn, ahead []byte, to *stream.Route) {
	to.Metrics.Connections.Add(1)
	b := to.Pick()
	if b == nil {
		to.Metrics.Refused.Add(1)
		reset(c)
		return
	}
	backend, err := b.Connect()
	if err != nil {
		to.Metrics.Refused.Add(1)
		reset(c)
		return
	}
	defer backend.Close()
	to.Metrics.Open.Add(1)
	defer to.Metrics.Open.Add(-1)
	if len(ahead) > 0 {
		c = &socket.Ahead{Conn: c, Bytes: ahead}
	}
	both := relay.Relay{Idle: r.cfg.Idle, Poll: r.cfg.Poll}
	if !both.Join(c, backend.Conn, relay.Count{In: &to.Metrics.BytesIn, Out: &to.Metrics.BytesOut}) {
		to.Metrics.Failed.Add(1)
	}
}

// reset makes the client see that its connection is refused, and not that it
// has come to a good end.
func reset(c net.Conn) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0) // without it the client sees an end instead
	}
}
