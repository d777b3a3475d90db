package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Limit is how full something is that the whole process has once.
type Limit struct {
	Name    string // as in docs/limits.md
	Limit   int    // 0: none
	In      int    // now
	Refused uint64 // so far
}

// Load is how busy a backend is.
type Load struct {
	Limit       int    // of requests under way; 0: none
	InFlight    int    // requests under way, and connections and sessions that are relayed
	Waiting     int    // requests that wait to be let on
	Refused     uint64 // so far, requests that it, or one of its endpoints, had no room for
	Connections int
}

type limitDescs struct{ limit, in, refused *prometheus.Desc }

func newLimitDescs() limitDescs {
	return limitDescs{
		limit:   desc("limit", "What a limit of the process is set to; 0: none.", "limit"),
		in:      desc("limit_in_use", "How much of a limit of the process is in use.", "limit"),
		refused: desc("limit_refused_total", "How often something was refused because of a limit of the process.", "limit"),
	}
}

func (c collector) limits(o output) {
	d := newLimitDescs()
	if c.m.sources.Limits == nil {
		return
	}
	c.m.sources.Limits(func(l Limit) {
		o.gauge(d.limit, float64(l.Limit), l.Name)
		o.gauge(d.in, float64(l.In), l.Name)
		o.send(d.refused, prometheus.CounterValue, float64(l.Refused), l.Name)
	})
}
