// Package forward takes a request to a backend and the answer back.
//
// proxy calls Forward for requests that routing, authentication and validation
// have let through. It runs the route's filters, picks an endpoint with
// proxy/upstream, retries what can be retried, keeps the route's timeouts, and
// copies the answer to the exchange's Writer.
package forward

import (
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/clientip"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Config of a Forwarder. Zero fields mean the default.
type Config struct {
	Retries    int               // further tries after one that did not reach the backend, 2
	TunnelIdle time.Duration     // a tunnel in which nothing moves for this long is closed, 10 min
	Poll       *poll.Set         // what attends to tunnels; nil: two goroutines for each
	Trusted    *clientip.Trusted // proxies in front whose X-Forwarded-Proto and -Host are kept
	Mirrors    Mirrors           // what mirrored requests may cost
	Mirrored   *telemetry.Causes // counts mirrored requests by backend and outcome; never nil once defaults are in
}

// Forwarder forwards requests.
type Forwarder struct {
	cfg     Config
	pipes   pipes
	mirrors chan struct{}  // as many as may be under way
	running sync.WaitGroup // those that are
}

// New returns a Forwarder.
func New(cfg Config) *Forwarder {
	if cfg.Retries <= 0 {
		cfg.Retries = 2
	}
	if cfg.TunnelIdle <= 0 {
		cfg.TunnelIdle = 10 * time.Minute
	}
	cfg.Mirrors.defaults()
	if cfg.Mirrored == nil {
		cfg.Mirrored = &telemetry.Causes{}
	}
	return &Forwarder{cfg: cfg, mirrors: make(chan struct{}, cfg.Mirrors.Requests)}
}

// Wait returns when no mirrored request is under way any more, which Mirrors.Time
// bounds. Nothing may be forwarded meanwhile.
func (f *Forwarder) Wait() { f.running.Wait() }

// Send forwards x to d and writes the answer. Request filters have run. pin is where
// its session is; nil: it has none, or begins now.
func (f *Forwarder) Send(x *exchange.Exchange, d *router.Destination, pin *upstream.Endpoint) {
	x.Trace.Backend = d.Upstream.ID()
	if err := d.Upstream.Enter(x.Context); err != nil {
		reply(x, err)
		return
	}
	if b := d.Upstream.Budget(); b != nil {
		b.Request(x.Start)
	}
	t := carrier(x)
	t.begin(f, d, pin)
	t.run()
	t.end()
	d.Upstream.Leave()
}

// reply answers with what err deserves.
func reply(x *exchange.Exchange, err error) {
	x.Fail(err)
	x.WriteReply() //nolint:errcheck // the client is gone; the protocol knows
}

// limit is when an exchange must be over because its rule says so.
type limit struct {
	at      time.Time // the earlier of the two below; zero for never
	request time.Time // for the exchange
	backend time.Duration
}

func unlimited(t *table.Timeouts) bool { return t.Request|t.Backend == 0 }

func (l *limit) begin(start time.Time, t *table.Timeouts) {
	l.backend = t.Backend
	if t.Request > 0 {
		l.request = start.Add(t.Request)
		l.at = l.request
	}
	if t.Backend > 0 {
		l.try(time.Now())
	}
}

// try begins another try at now.
func (l *limit) try(now time.Time) {
	l.at = l.request
	if l.backend > 0 {
		if at := now.Add(l.backend); l.at.IsZero() || at.Before(l.at) {
			l.at = at
		}
	}
}

// passed returns the answer when time is up.
func (l *limit) passed() *exchange.Error {
	if !l.request.IsZero() && !time.Now().Before(l.request) {
		return &exchange.Error{Status: 504, Code: "request_timeout", Detail: "the request took longer than its route allows"}
	}
	return &exchange.Error{Status: 504, Code: "backend_timeout", Detail: "the backend did not answer in time"}
}

// failure turns an error of a backend connection into an answer.
func (l *limit) failure(err error) error {
	var e *exchange.Error
	switch {
	case upstream.Timeout(err):
		return l.passed()
	case errors.As(err, &e):
		return e
	}
	return &exchange.Error{Status: 502, Code: "backend_bad_response", Detail: "the backend closed the connection before its answer was complete"}
}
