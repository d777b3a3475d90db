// Package udp relays datagrams. The datagrams of one client address are a
// session: they go to one endpoint, and what it sends goes back to the client
// from the socket that the client sent to.
//
// proxy/listener hands it the sockets of UDP listeners; the Route says where new
// sessions go. It calls stream and upstream for an endpoint.
//
// A session ends when nothing has moved for a while, when its endpoint is taken
// out or refuses, and when the Route no longer uses its backend; the next
// datagram then begins another. When a socket has as many sessions as it may,
// datagrams of further clients are dropped until one ends. So are datagrams that
// no backend can take. On a machine with several addresses answers leave by the
// one the kernel chooses, unless the listener has an address of its own.
package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Config bounds what clients may use. Zero fields mean the default.
type Config struct {
	Idle     time.Duration // a session on which nothing moves for this long ends, 1 min
	Sessions int           // at one time on one socket, 4096; each has a socket to its backend
}

// Relay relays datagrams.
type Relay struct{ cfg Config }

// New returns a Relay.
func New(cfg Config) *Relay {
	if cfg.Idle <= 0 {
		cfg.Idle = time.Minute
	}
	if cfg.Sessions <= 0 {
		cfg.Sessions = 4096
	}
	return &Relay{cfg}
}

// maxDatagram is the most that one can hold.
const maxDatagram = 64 << 10

var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

func getDatagram() []byte  { return datagrams.Get().(*[maxDatagram]byte)[:] }
func putDatagram(b []byte) { datagrams.Put((*[maxDatagram]byte)(b[:maxDatagram])) }

// Serve relays the datagrams that come to c until it is closed; then it ends the
// sessions and returns. to says where new sessions go; while it returns nil there
// are none, and those under way go on.
func (r *Relay) Serve(c *net.UDPConn, to func() *stream.Route) {
	p := &port{cfg: &r.cfg, conn: c, to: to, sessions: map[netip.AddrPort]*session{}}
	b := getDatagram()
	defer putDatagram(b)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			p.close()
			return
		case err != nil:
			time.Sleep(time.Millisecond) // what one datagram met is nothing to the next
			continue
		}
		p.relay(from, b[:n])
	}
}

// port is the sessions of one socket.
type port struct {
	cfg  *Config
	conn *net.UDPConn
	to   func() *stream.Route

	mu       sync.Mutex
	sessions map[netip.AddrPort]*session
	running  sync.WaitGroup
}

// session is the datagrams of one client address.
type session struct {
	port     *port
	client   netip.AddrPort
	route    *stream.Route // that it was begun by
	backend  *upstream.Backend
	endpoint *upstream.Endpoint
	conn     *net.UDPConn
	moved    atomic.Int64 // when something last did, Unix nanoseconds
	ended    atomic.Bool
}

// relay sends one datagram of a client on; to another endpoint if the one of its
// session turns out to be gone.
func (p *port) relay(from netip.AddrPort, b []byte) {
	for range 2 {
		s := p.session(from)
		if s == nil || s.send(b) {
			return
		}
	}
}

// session returns the session of a client, a new one if need be; nil when the
// datagram is to be dropped.
func (p *port) session(from netip.AddrPort) *session {
	route := p.to()
	p.mu.Lock()
	s, open := p.sessions[from], len(p.sessions)
	p.mu.Unlock()
	if s != nil {
		if s.good(route) {
			return s
		}
		s.end()
	}
	if route == nil {
		return nil
	}
	if open >= p.cfg.Sessions {
		route.Metrics.Refused.Add(1)
		return nil
	}
	if s = p.begin(from, route); s == nil {
		route.Metrics.Refused.Add(1)
	}
	return s
}

// begin makes a session; nil when no endpoint can be had.
func (p *port) begin(from netip.AddrPort, route *stream.Route) *session {
	backend := route.Pick()
	if backend == nil {
		return nil
	}
	now := time.Now()
	e := backend.Pick(nil, now)
	if e == nil {
		return nil
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(e.Address()))
	if err != nil {
		e.Failed(now)
		return nil
	}
	in, err := socket.NewLazy(c, socket.Buffers{Get: getDatagram, Put: putDatagram})
	if err != nil {
		_ = c.Close()
		return nil
	}
	s := &session{port: p, client: from, route: route, backend: backend, endpoint: e, conn: c}
	s.moved.Store(now.UnixNano())
	p.mu.Lock()
	p.sessions[from] = s
	p.mu.Unlock()
	e.Busy(1)
	route.Metrics.Connections.Add(1)
	route.Metrics.Open.Add(1)
	p.running.Go(func() { s.run(in) })
	return s
}

func (p *port) close() {
	p.mu.Lock()
	for _, s := range p.sessions {
		_ = s.conn.Close() // its goroutine does the rest
	}
	p.mu.Unlock()
	p.running.Wait()
}

// good says whether the session may go on under the route of this moment.
func (s *session) good(now *stream.Route) bool {
	if s.ended.Load() || s.endpoint.Gone() {
		return false
	}
	return now == nil || now == s.route || now.Uses(s.backend)
}

// send passes a datagram on. When it is false the session has ended.
func (s *session) send(b []byte) bool {
	if _, err := s.conn.Write(b); err != nil {
		s.failed()
		return false
	}
	s.moved.Store(time.Now().UnixNano())
	s.route.Metrics.BytesIn.Add(uint64(len(b)))
	return true
}

// run brings back what the endpoint sends.
func (s *session) run(in *socket.Lazy) {
	defer s.end()
	for {
		until := time.Unix(0, s.moved.Load()).Add(s.port.cfg.Idle)
		if s.conn.SetReadDeadline(until) != nil {
			return // closed
		}
		_, err := in.Each(s.back)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if time.Now().UnixNano()-s.moved.Load() >= int64(s.port.cfg.Idle) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.failed()
			return
		}
	}
}

// back passes a datagram of the endpoint on. What one meets is nothing to the next.
func (s *session) back(b []byte) bool {
	if n, err := s.port.conn.WriteToUDPAddrPort(b, s.client); err == nil {
		s.moved.Store(time.Now().UnixNano())
		s.route.Metrics.BytesOut.Add(uint64(n))
	}
	return true
}

// failed ends a session whose endpoint refuses datagrams.
func (s *session) failed() {
	if s.ended.Load() {
		return
	}
	s.route.Metrics.Failed.Add(1)
	s.endpoint.Failed(time.Now())
	s.end()
}

// end ends a session. It may be called more than once.
func (s *session) end() {
	if s.ended.Swap(true) {
		return
	}
	p := s.port
	p.mu.Lock()
	if p.sessions[s.client] == s {
		delete(p.sessions, s.client)
	}
	p.mu.Unlock()
	_ = s.conn.Close()
	s.endpoint.Busy(-1)
	s.route.Metrics.Open.Add(-1)
}
