package proxy

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// door is where the process says that it has enough to do, and who goes first.
type door struct {
	connections *admission.Gate
	requests    *admission.Gate
	memory      *admission.Memory
	content     *admission.Content
	hellos      *admission.Room
	heads       *admission.Room // of HTTP/3, by number
	untaken     *admission.Room // answers over HTTP/2, by number
	turns       *socket.Turns
	loops       *poll.Set // where connections wait that need no goroutine; nil where the system has none
}

// few is how many heads and answers may be waited for at one time where fewer requests may be in
// flight: they take little, and a single page may have a hundred on a network that loses packets.
const few = 256

// awaited is how many that is where so many requests may be in flight; not above 0, and then 0: any number.
func awaited(requests int) int {
	if requests <= 0 {
		return 0
	}
	return max(requests, few)
}

func newDoor(o *Options) (d door, err error) {
	d = door{
		connections: admission.New(admission.Config{Limit: o.Clients.Connections}),
		requests:    admission.New(admission.Config{Limit: o.Clients.Requests}),
		memory:      admission.NewMemory(o.Memory, nil),
		content:     admission.NewContent(admission.ContentBytes(o.Memory), admission.ContentTurns(o.Memory)),
		hellos:      admission.NewRoom(admission.HelloBytes(o.Memory)),
	}
	most := awaited(o.Clients.Requests)
	d.heads, d.untaken = admission.NewRoom(most), admission.NewRoom(most/4*3)
	if d.turns, err = socket.NewTurns(); err != nil || !poll.Available {
		return d, err
	}
	if d.loops, err = poll.New(); err != nil {
		d.close()
	}
	return d, err
}

// close gives back what waits for descriptors. Nobody is kept from anything by
// one that stays open.
func (d *door) close() {
	_ = d.turns.Close()
	if d.loops != nil {
		_ = d.loops.Close()
	}
}

// Connect reports whether another connection may be served; then it must
// Disconnect. It implements listener.Door.
func (d *door) Connect() bool { return !d.memory.Pressed() && d.connections.Enter() }

// Disconnect implements listener.Door.
func (d *door) Disconnect() { d.connections.Leave() }

// begin reports whether the process may take on x, and the port it came by; if so,
// it must end, and if not, its answer is set up. port is nil where that has no
// limit.
func (d *door) begin(x *exchange.Exchange) (port exchange.Gate, ok bool) {
	if port = x.Conn.Requests; port != nil && !port.Limited() {
		port = nil
	}
	if !d.memory.Pressed() && (port == nil || port.Enter()) {
		if d.requests.Enter() {
			x.Held = d.content
			return port, true
		}
		if port != nil {
			port.Leave()
		}
	}
	d.full(x)
	return nil, false
}

func (d *door) full(x *exchange.Exchange) {
	x.Reply(503, "overloaded", "the gateway has all the requests it takes")
	x.RetryAfter(time.Second)
}

// busy reports whether there is little room left for requests: then those whose
// content comes slowly are the first to go.
func (d *door) busy(conn *exchange.Conn) bool {
	return d.requests.Busy() || d.content.Busy() || conn.Requests != nil && conn.Requests.Busy()
}

// end takes back what begin has counted, and what x has taken since.
func (d *door) end(x *exchange.Exchange, port exchange.Gate) {
	x.Release()
	d.requests.Leave()
	if port != nil {
		port.Leave()
	}
}

// limits is a telemetry.Sources.
func (d *door) limits(f func(telemetry.Limit)) {
	for name, at := range map[string]admission.Figures{
		"connections": d.connections.Figures(), "requests": d.requests.Figures(), "memory": d.memory.Figures(),
		"content": d.content.Figures(), "handshakes": d.hellos.Figures(), "heads": d.heads.Figures(), "untaken": d.untaken.Figures(),
	} {
		f(telemetry.Limit{Name: name, Limit: at.Limit, In: at.In, Refused: at.Refused})
	}
}
