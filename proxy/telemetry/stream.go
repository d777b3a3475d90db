package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Stream is the counters of one TLSRoute, TCPRoute or UDPRoute. A connection of
// UDP is a session: the datagrams of one client address.
type Stream struct {
	Route       string
	Open        atomic.Int64
	Connections atomic.Uint64 // that came, refused ones included
	Refused     atomic.Uint64 // that had nowhere to go: of UDP, datagrams
	Failed      atomic.Uint64 // that broke off after they were made
	BytesIn     atomic.Uint64 // from clients
	BytesOut    atomic.Uint64 // to clients
}

// Stream returns the counters of s's route. They outlive tables as long as each
// table has the route.
func (m *Metrics) Stream(s *table.Stream) *Stream {
	return m.streams.get(s.Route, func() *Stream { return &Stream{Route: s.Route} })
}

type streamDescs struct{ open, connections, refused, failed, in, out *prometheus.Desc }

func newStreamDescs() streamDescs {
	return streamDescs{
		open:        desc("stream_connections_open", "Connections, and sessions of UDP, that a route relays now.", "route"),
		connections: desc("stream_connections_total", "Connections, and sessions of UDP, that came for a route.", "route"),
		refused:     desc("stream_refused_total", "Connections, and datagrams, closed or dropped because no backend could take them.", "route"),
		failed:      desc("stream_failures_total", "Connections, and sessions of UDP, that broke off after they were made.", "route"),
		in:          desc("stream_received_bytes_total", "Bytes relayed from clients to backends.", "route"),
		out:         desc("stream_sent_bytes_total", "Bytes relayed from backends to clients.", "route"),
	}
}

func (c collector) streams(o output) {
	d := newStreamDescs()
	c.m.streams.each(func(s *Stream) {
		o.gauge(d.open, float64(s.Open.Load()), s.Route)
		o.counter(d.connections, &s.Connections, s.Route)
		o.counter(d.refused, &s.Refused, s.Route)
		o.counter(d.failed, &s.Failed, s.Route)
		o.counter(d.in, &s.BytesIn, s.Route)
		o.counter(d.out, &s.BytesOut, s.Route)
	})
}
