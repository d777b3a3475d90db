package listener

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/record"
	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// client is one connection of a socket, from its accept to its end. One that
// speaks HTTP/1.1 and is quiet rests in a loop, where it has no goroutine.
type client struct {
	socket  *socket
	conn    tcp.Accepted
	http    net.Conn // what HTTP is spoken on: conn, or TLS over it; nil before the first request
	info    exchange.Conn
	met     bool       // crowd has let it in
	counted netip.Addr // as one of which of crowd.clients; not valid: it is none
	hello   int        // what its TLS handshake has taken of Config.Hellos
	shared  bool       // others may look at it after its end: it is not used again
	resting bool       // whoever makes this false goes on with it; guarded by socket.mu
	entry   poll.Entry
	onServe func() // serve, bound once: no closure for each connection
}

// clients keeps those of connections that have ended: many carry one request. What they
// were stays in them until they are used again, that their connection was closed above all.
var clients = sync.Pool{New: func() any { return new(client) }}

// newClient returns a client without a connection.
func (k *socket) newClient() *client {
	c := clients.Get().(*client)
	if c.onServe == nil {
		c.onServe = c.serve
	}
	*c = client{socket: k, onServe: c.onServe}
	return c
}

// begin begins with a connection that was accepted: where HTTP is spoken in the clear
// it rests until the request comes, at less cost than a goroutine waits for it.
func (c *client) begin() {
	k := c.socket
	k.mu.Lock()
	k.clients[c] = struct{}{}
	k.mu.Unlock()
	k.metrics.Accepted.Add(1)
	k.metrics.Open.Add(1)
	k.running.Add(1) // not Go: that makes two closures of it
	p := k.set.cfg.Current()[k.id]
	if p == nil || p.kind != plain || p.proxy != nil || k.set.cfg.Loops == nil {
		go c.onServe()
		return
	}
	if !c.meet(p, c.conn.Peer().Addr()) {
		return
	}
	if !c.rest(time.Now().Add(p.idle(k.set.cfg.Limits.Idle))) {
		go c.onServe()
	}
}

// meet reports whether the client at peer may have the connection, and else ends it.
func (c *client) meet(p *Port, peer netip.Addr) (ok bool) {
	if c.met {
		return true
	}
	var counted bool
	if ok, counted = c.socket.crowd.meet(p, peer); counted {
		c.counted = peer
	}
	if c.met = ok; !ok {
		c.socket.refuse(&c.conn)
		c.end(true)
	}
	return ok
}

// idle is how long a connection may be without a request.
func (p *Port) idle(most time.Duration) time.Duration {
	if p.limits == nil {
		return most
	}
	return table.Tighter(most, p.limits.IdleTime)
}

// serve serves a connection that was accepted.
func (c *client) serve() {
	k := c.socket
	p := k.set.cfg.Current()[k.id]
	if p == nil { // the socket has left the table
		c.end(false)
		return
	}
	peer := c.conn.Peer()
	if p.proxy != nil {
		var ok bool
		if peer, ok = k.client(&c.conn, p.proxy, peer); !ok {
			k.metrics.HeaderErrors.Add(1)
			c.end(false)
			return
		}
	}
	c.info = exchange.Conn{
		Local: netip.AddrPortFrom(netip.Addr{}, p.number), Socket: &c.conn, Target: p.target, Peer: peer, Protocol: "HTTP/1.1",
		Limits: p.limits, Requests: k.crowd,
	}
	if !c.meet(p, peer.Addr()) {
		return
	}
	if p.kind == plain {
		c.speak(&c.conn)
		return
	}
	tcp, err := c.conn.TCP()
	switch {
	case err != nil:
	case p.kind == encrypted:
		c.serveTLS(tls.Server(record.NewBelow(tcp, nil), k.tls))
		return
	case p.kind == mixed:
		c.serveMixed(tcp, p)
		return
	case p.stream == nil:
		_ = tcp.SetLinger(0) // refused: nowhere to go
	default:
		k.set.cfg.Streams.TCP(tcp, nil, p.stream)
	}
	c.end(false)
}

// speak serves HTTP/1.1 on nc, until its end or until it is quiet.
func (c *client) speak(nc net.Conn) {
	until := c.socket.protocols.HTTP1(nc, &c.info)
	if until.IsZero() {
		c.end(true)
		return
	}
	c.http = nc
	if !c.rest(until) {
		c.leave()
	}
}

// rest puts the connection into a loop, until something comes or the time is
// over. It is false when there is none.
func (c *client) rest(until time.Time) bool {
	k := c.socket
	k.mu.Lock() // held until all is in place: Ready waits for it
	defer k.mu.Unlock()
	if k.ended {
		return false
	}
	var err error
	if c.conn.Control(func(fd uintptr) {
		err = k.set.cfg.Loops.Loop().Add(&c.entry, int(fd), poll.Read|poll.Once, c)
	}) != nil || err != nil {
		return false
	}
	c.entry.At(until)
	c.resting = true
	return true
}

// wake takes the connection from its loop. It is false when somebody else has.
func (c *client) wake() bool {
	c.socket.mu.Lock()
	defer c.socket.mu.Unlock()
	was := c.resting
	c.resting = false
	switch {
	case !was:
	case c.http == nil: // it may be closed before anybody else waits for something
		c.conn.Left(c.entry.Leave())
	default:
		c.entry.Remove()
	}
	return was
}

// Ready implements poll.Handler.
func (c *client) Ready(ev poll.Events) {
	switch {
	case !c.wake():
	case ev&(poll.Due|poll.Closed) != 0, ev&poll.Ended != 0 && c.silent():
		c.leave() // here: ten thousand that end at once would need as many stacks
	case c.http == nil:
		go c.onServe()
	default:
		go c.speak(c.http)
	}
}

// farewell is the most that a client's last words over TLS take: the record of an alert
// (RFC 8446, section 6; that of TLS 1.2 is the longest, RFC 5288). No record of a request is as short.
const farewell = 31

// silent reports whether a client that sends no more has sent no request either.
// Its farewell is taken: closing on top of it would reset the connection.
func (c *client) silent() bool {
	if c.info.TLS {
		return swallow(&c.conn, farewell)
	}
	return swallow(&c.conn, 0)
}

// leave ends a connection that waits for a request. It does not wait itself: a
// goodbye that the kernel has no room for is not said.
func (c *client) leave() {
	s, ok := c.http.(*tls.Conn)
	if !ok {
		c.end(false)
		return
	}
	if b, ok := s.NetConn().(*record.Below); ok {
		b.Hasten()
	}
	_ = s.Close()
	c.end(true)
}

// end is the last of a connection; closed says that it has been closed: doing so twice
// makes an error each time, in memory too.
func (c *client) end(closed bool) {
	k := c.socket
	if !closed {
		_ = c.conn.Close()
	}
	k.mu.Lock()
	delete(k.clients, c)
	k.mu.Unlock()
	if c.counted.IsValid() {
		k.crowd.clients.Leave(c.counted)
	}
	if c.hello > 0 {
		k.set.cfg.Hellos.Give(c.hello)
	}
	k.metrics.Open.Add(-1)
	k.set.leave(k.crowd)
	// Streams of HTTP/2 may look at the connection after its end.
	if !c.shared && !c.info.TLS && c.info.Protocol == "HTTP/1.1" {
		clients.Put(c)
	}
	k.running.Done()
}

// rouse ends the connections that rest, and lets none rest from now on.
func (k *socket) rouse() {
	k.mu.Lock()
	k.ended = true
	var all []*client
	for c := range k.clients {
		if c.resting {
			c.shared = true
			all = append(all, c)
		}
	}
	k.mu.Unlock()
	for _, c := range all {
		if c.wake() {
			c.leave()
		}
	}
}
