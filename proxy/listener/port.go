package listener

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// key is what makes two listeners share a socket.
type key struct {
	udp     bool
	address string
	port    uint16
}

func keyOf(l *table.Listener) key { return key{l.Protocol == table.UDP, l.Address, l.BindPort()} }

// Port is what one socket serves by one table.
type Port struct {
	number uint16 // as callers know it, which redirects and matches go by
	target uint16 // bound, where that is another; else 0
	kind   kind
	names  names          // by server name; where there is TLS
	stream *stream.Route  // of TCP and UDP; nil when no route is attached
	proxy  *table.Proxies // whose PROXY headers are read; nil: nobody's
	limits *table.Limits  // its own; nil: none
	crowd  *crowd         // whom it counts; nil of UDP
	altSvc string         // what callers of listeners with HTTP/3 are told; empty where there is none
}

// kind is how a port is served.
type kind int

const (
	plain     kind = iota // HTTP in the clear
	encrypted             // HTTPS, and nothing beside it
	mixed                 // TLS that is relayed, and perhaps HTTPS beside it
	raw                   // TCP
	datagrams             // UDP
)

func kindOf(p table.Protocol) (k kind, known bool) {
	switch p {
	case table.HTTP:
		return plain, true
	case table.HTTPS:
		return encrypted, true
	case table.TLS:
		return mixed, true
	case table.TCP:
		return raw, true
	case table.UDP:
		return datagrams, true
	}
	return 0, false
}

// join is the kind of a port that serves both: what tells listeners apart is the
// host or server name.
func join(a, b kind) (k kind, ok bool) {
	switch {
	case a == b && a != raw && a != datagrams:
		return a, true
	case a == encrypted && b == mixed, a == mixed && b == encrypted:
		return mixed, true
	}
	return 0, false
}

// group is the listeners that share a socket.
type group struct {
	key       key
	kind      kind
	listeners []*table.Listener
}

// stream is where everything goes that comes to a listener of TCP or UDP.
func (p *Plan) stream(l *table.Listener) *stream.Route {
	if len(l.Streams) == 0 {
		return nil
	}
	return p.set.cfg.Route(l.Streams[0])
}

// bound returns the id of g's socket, which is bound if there is none; false
// when it cannot be.
func (p *Plan) bound(g group) (id uint32, ok bool) {
	if g.kind == datagrams {
		if k := p.packetSocket(g); k != nil {
			return k.id, true
		}
	} else if k := p.socket(g); k != nil {
		return k.id, true
	}
	return 0, false
}

// failed says that nothing can be bound for g.
func (p *Plan) failed(g group, err error) {
	for _, l := range g.listeners {
		p.Failed[l.ID] = &Unbound{g.key.udp, fmt.Errorf("cannot bind: %w", err)}
	}
}

// Unbound is why a listener does not have its port; with UDP beside HTTPS it is HTTP/3
// alone that does not have it.
type Unbound struct {
	UDP bool
	Err error
}

// Error implements error.
func (e *Unbound) Error() string { return e.Err.Error() }

// Unwrap is for errors.Is.
func (e *Unbound) Unwrap() error { return e.Err }
