package telemetry

import "github.com/prometheus/client_golang/prometheus"

type loginDescs struct{ events, values, bytes, lost *prometheus.Desc }

func newLoginDescs() loginDescs {
	return loginDescs{
		events: desc("oidc_events_total", "What happened to OpenID Connect logins and sessions, by event.", "event"),
		values: desc("session_store_values", "Values in the memory store of sessions: sessions, and marks of logouts."),
		bytes:  desc("session_store_bytes", "Memory that the memory store of sessions takes."),
		lost:   desc("session_store_lost_total", "Values the memory store of sessions dropped before their time because it was full."),
	}
}

func (c collector) logins(d *loginDescs, o output) {
	if c.m.sources.Logins != nil {
		c.m.sources.Logins(func(event string, n uint64) { o.send(d.events, prometheus.CounterValue, float64(n), event) })
	}
	if c.m.sources.Sessions != nil {
		values, bytes, lost := c.m.sources.Sessions()
		o.gauge(d.values, float64(values))
		o.gauge(d.bytes, float64(bytes))
		o.send(d.lost, prometheus.CounterValue, float64(lost))
	}
}
