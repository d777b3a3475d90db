package telemetry

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
}

// descs is every series of ours, in the order in which they are documented.
type descs struct {
	build                            *prometheus.Desc
	requests                         *prometheus.Desc
	route                            routeDescs
	answers, badRequests             *prometheus.Desc
	denials, shadowDenials, refusals *prometheus.Desc
	backend                          backendDescs
	port                             portDescs
	table                            tableDescs
	aside                            asideDescs
	keys                             keyDescs
	logDropped                       *prometheus.Desc
	logins                           loginDescs
}

type routeDescs struct{ requests, duration, retries *prometheus.Desc }

type backendDescs struct {
	requests, errors                               *prometheus.Desc
	inFlight, limit, waiting, refused, connections *prometheus.Desc
}

// asideDescs are of requests that others than the backend were sent.
type asideDescs struct{ mirrored, asked, introspected, reviewed *prometheus.Desc }

// keyDescs are of the keys that callers are known by, and of those the gateway is known by.
type keyDescs struct{ notBefore, notAfter, setMissing, setAge, setKept, used *prometheus.Desc }

type portDescs struct{ bound, open, accepted, failed, refused, requests, handshakes, headers *prometheus.Desc }

type tableDescs struct{ leader, generation, applied, rejected, failed, swap, compile *prometheus.Desc }

func newDescs() descs {
	return descs{
		build: desc("build_info", "Always 1; the labels say what is running.", "version", "goversion"),
		requests: desc("requests_total", "Requests answered, by Gateway listener and status class. Class 0xx: the client left first.",
			"gateway", "listener", "code_class"),
		route: routeDescs{
			requests: desc("route_requests_total", "Requests answered, by route rule and status class. Class 0xx: the client left first.",
				"route", "rule", "code_class"),
			duration: desc("request_duration_seconds", "Time from a request's head to the end of its answer, by route rule.", "route", "rule"),
			retries:  desc("request_retries_total", "Further tries after a failed one, by route rule.", "route", "rule"),
		},
		answers:       desc("own_answers_total", "Answers the gateway made itself or had to break off, by their stable code.", "code"),
		badRequests:   desc("bad_requests_total", "Requests refused before they could be routed, by the code of the answer.", "code"),
		denials:       desc("denials_total", "Requests refused by an AuthPolicy, by policy and cause.", "policy", "cause"),
		shadowDenials: desc("shadow_denials_total", "Requests a policy in Shadow mode would have refused, by policy and cause.", "policy", "cause"),
		refusals:      desc("validation_refusals_total", "Requests refused by a ValidationPolicy, by policy and cause.", "policy", "cause"),
		backend: backendDescs{
			requests:    desc("backend_requests_total", "Requests sent to a backend, each try counted.", "backend"),
			errors:      desc("backend_errors_total", "Tries that got no usable answer from the backend.", "backend"),
			inFlight:    desc("backend_requests_in_flight", "Requests a backend is working on.", "backend"),
			limit:       desc("backend_requests_limit", "Requests a backend is given at one time; 0: no limit.", "backend"),
			waiting:     desc("backend_requests_waiting", "Requests that wait until a backend has room for them.", "backend"),
			refused:     desc("backend_requests_refused_total", "Requests that a backend, or one of its endpoints, had no room for, each try counted.", "backend"),
			connections: desc("backend_connections_open", "Connections open to a backend, idle ones included.", "backend"),
		},
		aside: asideDescs{
			mirrored:     desc("mirrored_requests_total", "Requests that were to be mirrored, by the mirror's backend and what became of it.", "backend", "outcome"),
			asked:        desc("external_auth_requests_total", "Requests an external authorization service had to be asked about, by service and outcome.", "service", "outcome"),
			introspected: desc("introspections_total", "Tokens an authorization server had to be asked about, by server and outcome.", "server", "outcome"),
			reviewed:     desc("kubernetes_reviews_total", "What the API server had to be asked about tokens and rights, by review and outcome.", "review", "outcome"),
		},
		port: portDescs{
			bound:      desc("listener_bound", "1 while a Gateway listener has its port of TCP, or of UDP, as for HTTP/3; 0 while it does not: it is tried again every 5 s.", "gateway", "listener", "transport"),
			open:       desc("client_connections_open", "Client connections open, by the socket they came in on.", "address"),
			accepted:   desc("client_connections_total", "Client connections accepted, by the socket they came in on.", "address"),
			failed:     desc("client_accept_errors_total", "How often a client connection could not be accepted, as when no file descriptor is left: it waits until one is.", "address"),
			refused:    desc("client_connections_refused_total", "Client connections closed at once because too many were open: in the process, on the port, or of the client.", "address", "limit"),
			requests:   desc("client_requests_refused_total", "Requests answered 503 because their port had as many in flight as its limit.", "address"),
			handshakes: desc("tls_handshake_errors_total", "TLS handshakes with a client that failed.", "address"),
			headers:    desc("proxy_protocol_errors_total", "Client connections closed for a PROXY header that was missing, malformed or not trusted.", "address"),
		},
		table: tableDescs{
			leader:     desc("leader", "1 while this pod is the one that writes statuses and Services, 0 while it is not; nothing without a cluster."),
			generation: desc("table_generation", "How many tables the proxy has swapped to."),
			applied:    desc("table_applied_timestamp_seconds", "When the proxy last swapped to a table, in Unix time."),
			rejected:   desc("table_rejected_parts", "Parts of the configuration that are answered with an error."),
			failed:     desc("table_failures_total", "Tables the proxy could not swap to."),
			swap:       desc("table_swap_duration_seconds", "Time from a table handed over to the table serving."),
			compile:    desc("table_compile_duration_seconds", "Time from changed objects to a compiled table."),
		},
		keys: keyDescs{
			notBefore:  desc("certificate_not_before_timestamp_seconds", "From when a certificate of a listener is valid, in Unix time, by its Secret.", "secret"),
			notAfter:   desc("certificate_not_after_timestamp_seconds", "Until when a certificate of a listener is valid, in Unix time, by its Secret.", "secret"),
			setMissing: desc("key_set_missing", "1 while a key set has no keys and what it guards is answered 503, 0 once it has some.", "key_set"),
			setAge:     desc("key_set_age_seconds", "Time since a key set's keys were last fetched; nothing where they are in the configuration itself.", "key_set"),
			setKept:    desc("key_set_kept", "1 while a key set goes by keys that were kept from before the process began, 0 once they were fetched.", "key_set"),
			used:       desc("api_key_last_used_timestamp_seconds", "When the API key of a Secret was last accepted, in Unix time; for the 1,000 keys used last.", "secret"),
		},
		logDropped: desc("access_log_dropped_total", "Access log lines lost to a full queue or a failing writer."),
		logins:     newLoginDescs(),
	}
}

// collector turns the counters into Prometheus metrics when it is asked to.
type collector struct{ m *Metrics }

// Describe declares nothing: the series come and go with the table.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	d, o := newDescs(), output(out)
	o.gauge(d.build, 1, c.m.sources.version, runtime.Version())
	c.requests(&d, o)
	c.causes(&d, o)
	c.backends(&d.backend, o)
	c.ports(&d.port, o)
	if all := c.m.valid.Load(); all != nil {
		for id, v := range *all {
			o.gauge(d.keys.notBefore, float64(v.NotBefore.Unix()), id)
			o.gauge(d.keys.notAfter, float64(v.NotAfter.Unix()), id)
		}
	}
	c.streams(o)
	c.limits(o)
	c.table(&d.table, o)
	if c.m.sources.KeysUsed != nil {
		c.m.sources.KeysUsed(func(secret string, at time.Time) { o.gauge(d.keys.used, float64(at.Unix()), secret) })
	}
	if c.m.sources.KeySets != nil {
		c.m.sources.KeySets(func(id string, s KeySet) { o.keySet(&d.keys, id, s) })
	}
	o.counter(d.logDropped, &c.m.LogDropped)
	c.logins(&d.logins, o)
}

func (c collector) requests(d *descs, o output) {
	c.m.listeners.each(func(l *Listener) {
		o.classes(d.requests, &l.Classes, l.Gateway, l.Name)
		o.flag(d.port.bound, &l.TCP, l.Gateway, l.Name, "tcp")
		o.flag(d.port.bound, &l.UDP, l.Gateway, l.Name, "udp")
	})
	c.m.routes.each(func(r *Route) {
		o.classes(d.route.requests, &r.Classes, r.Route, r.Rule)
		// Thousands of rules that nobody asks would make every scrape megabytes, and a peak of memory.
		if r.Duration.empty() {
			return
		}
		o.histogram(d.route.duration, &r.Duration, r.Route, r.Rule)
		o.counter(d.route.retries, &r.Retries, r.Route, r.Rule)
	})
}

func (c collector) causes(d *descs, o output) {
	for _, s := range []struct {
		desc   *prometheus.Desc
		causes *Causes
	}{{d.denials, &c.m.Denials}, {d.shadowDenials, &c.m.ShadowDenials}, {d.refusals, &c.m.Refusals}, {d.aside.mirrored, &c.m.Mirrored}, {d.aside.asked, &c.m.Asked}, {d.aside.introspected, &c.m.Introspected}, {d.aside.reviewed, &c.m.Reviewed}} {
		s.causes.each(func(k cause, n uint64) { o.send(s.desc, prometheus.CounterValue, float64(n), k.policy, k.code) })
	}
	granted := desc("backend_token_requests_total", "Tokens for backends that a token endpoint was asked for, by service and outcome.", "service", "outcome")
	c.m.Granted.each(func(k cause, n uint64) { o.send(granted, prometheus.CounterValue, float64(n), k.policy, k.code) })
	fetched := desc("metadata_requests_total", "Requests that needed facts from a service, by service and outcome.", "service", "outcome")
	c.m.Fetched.each(func(k cause, n uint64) { o.send(fetched, prometheus.CounterValue, float64(n), k.policy, k.code) })
	floods := desc("client_floods_total", "Client connections broken off for a flood: of frames (HTTP/2), of resets, of one header, or of heads that do not come (HTTP/3).", "kind")
	c.m.Floods.each(func(k cause, n uint64) { o.send(floods, prometheus.CounterValue, float64(n), k.code) })
	c.m.BadRequests.each(func(k cause, n uint64) { o.send(d.badRequests, prometheus.CounterValue, float64(n), k.code) })
	c.m.Answers.each(func(k cause, n uint64) { o.send(d.answers, prometheus.CounterValue, float64(n), k.code) })
}

func (c collector) backends(d *backendDescs, o output) {
	c.m.backends.each(func(b *Backend) {
		o.counter(d.requests, &b.Requests, b.ID)
		o.counter(d.errors, &b.Errors, b.ID)
	})
	if c.m.sources.Backends != nil {
		c.m.sources.Backends(func(id string, l Load) {
			o.gauge(d.inFlight, float64(l.InFlight), id)
			o.gauge(d.limit, float64(l.Limit), id)
			o.gauge(d.waiting, float64(l.Waiting), id)
			o.send(d.refused, prometheus.CounterValue, float64(l.Refused), id)
			o.gauge(d.connections, float64(l.Connections), id)
		})
	}
}

func (c collector) ports(d *portDescs, o output) {
	c.m.ports.each(func(p *Port) {
		o.gauge(d.open, float64(p.Open.Load()), p.Address)
		o.counter(d.accepted, &p.Accepted, p.Address)
		o.counter(d.failed, &p.AcceptErrors, p.Address)
		o.counter(d.refused, &p.Refused.Process, p.Address, "process")
		o.counter(d.refused, &p.Refused.Port, p.Address, "port")
		o.counter(d.refused, &p.Refused.Client, p.Address, "client")
		o.counter(d.requests, &p.Refused.Requests, p.Address)
		o.counter(d.handshakes, &p.HandshakeErrors, p.Address)
		o.counter(d.headers, &p.HeaderErrors, p.Address)
	})
}

func (c collector) table(d *tableDescs, o output) {
	t := &c.m.Table
	o.flag(d.leader, &c.m.Leader)
	o.gauge(d.generation, float64(t.Generation.Load()))
	o.gauge(d.applied, time.Duration(t.Applied.Load()).Seconds())
	o.gauge(d.rejected, float64(t.Rejected.Load()))
	o.counter(d.failed, &t.Failed)
	o.histogram(d.swap, &t.Swap)
	o.histogram(d.compile, &t.Compile)
}

// output sends metrics on their way.
type output chan<- prometheus.Metric

func (o output) send(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	o <- m
}

func (o output) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o.send(d, prometheus.GaugeValue, v, labels...)
}

func (o output) counter(d *prometheus.Desc, n *atomic.Uint64, labels ...string) {
	o.send(d, prometheus.CounterValue, float64(n.Load()), labels...)
}

func (o output) keySet(d *keyDescs, id string, s KeySet) {
	o.truth(d.setMissing, s.Missing, id)
	if !s.Missing {
		o.gauge(d.setAge, s.Age.Seconds(), id)
		o.truth(d.setKept, s.Kept, id)
	}
}

// truth sends 1 or 0.
func (o output) truth(d *prometheus.Desc, is bool, labels ...string) {
	value := 0.0
	if is {
		value = 1
	}
	o.gauge(d, value, labels...)
}

func (o output) flag(d *prometheus.Desc, f *Flag, labels ...string) {
	if state := f.state.Load(); state != untold {
		o.truth(d, state == yes, labels...)
	}
}

// classes sends the classes that have been seen, so that a quiet rule is one series, not six.
func (o output) classes(d *prometheus.Desc, c *Classes, labels ...string) {
	labels = append(labels, "")
	for i := range c {
		if n := c[i].Load(); n > 0 || i == 2 {
			labels[len(labels)-1] = string(rune('0'+i)) + "xx"
			o.send(d, prometheus.CounterValue, float64(n), labels...)
		}
	}
}

func (o output) histogram(d *prometheus.Desc, h *Histogram, labels ...string) {
	upTo, count := make(map[float64]uint64, buckets), uint64(0)
	for i := range bounds {
		count += h.counts[i].Load()
		upTo[bounds[i].Seconds()] = count
	}
	count += h.counts[buckets].Load()
	m, err := prometheus.NewConstHistogram(d, count, time.Duration(h.sum.Load()).Seconds(), upTo, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	o <- m
}
