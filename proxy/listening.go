package proxy

import (
	"net"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/http2"
	"github.com/gatehouse-dev/gatehouse/proxy/listener"
)

// listening is the configuration of the sockets.
func (s *Server) listening() listener.Config {
	c := &s.opts.Clients
	return listener.Config{
		Protocols: s.protocols,
		Current:   func() map[uint32]*listener.Port { return s.state.Load().ports },
		Bind:      s.opts.Bind,
		Metrics:   s.metrics,
		Limits:    listener.Limits{Connections: c.Connections, Handshake: c.Handshake, Drain: s.opts.Drain.Timeout},
	}
}

// protocols is the servers of one socket.
type protocols struct {
	http1 *http1.Server
	http2 *http2.Server
}

func (s *Server) protocols() listener.Protocols {
	c := &s.opts.Clients
	one := c.HTTP1
	one.Refused = s.refused
	p := &protocols{}
	one.HTTP2 = func(nc net.Conn, ahead []byte, conn *exchange.Conn) { p.http2.Serve(nc, ahead, conn) }
	one.Defaults()
	p.http1 = http1.New(one, s)
	p.http2 = http2.New(http2.Config{
		Handler:  s,
		Refused:  s.refused,
		Limits:   one.Limits,
		Streams:  c.Streams,
		MaxBody:  one.MaxBody,
		Timeouts: http2.Timeouts{Idle: one.IdleTimeout, Read: one.BodyTimeout, Write: one.WriteTimeout},
		Log:      s.log,
	})
	return p
}

// HTTP1 implements listener.Protocols.
func (p *protocols) HTTP1(c net.Conn, conn *exchange.Conn) { p.http1.Serve(c, *conn) }

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
