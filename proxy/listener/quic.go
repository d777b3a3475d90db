package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// quicSocket is one socket of UDP that HTTP/3 is spoken on. It is beside the socket of
// TCP with its listeners, and stays as long as one of them asks for it.
type quicSocket struct {
	set       *Set
	id        uint32
	port      uint16 // table.Listener.HTTP3
	conn      *net.UDPConn
	transport *quic.Transport
	listening *quic.Listener
	http3     HTTP3
	metrics   *telemetry.Port // those of the socket of TCP
	crowd     *crowd          // the same

	handshakes atomic.Int64 // under way
	starting   sync.Once
	running    sync.WaitGroup // accepting, and the connections
}

// doubtful is how many handshakes may be under way on a socket before clients have
// to prove that they are at their address, by a Retry (RFC 9000, section 8.1): a
// round trip more, for which a flood from made-up addresses costs no memory.
const doubtful = 128

// connectionIDs is how many bytes a connection's ID has: enough that none comes again
// under a key that outlives the process, for who has seen it reset could then end
// another's connection (RFC 9000, section 10.3.2).
const connectionIDs = 8

// SetResetKey has clients be told that their connections of QUIC are lost, once this
// process has been killed and another one has its sockets and its key (stateless
// reset, RFC 9000, section 10.3); without it they wait until they give up. It counts
// for sockets that are bound from now on, and may be called from any goroutine. No two
// processes that run may have the same key: by packets sent to one of them, anybody
// could end the other's connections (section 21.11).
func (s *Set) SetResetKey(key [KeyLen]byte) { s.reset.Store((*quic.StatelessResetKey)(&key)) }

// alpn is what HTTP/3 is called in a handshake.
const alpn = "h3"

// maxAge is how long, in seconds, clients may remember that there is HTTP/3.
const maxAge = 24 * 60 * 60

// quic serves HTTP/3 beside a group's socket, which is bound, if one of its
// listeners asks for it.
func (p *Plan) quic(g group, port *Port) {
	var asking []*table.Listener
	for _, l := range g.listeners {
		if l.HTTP3 != 0 && l.Protocol == table.HTTPS {
			asking = append(asking, l)
		}
	}
	s := p.set
	beside := s.sockets[g.key]
	if len(asking) == 0 || beside == nil {
		return
	}
	if port.proxy != nil && !port.proxy.Optional { // who calls comes by a proxy's word alone, and QUIC has none
		for _, l := range asking {
			p.Failed[l.ID] = &Unbound{true, errors.New("HTTP/3 does not go with a PROXY header that must come first; make it Optional, or leave HTTP/3 out")}
		}
		return
	}
	k := s.quics[g.key]
	if k == nil {
		var err error
		if k, err = s.bindQUIC(beside, g.key, asking[0]); err != nil {
			for _, l := range asking {
				p.Failed[l.ID] = &Unbound{true, fmt.Errorf("HTTP/3, at the same port of UDP: cannot bind: %w", err)}
			}
			return
		}
		s.quics[g.key] = k
	}
	p.Ports[k.id] = port
	port.altSvc = fmt.Sprintf(`%s=":%d"; ma=%d`, alpn, port.number, maxAge)
}

// besideAt is where l's HTTP/3 is bound: at the address of the socket of TCP,
// unless the way from callers to there leads to another port.
func (s *Set) besideAt(k key, l *table.Listener) string {
	if l.HTTP3 == l.BindPort() {
		return s.sockets[k].ln.Addr().String()
	}
	return s.address(key{true, l.Address, l.HTTP3})
}

// bindQUIC opens the socket of UDP of l, whose socket of TCP is that of at.
func (s *Set) bindQUIC(beside *socket, at key, l *table.Listener) (*quicSocket, error) {
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", s.besideAt(at, l))
	if err != nil {
		return nil, err
	}
	s.lastID++
	k := &quicSocket{set: s, id: s.lastID, port: l.HTTP3, conn: conn.(*net.UDPConn), metrics: beside.metrics, crowd: beside.crowd}
	var config *quic.Config
	k.http3, config = s.cfg.HTTP3()
	config.HandshakeIdleTimeout = s.cfg.Limits.Handshake / 2 // twice that for all of it
	config.GetConfigForClient = func(*quic.ClientInfo) (*quic.Config, error) {
		if p := s.cfg.Current()[k.id]; p != nil {
			return within(config, p.limits), nil
		}
		return config, nil
	}
	k.transport = &quic.Transport{
		Conn:                conn,
		ConnectionIDLength:  connectionIDs,
		StatelessResetKey:   s.reset.Load(),
		VerifySourceAddress: func(net.Addr) bool { return k.handshakes.Load() >= doubtful },
		ConnContext:         k.admit,
	}
	if k.listening, err = k.transport.Listen(k.tls(), config); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return k, nil
}

// tls is the configuration of handshakes: that of the listener with the server
// name.
func (k *quicSocket) tls() *tls.Config {
	base := offer(tls.VersionTLS13, alpn)
	base.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if p := k.set.cfg.Current()[k.id]; p != nil {
			return p.certificate(hello), nil
		}
		return nil, nil
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		p := k.set.cfg.Current()[k.id]
		if p == nil {
			return nil, errNotHere
		}
		e := p.names.find(strings.ToLower(hello.ServerName))
		switch {
		case e == nil: // there is no certificate either: unrecognized_name
			return nil, nil
		case e.listener.HTTP3 == 0:
			return nil, errNotHere
		}
		return e.quic, nil
	}
	k.set.resume(base, nil)
	return base
}

// overQUIC is c for HTTP/3.
func overQUIC(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion, c.NextProtos = tls.VersionTLS13, []string{alpn}
	return c
}

var (
	errNotHere = errors.New("listener: no HTTP/3 for this server name")
	errTooMany = errors.New("listener: too many connections")
)

// handshake is one that is counted, until it is over or its connection ends.
type handshake struct {
	k    *quicSocket
	over atomic.Bool
}

func (h *handshake) end() {
	if h.over.CompareAndSwap(false, true) {
		h.k.handshakes.Add(-1)
	}
}

type handshakeKey struct{}

// admit counts a connection before its handshake, and refuses it where there are
// too many.
func (k *quicSocket) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if !k.set.enter(k.crowd) {
		return nil, errTooMany
	}
	h := &handshake{k: k}
	k.handshakes.Add(1)
	context.AfterFunc(ctx, func() {
		if !h.over.Load() {
			k.metrics.HandshakeErrors.Add(1)
		}
		h.end()
		k.set.leave(k.crowd)
	})
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

// start begins accepting, once.
func (k *quicSocket) start() {
	k.starting.Do(func() {
		k.running.Go(func() {
			for {
				c, err := k.listening.Accept(context.Background())
				if err != nil {
					return
				}
				k.running.Go(func() { k.serve(c) })
			}
		})
	})
}

func (k *quicSocket) serve(c *quic.Conn) {
	if h, ok := c.Context().Value(handshakeKey{}).(*handshake); ok {
		h.end()
	}
	k.metrics.Accepted.Add(1)
	k.metrics.Open.Add(1)
	defer k.metrics.Open.Add(-1)
	p := k.set.cfg.Current()[k.id]
	if p == nil { // the socket has left the table
		_ = c.CloseWithError(0x100, "") // H3_NO_ERROR
		return
	}
	local, peer := udpAddress(c.LocalAddr()), udpAddress(c.RemoteAddr())
	// Only now: before the handshake anybody could have used up another's share.
	ok, counted := k.crowd.meet(p, peer.Addr())
	if !ok {
		_ = c.CloseWithError(0x107, codeTooMany) // H3_EXCESSIVE_LOAD
		return
	}
	if counted {
		defer k.crowd.clients.Leave(peer.Addr())
	}
	state := c.ConnectionState().TLS
	conn := &exchange.Conn{
		Local: netip.AddrPortFrom(local.Addr(), p.number), Target: p.target, Peer: peer,
		TLS: true, SNI: strings.ToLower(state.ServerName), Limits: p.limits, Requests: k.crowd,
	}
	if len(state.PeerCertificates) > 0 {
		conn.Client = exchange.NewClient(state.PeerCertificates)
	}
	k.http3.Serve(c, conn)
}

func udpAddress(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		p := udp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// stopQUIC takes out of use the sockets that no group wants, or wants at another
// port, or whose socket of TCP is gone. They accept nothing more and drain; another
// one can be bound at their port once they have.
func (p *Plan) stopQUIC() {
	wanted := map[key]uint16{}
	for _, g := range p.groups {
		for _, l := range g.listeners {
			if l.HTTP3 != 0 && l.Protocol == table.HTTPS && wanted[g.key] == 0 { // the first, as in quic
				wanted[g.key] = l.HTTP3
			}
		}
	}
	for at, k := range p.set.quics {
		if wanted[at] != k.port {
			delete(p.set.quics, at)
			p.gone = append(p.gone, k)
		}
	}
}

// drain ends accepting, waits for the requests under way, and closes what is left
// when ctx ends.
func (k *quicSocket) drain(ctx context.Context) {
	k.start() // to have begun is to be able to end
	k.http3.Finish()
	k.http3.Drain()
	done := make(chan struct{})
	go func() {
		_ = k.listening.Close() // it waits for handshakes
		k.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		time.Sleep(lastCall) // the last packets leave
	case <-ctx.Done():
	}
	_ = k.transport.Close()
	_ = k.conn.Close()
	<-done
}
