package proxy

import (
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/http2"
	"github.com/gatehouse-dev/gatehouse/proxy/http3"
	"github.com/gatehouse-dev/gatehouse/proxy/listener"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/tcp"
	"github.com/gatehouse-dev/gatehouse/proxy/udp"
)

// listening is the configuration of the sockets.
func (s *Server) listening() listener.Config {
	c := &s.opts.Clients
	one := c.HTTP1
	one.Defaults()
	relayed := c.TCP
	relayed.Poll = s.door.loops
	return listener.Config{
		Protocols: s.protocols,
		HTTP3:     s.http3,
		Streams:   relays{tcp.New(relayed), udp.New(c.UDP)},
		Route:     func(t *table.Stream) *stream.Route { return stream.New(t, s.owners.Upstreams, s.metrics) },
		Current:   func() map[uint32]*listener.Port { return s.state.Load().ports },
		Bind:      s.opts.Bind,
		Metrics:   s.metrics,
		Door:      &s.door,
		Hellos:    s.door.hellos,
		Loops:     s.door.loops,
		Limits:    listener.Limits{Handshake: c.Handshake, Idle: one.IdleTimeout, Drain: s.opts.Drain.Timeout},
	}
}

// quiet is after how long without a byte a connection gives up its goroutine,
// with its stack of 4 KiB and more. Coming back from there costs about as much as
// a tenth of a request.
const quiet = 500 * time.Millisecond

// protocols is the servers of one socket.
type protocols struct {
	http1 *http1.Server
	http2 *http2.Server
}

func (s *Server) protocols() listener.Protocols {
	c := &s.opts.Clients
	one := c.HTTP1
	one.Refused, one.Pace.Full = s.refused, s.door.busy
	p := &protocols{}
	one.HTTP2 = func(nc net.Conn, ahead []byte, conn *exchange.Conn) { p.http2.Serve(nc, ahead, conn) }
	if one.Defaults(); s.door.loops != nil {
		one.Quiet = quiet
	}
	p.http1 = http1.New(one, s)
	p.http2 = http2.New(http2.Config{
		Handler:  s,
		Refused:  s.refused,
		Full:     s.door.memory.Pressed,
		Untaken:  s.door.untaken,
		Waiting:  awaited(c.Requests),
		Limits:   one.Limits,
		Streams:  c.Streams,
		MaxBody:  one.MaxBody,
		Pace:     one.Pace,
		Buffers:  c.Buffers,
		Floods:   c.Floods,
		Flooded:  func(kind string) { s.metrics.Floods.Add("", kind) },
		Timeouts: http2.Timeouts{Head: one.HeadTimeout, Idle: one.IdleTimeout, Read: one.BodyTimeout, Write: one.WriteTimeout, Stream: c.Stream},
		Log:      s.log,
	})
	return p
}

// http3 is the server of one socket of UDP, and how its connections are.
func (s *Server) http3() (listener.HTTP3, *quic.Config) {
	c := &s.opts.Clients
	one := c.HTTP1
	one.Pace.Full = s.door.busy
	one.Defaults()
	config := http3.Config{
		Handler:  s,
		Refused:  s.refused,
		Full:     s.door.memory.Pressed,
		Limits:   one.Limits,
		Streams:  c.Streams,
		Resets:   c.Floods.Resets,
		Flooded:  func(kind string) { s.metrics.Floods.Add("", kind) },
		Heads:    s.door.heads,
		MaxBody:  one.MaxBody,
		Pace:     one.Pace,
		Buffers:  c.Buffers,
		Timeouts: http3.Timeouts{Head: one.HeadTimeout, Idle: one.IdleTimeout, Read: one.BodyTimeout, Write: one.WriteTimeout, Stream: c.Stream},
	}
	return http3.New(config), config.QUIC()
}

// HTTP1 implements listener.Protocols.
func (p *protocols) HTTP1(c net.Conn, conn *exchange.Conn) time.Time { return p.http1.Serve(c, conn) }

// HTTP2 implements listener.Protocols.
func (p *protocols) HTTP2(c net.Conn, conn *exchange.Conn) { p.http2.Serve(c, nil, conn) }

// Finish implements listener.Protocols.
func (p *protocols) Finish() {
	p.http1.Finish()
	p.http2.Finish()
}

// Drain implements listener.Protocols.
func (p *protocols) Drain() {
	p.http1.Drain()
	p.http2.Drain()
}

// relays implements listener.Streams.
type relays struct {
	tcp *tcp.Relay
	udp *udp.Relay
}

// TCP implements listener.Streams.
func (r relays) TCP(c net.Conn, ahead []byte, to *stream.Route) { r.tcp.Serve(c, ahead, to) }

// UDP implements listener.Streams.
func (r relays) UDP(c *net.UDPConn, to func() *stream.Route) { r.udp.Serve(c, to) }
