//go:build !linux

package socket

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Peer is the address of a client. Peers can be compared.
type Peer netip.AddrPort

type hub struct {
	conn   *net.UDPConn // of the clients
	closed chan struct{}
	spokes sync.WaitGroup
}

// NewHub returns the Hub of c. Close ends it; c is the caller's.
func NewHub(c *net.UDPConn) (*Hub, error) {
	return &Hub{hub{conn: c, closed: make(chan struct{})}}, nil
}

// Close ends Run. Spokes are closed one by one, before or after.
func (h *Hub) Close() error {
	close(h.closed)
	return nil
}

// Datagrams came from one client, one after the other. They are gone when the
// function returns that they were handed to.
type Datagrams struct {
	Came time.Time
	b    []byte
	sent bool
}

// Len returns how many there are.
func (d Datagrams) Len() int {
	if d.sent {
		return 0
	}
	return 1
}

// Receive hands what comes from clients to take, until the read deadline of the hub's
// socket passes or the socket is closed. take must not wait, nor close the socket.
func (h *Hub) Receive(take func(from Peer, d Datagrams)) error {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := h.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return err
		}
		take(Peer(from), Datagrams{Came: time.Now(), b: b[:n]})
	}
}

// Run sends what backends send to the spokes on to their clients, until Close. What
// one datagram meets on the way is nothing to the next.
func (h *Hub) Run() {
	<-h.closed
	h.spokes.Wait()
}

// Spoke is a socket to the backend of one client.
type Spoke struct{ conn *net.UDPConn }

// Dial makes s, which is new, the Spoke of client.
func (h *Hub) Dial(s *Spoke, backend netip.AddrPort, client Peer, owner Owner) (err error) {
	if s.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(backend)); err != nil {
		return err
	}
	h.spokes.Go(func() { s.run(h, client, owner) })
	return nil
}

func (s *Spoke) run(h *Hub, client Peer, owner Owner) {
	b := make([]byte, maxDatagram)
	for {
		n, err := s.conn.Read(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			owner.Broke(err)
			return
		}
		if _, err := h.conn.WriteToUDPAddrPort(b[:n], netip.AddrPort(client)); err == nil {
			owner.Returned(n, time.Now())
		}
	}
}

// Close closes the Spoke. It may be called more than once, by anyone.
func (s *Spoke) Close() { _ = s.conn.Close() }

// Send sends d to the backend. It returns how many bytes went out, and what did not
// because of err.
func (s *Spoke) Send(d Datagrams) (sent int, left Datagrams, err error) {
	if sent, err = s.conn.Write(d.b); err != nil {
		return 0, d, err
	}
	d.sent = true
	return sent, d, nil
}
