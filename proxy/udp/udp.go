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

// Serve relays the datagrams that come to c until it is closed; then it ends the
// sessions and returns. to says where new sessions go; while it returns nil there
// are none, and those under way go on.
func (r *Relay) Serve(c *net.UDPConn, to func() *stream.Route) {
	hub := hubOf(c)
	if hub == nil {
		return
	}
	p := &port{cfg: &r.cfg, conn: c, hub: hub, to: to, began: time.Now(), sessions: map[socket.Peer]*session{}}
	var running sync.WaitGroup
	running.Go(hub.Run)
	for {
		switch err := hub.Receive(p.relay); {
		case errors.Is(err, net.ErrClosed):
			p.end(func(*session) bool { return true })
			_ = hub.Close()
			running.Wait()
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.endIdle(time.Now())
		default:
			time.Sleep(time.Millisecond) // what one datagram met is nothing to the next
		}
	}
}

// hubOf makes the Hub of c; nil when c is closed. While the process has as many
// files open as it may there is none, and what comes is dropped.
func hubOf(c *net.UDPConn) *socket.Hub {
	var one [1]byte
	for {
		hub, err := socket.NewHub(c)
		if err == nil {
			_ = c.SetReadDeadline(time.Time{})
			return hub
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err = c.Read(one[:]); errors.Is(err, net.ErrClosed) {
			return nil
		}
	}
}

// port is the sessions of one socket.
type port struct {
	cfg   *Config
	conn  *net.UDPConn
	hub   *socket.Hub
	to    func() *stream.Route
	began time.Time // from which session.moved counts: a wall clock may be set
	looks bool      // Serve, to which this belongs, looks for idle sessions in a while

	mu       sync.Mutex
	sessions map[socket.Peer]*session
}

// session is the datagrams of one client address.
type session struct {
	port     *port
	client   socket.Peer
	route    *stream.Route // that it was begun by
	backend  *upstream.Backend
	endpoint *upstream.Endpoint
	spoke    socket.Spoke
	moved    atomic.Int64 // when something last did, nanoseconds since port.began
	ended    atomic.Bool
}

// relay sends datagrams of a client on; to another endpoint if the one of its
// session turns out to be gone.
func (p *port) relay(from socket.Peer, d socket.Datagrams) {
	for range 2 {
		s := p.session(from, d.Came)
		if s == nil {
			return
		}
		if d = s.send(d); d.Len() == 0 {
			return
		}
	}
}

// session returns the session of a client, a new one if need be; nil when the
// datagrams are to be dropped.
func (p *port) session(from socket.Peer, now time.Time) *session {
	route := p.to()
	p.mu.Lock()
	s, open := p.sessions[from], len(p.sessions)
	p.mu.Unlock()
	if s != nil {
		if s.good(route) {
			return s
		}
		s.end()
		open-- // it keeps its place
	}
	if route == nil {
		return nil
	}
	if open >= p.cfg.Sessions {
		route.Metrics.Refused.Add(1)
		return nil
	}
	if s = p.begin(from, route, now); s == nil {
		route.Metrics.Refused.Add(1)
	}
	return s
}

// begin makes a session; nil when no endpoint can be had.
func (p *port) begin(from socket.Peer, route *stream.Route, now time.Time) *session {
	backend := route.Pick()
	if backend == nil {
		return nil
	}
	e := backend.Pick(nil, now)
	if e == nil {
		return nil
	}
	s := &session{port: p, client: from, route: route, backend: backend, endpoint: e}
	s.move(now)
	p.mu.Lock()
	p.sessions[from] = s
	p.mu.Unlock()
	if err := p.hub.Dial(&s.spoke, e.Address(), from, s); err != nil {
		e.Failed()
		p.forget(s)
		return nil
	}
	e.Busy(1)
	route.Metrics.Connections.Add(1)
	route.Metrics.Open.Add(1)
	if !p.looks {
		p.wake(now)
	}
	return s
}

func (p *port) forget(s *session) {
	p.mu.Lock()
	if p.sessions[s.client] == s {
		delete(p.sessions, s.client)
	}
	p.mu.Unlock()
}

// wake has Serve look for idle sessions in a while. A session so outlives its idle time by
// an eighth at most, and no datagram has a timer set.
func (p *port) wake(now time.Time) {
	p.looks = true
	_ = p.conn.SetReadDeadline(now.Add(p.cfg.Idle / 8))
}

// endIdle ends the sessions on which nothing has moved for too long.
func (p *port) endIdle(now time.Time) {
	since := int64(now.Sub(p.began) - p.cfg.Idle)
	if p.end(func(s *session) bool { return s.moved.Load() <= since }) > 0 {
		p.wake(now)
	} else {
		p.looks = false
		_ = p.conn.SetReadDeadline(time.Time{})
	}
}

// end ends the sessions of which over is true, and returns how many are left.
func (p *port) end(over func(*session) bool) int {
	var all []*session
	p.mu.Lock()
	for _, s := range p.sessions {
		if over(s) {
			all = append(all, s)
		}
	}
	left := len(p.sessions) - len(all)
	p.mu.Unlock()
	for _, s := range all {
		s.end()
	}
	return left
}

// move notes that something has moved.
func (s *session) move(now time.Time) { s.moved.Store(int64(now.Sub(s.port.began))) }

// good says whether the session may go on under the route of this moment.
func (s *session) good(now *stream.Route) bool {
	if s.ended.Load() || s.endpoint.Gone() {
		return false
	}
	return now == nil || now == s.route || now.Uses(s.backend)
}

// send passes datagrams on and returns those that it did not. If there are any the
// session has ended.
func (s *session) send(d socket.Datagrams) socket.Datagrams {
	n, left, err := s.spoke.Send(d)
	if n > 0 {
		s.move(d.Came)
		s.route.Metrics.BytesIn.Add(uint64(n))
	}
	if err != nil {
		s.Broke(err)
	}
	return left
}

// Returned counts a datagram that came back from the endpoint; it implements socket.Owner.
func (s *session) Returned(n int, now time.Time) {
	s.move(now)
	s.route.Metrics.BytesOut.Add(uint64(n))
}

// Broke ends a session whose endpoint refuses datagrams; it implements socket.Owner.
func (s *session) Broke(error) {
	if s.ended.Load() {
		return
	}
	s.route.Metrics.Failed.Add(1)
	s.endpoint.Failed()
	s.end()
}

// end ends a session. It may be called more than once.
func (s *session) end() {
	if s.ended.Swap(true) {
		return
	}
	s.port.forget(s)
	s.spoke.Close()
	s.endpoint.Busy(-1)
	s.route.Metrics.Open.Add(-1)
}
