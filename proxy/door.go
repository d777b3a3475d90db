package proxy

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// door is where the process says that it has enough to do.
type door struct {
	connections *admission.Gate
	requests    *admission.Gate
	memory      *admission.Memory
}

func newDoor(o *Options) door {
	return door{
		connections: admission.New(admission.Config{Limit: o.Clients.Connections}),
		requests:    admission.New(admission.Config{Limit: o.Clients.Requests}),
		memory:      admission.NewMemory(o.Memory, nil),
	}
}

// Connect reports whether another connection may be served; then it must
// Disconnect. It implements listener.Door.
func (d *door) Connect() bool { return !d.memory.Pressed() && d.connections.Enter() }

// Disconnect implements listener.Door.
func (d *door) Disconnect() { d.connections.Leave() }

// begin reports whether the process may take on x; if so, it must leave in the
// end, and if not, its answer is set up.
func (d *door) begin(x *exchange.Exchange) bool {
	if !d.memory.Pressed() && d.requests.Enter() {
		return true
	}
	x.Reply(503, "overloaded", "the gateway has all the requests it takes")
	x.RetryAfter(time.Second)
	return false
}

// limits is a telemetry.Sources.
func (d *door) limits(f func(telemetry.Limit)) {
	for name, at := range map[string]admission.Figures{
		"connections": d.connections.Figures(), "requests": d.requests.Figures(), "memory": d.memory.Figures(),
	} {
		f(telemetry.Limit{Name: name, Limit: at.Limit, In: at.In, Refused: at.Refused})
	}
}
