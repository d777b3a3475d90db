// Package telemetry is what the data half tells its operator: counters,
// histograms and the access log.
//
// Every part of proxy resolves the counters it needs when a table is built
// (Metrics.Route, Listener, Port, Backend, Stream) and adds to plain atomics while it
// serves; nothing on the request path looks a series up by its labels. The
// proxy's admin address serves Metrics.Registry, and the proxy hands each
// finished exchange to the Log. It calls exchange and table for their types.
package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Metrics is every counter of one proxy.
type Metrics struct {
	Registry *prometheus.Registry // its own: nothing registers itself from elsewhere

	Denials       Causes // by policy and cause: requests a policy's authentication or authorization refused
	ShadowDenials Causes // the same for policies in Shadow mode, which refuse nothing
	Refusals      Causes // by policy and cause: requests whose format a policy refused
	BadRequests   Causes // by code: requests refused before they could be routed
	Floods        Causes // by kind: connections of HTTP/2 that were broken off for one
	Answers       Causes // by code: every answer of the gateway's own
	Mirrored      Causes // by backend and outcome: requests that were to be mirrored

	Table      Table
	Leader     Flag          // whether this replica writes
	LogDropped atomic.Uint64 // access log lines lost to a full queue or a failing writer

	questions
	series
	sources Sources
}

// questions count what others had to be asked about requests.
type questions struct {
	Asked        Causes // by service and outcome: requests an external service had to be asked about
	Reviewed     Causes // by review and outcome: what the cluster had to be asked about tokens and rights
	Introspected Causes // by server and outcome: tokens an authorization server had to be asked about
	Fetched      Causes // by service and outcome: requests that needed facts from a service
	Granted      Causes // by service and outcome: tokens a token endpoint was asked for
}

// series are the counters that come and go with the table.
type series struct {
	routes    keyed[Route]
	listeners keyed[Listener]
	ports     keyed[Port]
	backends  keyed[Backend]
	streams   keyed[Stream]
	valid     atomic.Pointer[map[string]Validity] // certificates, by their ids
	census    census                              // Retain's
}

// Sources are figures that others keep, read when somebody asks for the
// metrics. Each may be nil.
type Sources struct {
	KeySets  func(f func(id string, s KeySet))         // key sets
	KeysUsed func(f func(secret string, at time.Time)) // API keys, and when each was last accepted
	Backends func(f func(id string, l Load))           // how busy each backend is
	Limits   func(f func(l Limit))                     // what bounds the process, by its names in docs/limits.md
	Logins   func(f func(event string, n uint64))      // events of OpenID Connect logins
	Sessions func() (values, bytes int, lost uint64)   // kept in memory for them

	version string // of the program
}

// KeySet is what is known of the keys of one set.
type KeySet struct {
	Age     time.Duration // since they were fetched
	Kept    bool          // that was before the process began
	Missing bool          // there are none, and have not been
}

// Table counts what became of the tables handed to the proxy.
type Table struct {
	Generation atomic.Uint64
	Applied    atomic.Int64  // when, in nanoseconds of Unix time
	Rejected   atomic.Int64  // parts of the table that answer with an error
	Failed     atomic.Uint64 // tables that could not be swapped to
	Swap       Histogram     // table handed over to table serving
	Compile    Histogram     // objects changed to table compiled
}

// New returns the metrics of one proxy. version is the program's own.
func New(version string, sources Sources) *Metrics {
	sources.version = version
	m := &Metrics{Registry: prometheus.NewRegistry(), sources: sources}
	m.Registry.MustRegister(collector{m}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Route is the counters of one rule of one route.
type Route struct {
	Route, Rule string
	Classes     Classes
	Duration    Histogram
	Retries     atomic.Uint64
}

// Observe counts one finished request.
func (r *Route) Observe(status int, d time.Duration, retries int) {
	r.Classes.Add(status)
	r.Duration.Observe(d)
	if retries > 0 {
		r.Retries.Add(uint64(retries))
	}
}

// Listener is the counters of one Gateway listener.
type Listener struct {
	Gateway, Name string
	Classes       Classes
	TCP, UDP      Flag // whether it has its port
}

// Flag is 1 or 0, or nothing that is to be told of: then it has no series.
type Flag struct{ state atomic.Int32 }

// The states of a Flag.
const (
	untold = iota
	no
	yes
)

// Set says whether there is something to be told of, and what.
func (f *Flag) Set(told, is bool) {
	switch {
	case !told:
		f.state.Store(untold)
	case !is:
		f.state.Store(no)
	default:
		f.state.Store(yes)
	}
}

// Port is the counters of one listening socket.
type Port struct {
	Address         string // "0.0.0.0:443"
	Open            atomic.Int64
	Accepted        atomic.Uint64
	AcceptErrors    atomic.Uint64
	Refused         Refused
	HandshakeErrors atomic.Uint64
	HeaderErrors    atomic.Uint64 // no PROXY header, or a malformed one
}

// Refused is connections, and requests, that were one too many: by whose limit.
type Refused struct {
	Process  atomic.Uint64 // --max-connections, or memory
	Port     atomic.Uint64 // maxConnections
	Client   atomic.Uint64 // maxConnectionsPerClient
	Requests atomic.Uint64 // maxRequestsInFlight
}

// Backend is the counters of one backend.
type Backend struct {
	ID       string
	Requests atomic.Uint64
	Errors   atomic.Uint64 // no connection, no answer, or a malformed one
}

// Observe counts one finished request: each of its tries, of which all but the last
// have failed, and that one too if failed.
func (b *Backend) Observe(retries int, failed bool) {
	b.Requests.Add(uint64(1 + retries))
	if failed {
		retries++
	}
	if retries > 0 {
		b.Errors.Add(uint64(retries))
	}
}

// Route returns the counters of a's rule. They outlive tables as long as each
// table has the rule.
func (m *Metrics) Route(a *table.Action) *Route {
	return m.routes.get(routeKey(a), func() *Route { return &Route{Route: a.Route, Rule: a.Rule} })
}

// Listener returns the counters of l.
func (m *Metrics) Listener(l *table.Listener) *Listener {
	return m.listeners.get(l.ID, func() *Listener {
		gateway := l.Gateway()
		return &Listener{Gateway: gateway, Name: l.ID[min(len(l.ID), len(gateway)+1):]}
	})
}

// Port returns the counters of the socket bound to address.
func (m *Metrics) Port(address string) *Port {
	return m.ports.get(address, func() *Port { return &Port{Address: address} })
}

// Validity is from when and until when a certificate is valid.
type Validity struct{ NotBefore, NotAfter time.Time }

// Certificates makes these the certificates there are, by their ids. Nobody may write to
// the map.
func (m *Metrics) Certificates(valid map[string]Validity) { m.valid.Store(&valid) }

// Backend returns the counters of the backend id.
func (m *Metrics) Backend(id string) *Backend {
	return m.backends.get(id, func() *Backend { return &Backend{ID: id} })
}

// DropPort drops the series of a socket that is gone.
func (m *Metrics) DropPort(address string) { m.ports.drop(address) }

func routeKey(a *table.Action) string { return a.Route + "\x00" + a.Rule }

// keyed is counters by a name, found at swap and read when somebody asks.
type keyed[T any] struct {
	mu sync.Mutex
	m  map[string]*T
}

func (k *keyed[T]) get(key string, create func() *T) *T {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.m[key]
	if v == nil {
		if k.m == nil {
			k.m = map[string]*T{}
		}
		v = create()
		k.m[key] = v
	}
	return v
}

func (k *keyed[T]) retain(keep names, giveWay func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.m) == len(keep) { // all that is kept is there
		return
	}
	for key := range k.m {
		giveWay()
		if keep[key] == 0 {
			delete(k.m, key)
		}
	}
}

func (k *keyed[T]) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, key)
}

func (k *keyed[T]) each(do func(*T)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range k.m {
		do(v)
	}
}
