// Package listener owns the sockets clients connect to: it binds them, keeps
// them across tables, does TLS, and drains them.
//
// The proxy calls Prepare and Commit around each swap and Drain at the end.
// Accepted connections go to the protocols, which the proxy hands in, or to the
// relays of streams; what a socket serves (its certificates, its streams) is
// read from the proxy's current state, so that one atomic store changes sockets
// and routes together. Where listeners of protocol TLS share a port, proxy/sni
// reads the server name first: it decides whether TLS ends here.
package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/record"
	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// Protocols serves the connections of one socket. HTTP1 and HTTP2 return when
// the connection has ended. HTTP1 has closed it then, and nobody looks at conn any
// more unless it turned out to be HTTP/2; what HTTP2 leaves open the caller closes.
// A connection that is quiet HTTP1 hands back open, with the time at which it is to be
// closed: when something comes before that, HTTP1 is called again.
type Protocols interface {
	HTTP1(c net.Conn, conn *exchange.Conn) (until time.Time) // *socket.Accepted, or *tls.Conn after the handshake; may turn out to be HTTP/2 with prior knowledge
	HTTP2(c net.Conn, conn *exchange.Conn)                   // of TLS, that negotiated h2
	Finish()                                                 // from now on every answer is its connection's last
	Drain()                                                  // finish what is under way, then end every connection
}

// Streams relays what is not HTTP. TCP returns when the connection has ended,
// UDP when c is closed.
type Streams interface {
	TCP(c net.Conn, ahead []byte, to *stream.Route) // *net.TCPConn, of which ahead has been read, or one of TLS after the handshake
	UDP(c *net.UDPConn, to func() *stream.Route)    // to returns nil when no more sessions may begin
}

// Door says whether another connection may be served, over all sockets; one that
// may not is answered 503, where HTTP is spoken in the clear, and closed.
type Door interface {
	Connect() bool
	Disconnect()
}

// HTTP3 serves the connections of one socket of UDP. Serve returns when the
// connection has ended; Finish and Drain are those of Protocols. Shed ends connections that
// nobody waits for, where there is no memory.
type HTTP3 interface {
	Serve(c *quic.Conn, conn *exchange.Conn)
	Shed()
	Finish()
	Drain()
}

// Config is what a Set needs.
type Config struct {
	Protocols func() Protocols                         // called once for each socket
	HTTP3     func() (HTTP3, *quic.Config)             // the same, for those that speak it
	Streams   Streams                                  //
	Route     func(*table.Stream) *stream.Route        // called by Prepare
	Current   func() map[uint32]*Port                  // the Ports of the Plan in use
	Bind      func(address string, port uint16) string // address to bind instead; nil: as the table says
	Metrics   *telemetry.Metrics
	Door      Door
	Hellos    record.Room // for TLS handshakes in which a client says uncommonly much; nil: there is no end to it
	Loops     *poll.Set   // where quiet connections rest, and what relays; nil if HTTP1 hands none back
	Limits    Limits
}

// Limits are what a Set bounds.
type Limits struct {
	Handshake time.Duration // for a client to complete the TLS handshake
	Idle      time.Duration // for a client of HTTP in the clear to begin its first request
	Drain     time.Duration // for connections of a socket that left the table
}

// Set is the sockets of one proxy. Its methods are for one goroutine at a time.
type Set struct {
	cfg      Config
	sockets  map[key]*socket
	packets  map[key]*packetSocket
	quics    map[key]*quicSocket
	lastID   uint32
	draining sync.WaitGroup // sockets that left the table
	certs    map[*table.Certificate]*certificate
	tickets  *tls.Config // holds the keys of session tickets, and nothing else
	reset    atomic.Pointer[quic.StatelessResetKey]
}

// New returns a Set with no sockets.
func New(cfg Config) *Set {
	return &Set{cfg: cfg, sockets: map[key]*socket{}, packets: map[key]*packetSocket{}, quics: map[key]*quicSocket{}, tickets: &tls.Config{}}
}

// Plan is sockets bound and certificates parsed for a table, not yet in use.
type Plan struct {
	Ports  map[uint32]*Port              // by the id of their socket
	Failed map[string]error              // by table.Listener.ID; the rest of the table is served
	Valid  map[string]telemetry.Validity // certificates, by table.Certificate.ID
	set    *Set
	groups []group
	gone   []interface{ drain(context.Context) }
}

// Prepare binds sockets for the listeners that have none, parses certificates,
// and stops accepting where no listener is left. Nothing is accepted on the new
// sockets before Commit, which must follow.
func (s *Set) Prepare(listeners []*table.Listener) *Plan {
	p := &Plan{Ports: map[uint32]*Port{}, Failed: map[string]error{}, Valid: map[string]telemetry.Validity{}, set: s}
	p.group(listeners)
	p.stop()
	certs := make(map[*table.Certificate]*certificate, len(s.certs))
	for _, g := range p.groups {
		first := g.listeners[0]
		port := &Port{number: first.Port, target: first.Target, kind: g.kind, proxy: first.Proxies, limits: g.limits()}
		switch g.kind {
		case encrypted, mixed:
			port.names = p.names(g.listeners, certs)
		case raw, datagrams:
			port.stream = p.stream(first)
		}
		if id, ok := p.bound(g); ok {
			p.Ports[id] = port
			if socket := p.set.sockets[g.key]; socket != nil {
				port.crowd = socket.crowd
			}
			p.quic(g, port)
		}
	}
	s.certs = certs
	return p
}

// group puts listeners of one address and port together. The first decides the
// kind; a listener of another one cannot be served.
func (p *Plan) group(listeners []*table.Listener) {
	index := map[key]int{}
	for _, l := range listeners {
		kind, known := kindOf(l.Protocol)
		k := keyOf(l)
		i, ok := index[k]
		switch {
		case !known:
			p.Failed[l.ID] = fmt.Errorf("protocol %q is not served", l.Protocol)
		case !ok:
			index[k] = len(p.groups)
			p.groups = append(p.groups, group{k, kind, []*table.Listener{l}})
		default:
			g := &p.groups[i]
			if together, ok := join(g.kind, kind); ok && !l.Proxies.Equal(g.listeners[0].Proxies) {
				p.Failed[l.ID] = &Unbound{k.udp, fmt.Errorf("port %d already takes PROXY headers otherwise", l.Port)}
			} else if ok {
				g.kind, g.listeners = together, append(g.listeners, l)
			} else {
				p.Failed[l.ID] = &Unbound{k.udp, fmt.Errorf("port %d already speaks %s", l.Port, g.listeners[0].Protocol)}
			}
		}
	}
}

// stop closes the listening sockets that no group wants, before new ones that
// may overlap with them are bound.
func (p *Plan) stop() {
	wanted := map[key]bool{}
	for _, g := range p.groups {
		wanted[g.key] = true
	}
	var stopping sync.WaitGroup
	defer stopping.Wait()
	for k, socket := range p.set.sockets {
		if !wanted[k] {
			stopping.Go(socket.stop)
			delete(p.set.sockets, k)
			p.set.cfg.Metrics.DropPort(socket.metrics.Address)
			p.gone = append(p.gone, socket)
		}
	}
	p.stopPackets(wanted)
	p.stopQUIC()
}

// socket returns g's socket, binding it if there is none; nil when it cannot be bound.
func (p *Plan) socket(g group) *socket {
	socket := p.set.sockets[g.key]
	if socket != nil {
		return socket
	}
	socket, err := p.set.bind(g.key)
	if err != nil {
		p.failed(g, err)
		return nil
	}
	p.set.sockets[g.key] = socket
	return socket
}

// Commit accepts on the new sockets and drains those that are gone. Current
// must return p.Ports from before Commit is called.
func (p *Plan) Commit() {
	s := p.set
	for _, port := range p.Ports {
		if port.crowd != nil {
			port.crowd.limit(port.limits)
		}
	}
	for _, socket := range s.sockets {
		socket.start()
	}
	for _, socket := range s.packets {
		socket.start()
	}
	for _, socket := range s.quics {
		socket.start()
	}
	for _, socket := range p.gone {
		s.draining.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Drain)
			defer cancel()
			socket.drain(ctx)
		})
	}
}

// bind opens the socket of k.
func (s *Set) bind(k key) (*socket, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: control} // what control sets, connections inherit: no system call for each
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", s.address(k))
	if err != nil {
		return nil, err
	}
	from, err := tcp.Listen(ln.(*net.TCPListener))
	if err != nil {
		return nil, err
	}
	s.lastID++
	return newSocket(s, s.lastID, from), nil
}

// address is where k is to be bound.
func (s *Set) address(k key) string {
	if s.cfg.Bind != nil {
		return s.cfg.Bind(k.address, k.port)
	}
	return net.JoinHostPort(k.address, strconv.Itoa(int(k.port)))
}

// Addr returns the address a listener's socket is bound to; nil when it is not.
func (s *Set) Addr(l *table.Listener) net.Addr {
	k := keyOf(l)
	if socket := s.sockets[k]; socket != nil {
		return socket.ln.Addr()
	}
	if socket := s.packets[k]; socket != nil {
		return socket.conn.LocalAddr()
	}
	return nil
}

// Shed ends connections of HTTP/3 that nobody waits for.
func (s *Set) Shed() {
	for _, socket := range s.quics {
		socket.http3.Shed()
	}
}

// Finish makes clients leave by themselves: every answer is its connection's
// last. New connections are accepted and served.
func (s *Set) Finish() {
	for _, socket := range s.sockets {
		socket.protocols.Finish()
	}
	for _, socket := range s.quics {
		socket.http3.Finish()
	}
}

// Drain stops accepting, lets what is under way finish, and closes what is left
// when ctx ends. The Set is of no more use.
func (s *Set) Drain(ctx context.Context) {
	for _, socket := range s.sockets {
		s.draining.Go(func() {
			socket.stop()
			socket.drain(ctx)
		})
	}
	for _, socket := range s.packets {
		s.draining.Go(func() { socket.drain(ctx) })
	}
	for _, socket := range s.quics {
		s.draining.Go(func() { socket.drain(ctx) })
	}
	clear(s.sockets)
	clear(s.packets)
	clear(s.quics)
	s.draining.Wait()
}
