package listener

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/stream"
)

// packetSocket is one socket of UDP.
type packetSocket struct {
	set       *Set
	id        uint32
	conn      *net.UDPConn
	starting  sync.Once
	finishing atomic.Bool // no more sessions begin
	running   sync.WaitGroup
}

// packetSocket returns g's socket, binding it if there is none; nil when it
// cannot be bound.
func (p *Plan) packetSocket(g group) *packetSocket {
	s := p.set
	if socket := s.packets[g.key]; socket != nil {
		return socket
	}
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", s.address(g.key))
	if err != nil {
		p.failed(g, err)
		return nil
	}
	s.lastID++
	socket := &packetSocket{set: s, id: s.lastID, conn: conn.(*net.UDPConn)}
	s.packets[g.key] = socket
	return socket
}

// stopPackets closes the sockets of UDP that no group wants. Their sessions end:
// there is no address left to answer from.
func (p *Plan) stopPackets(wanted map[key]bool) {
	for k, socket := range p.set.packets {
		if !wanted[k] {
			delete(p.set.packets, k)
			_ = socket.conn.Close()
			socket.running.Wait()
		}
	}
}

// start begins receiving, once.
func (k *packetSocket) start() {
	k.starting.Do(func() {
		k.running.Go(func() { k.set.cfg.Streams.UDP(k.conn, k.route) })
	})
}

func (k *packetSocket) route() *stream.Route {
	p := k.set.cfg.Current()[k.id]
	if p == nil || k.finishing.Load() {
		return nil
	}
	return p.stream
}

// lastAnswers is how long answers to datagrams under way may still take when the
// proxy ends.
const lastAnswers = time.Second

// drain takes no more sessions, gives those under way a moment, and closes.
func (k *packetSocket) drain(ctx context.Context) {
	k.finishing.Store(true)
	select {
	case <-ctx.Done():
	case <-time.After(lastAnswers):
	}
	_ = k.conn.Close()
	k.running.Wait()
}
