package listener

import (
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// crowd is what the clients of one port have in, over TCP and over QUIC. It
// outlives tables, as its sockets do.
type crowd struct {
	connections *admission.Gate
	requests    *admission.Gate
	clients     admission.Clients
	refused     *telemetry.Refused
}

func newCrowd(m *telemetry.Port) *crowd {
	return &crowd{connections: admission.New(admission.Config{}), requests: admission.New(admission.Config{}), refused: &m.Refused}
}

// limit makes l the limits from now on; nil is none.
func (c *crowd) limit(l *table.Limits) {
	if l == nil {
		l = &table.Limits{}
	}
	c.connections.Limit(l.Connections)
	c.requests.Limit(l.Requests)
}

// meet reports whether a connection of a client's may be served by p; if counted,
// the client must leave.
func (c *crowd) meet(p *Port, client netip.Addr) (ok, counted bool) {
	if p.limits == nil || p.limits.PerClient <= 0 {
		return true, false
	}
	if ok, counted = c.clients.Enter(client, p.limits.PerClient); !ok {
		c.refused.Client.Add(1)
	}
	return ok, counted
}

// Limited implements exchange.Gate, for requests.
func (c *crowd) Limited() bool { return c.requests.Limited() }

// Busy implements exchange.Gate.
func (c *crowd) Busy() bool { return c.requests.Busy() }

// Enter implements exchange.Gate.
func (c *crowd) Enter() bool {
	ok := c.requests.Enter()
	if !ok {
		c.refused.Requests.Add(1)
	}
	return ok
}

// Leave implements exchange.Gate.
func (c *crowd) Leave() { c.requests.Leave() }

// enter reports whether another connection may come in, by what the process has
// and by what the port has; then it must leave.
func (s *Set) enter(c *crowd) bool {
	switch {
	case !s.cfg.Door.Connect():
		c.refused.Process.Add(1)
	case !c.connections.Enter():
		s.cfg.Door.Disconnect()
		c.refused.Port.Add(1)
	default:
		return true
	}
	return false
}

func (s *Set) leave(c *crowd) {
	c.connections.Leave()
	s.cfg.Door.Disconnect()
}

// limits are the tightest that the group's listeners ask for.
func (g *group) limits() (l *table.Limits) {
	for _, of := range g.listeners {
		l = l.And(of.Limits)
	}
	return l
}

// within is how the connections of a port are that has limits of its own.
func within(config *quic.Config, l *table.Limits) *quic.Config {
	if l == nil {
		return config
	}
	config = config.Clone()
	config.MaxIncomingStreams = table.Tighter(config.MaxIncomingStreams, int64(l.Streams))
	return config
}
