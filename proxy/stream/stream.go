// Package stream is where connections go that are relayed as they are: the
// Streams of a table ready to run.
//
// The proxy makes a Route of each table.Stream at swap; proxy/listener finds the
// Route of a connection, by port and server name; proxy/tcp and proxy/udp ask
// the Route for a backend and count on it. It calls upstream for the backends
// and telemetry for the counters.
//
// A Route does not change once it is made, and picking takes no lock.
package stream

import (
	"math/rand/v2"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Route is a table.Stream ready to run.
type Route struct {
	Table   *table.Stream
	Metrics *telemetry.Stream

	backends []backend
	total    uint64 // sum of the weights
}

// backend is one destination; upstream is nil for one that cannot be used: what
// falls to it is refused.
type backend struct {
	weight   uint32
	upstream *upstream.Backend
}

// New makes the Route of t.
func New(t *table.Stream, backends *upstream.Set, metrics *telemetry.Metrics) *Route {
	r := &Route{Table: t, Metrics: metrics.Stream(t)}
	for i := range t.Backends {
		b := backend{weight: t.Backends[i].Weight}
		if t.Backends[i].Reply == nil {
			b.upstream = backends.Backend(t.Backends[i].Backend, "")
		}
		r.backends = append(r.backends, b)
		r.total += uint64(b.weight)
	}
	return r
}

// Pick returns a backend, each as often as its weight says; nil when what was
// picked cannot be used, or nothing has weight.
func (r *Route) Pick() *upstream.Backend { return r.at(rand.Uint32()) }

// at is Pick for a random number spread evenly over all values.
func (r *Route) at(random uint32) *upstream.Backend {
	at := uint64(random) * r.total >> 32
	for i := range r.backends {
		w := uint64(r.backends[i].weight)
		if at < w {
			return r.backends[i].upstream
		}
		at -= w
	}
	return nil
}

// Uses says whether b is among the backends that take anything.
func (r *Route) Uses(b *upstream.Backend) bool {
	for i := range r.backends {
		if r.backends[i].upstream == b && r.backends[i].weight > 0 {
			return true
		}
	}
	return false
}
