// Package upstream is the way to the backends: which addresses each has, which
// of them to ask, the pools of connections to them, and asking.
//
// proxy owns one Set and hands it the endpoints as they come; proxy/router
// resolves each backend of a table once, at swap; proxy/forward picks an
// endpoint and makes a Call. It calls proxy/wire for the syntax and proxy/socket
// for the bytes, or h2 for backends that speak HTTP/2.
//
// Nothing here takes a lock while a request is served from a pooled HTTP/1.1 connection.
package upstream

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream/h2"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Config bounds what one backend, and one endpoint, may use. Zero fields mean the
// default. What comes over MaxRequests, MaxConns or MaxStreams is answered 503
// backend_overloaded.
type Config struct {
	MaxRequests    int              // requests under way to one endpoint, 4096
	Look           time.Duration    // while a backend is silent, whether the client is there is looked at this often, 5 s (at most twice that passes)
	Limits         wire.Limits      // of an answer's head: 64 KiB, 200 fields
	ReadTimeout    time.Duration    // a backend silent for this long has failed, unless it is still sent content, 60 s (at most twice that passes)
	WriteTimeout   time.Duration    // a backend that reads nothing for this long has failed, 30 s (at most twice that passes)
	StreamTimeout  time.Duration    // the same for gRPC, whose streams may well be silent while their connection is checked, 10 min
	Admission      admission.Config // requests under way to one backend, none by default, and the wait of those that come over it, 100 ms
	MaxConns       int              // connections to one endpoint, 4096
	MaxIdle        int              // idle connections kept to one endpoint, 256; further ones are closed
	ConnectTimeout time.Duration    // 3 s
	IdleTimeout    time.Duration    // an idle connection older than this is closed, 60 s
	MaxStreamConns int              // connections to one endpoint that speaks HTTP/2, 16
	MaxStreams     int              // requests at one time on one of them, 250, or as many as the backend says
	StreamBuffer   int              // bytes of one's answer that its client has not taken yet, 256 KiB and 64 KiB or more; then the backend waits
}

func (c *Config) defaults() {
	c.Admission.Wait = or(c.Admission.Wait, 100*time.Millisecond)
	c.MaxRequests = or(c.MaxRequests, 4096)
	c.MaxConns = or(c.MaxConns, 4096)
	c.MaxIdle = or(c.MaxIdle, 256)
	c.ConnectTimeout = or(c.ConnectTimeout, 3*time.Second)
	c.IdleTimeout = or(c.IdleTimeout, 60*time.Second)
	c.ReadTimeout = or(c.ReadTimeout, 60*time.Second)
	c.WriteTimeout = or(c.WriteTimeout, 30*time.Second)
	c.Look = min(or(c.Look, 5*time.Second), c.ReadTimeout)
	c.StreamTimeout = or(c.StreamTimeout, 10*time.Minute)
	c.MaxStreamConns = or(c.MaxStreamConns, 16)
	c.MaxStreams = or(c.MaxStreams, 250)
	c.StreamBuffer = min(max(or(c.StreamBuffer, 256<<10), 64<<10), 1<<30)
	c.Limits.Head = or(c.Limits.Head, 64<<10)
	c.Limits.Fields = or(c.Limits.Fields, 200)
}

func or[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Set is all backends by id.
type Set struct {
	cfg      Config
	dialer   *h2.Dialer
	mu       sync.Mutex // guards the rest; never taken while a request is served
	backends map[string]*Backend
	budgets  map[string]*Budget
}

// New returns an empty set. Run keeps its pools tidy.
func New(cfg Config) *Set {
	cfg.defaults()
	return &Set{cfg: cfg, backends: map[string]*Backend{}, budgets: map[string]*Budget{}, dialer: h2.New(cfg.streams(nil))}
}

// streams is the part that HTTP/2 has in c.
func (c *Config) streams(over *tls.Config) h2.Config {
	return h2.Config{
		Conns: c.MaxStreamConns, Streams: c.MaxStreams,
		ConnectTimeout: c.ConnectTimeout, IdleTimeout: c.IdleTimeout, WriteTimeout: c.WriteTimeout,
		Head: int64(c.Limits.Head), Fields: c.Limits.Fields, Buffer: c.StreamBuffer, TLS: over,
	}
}

// Backend returns the backend of that id, the same one every time, and makes it
// with no endpoints when there is none. It is called at swap.
func (s *Set) Backend(id string, p table.BackendProtocol) *Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.backend(id)
	if p != "" {
		b.http2.Store(p == table.BackendH2C)
	}
	return b
}

func (s *Set) backend(id string) *Backend {
	b := s.backends[id]
	if b == nil {
		b = &Backend{id: id, cfg: &s.cfg, dialer: s.dialer}
		b.gate.Open(s.cfg.Admission)
		b.members.Store(&members{})
		s.backends[id] = b
	}
	return b
}

// SetEndpoints replaces the addresses of a backend. Connections to addresses
// that are gone are closed as soon as they are idle.
func (s *Set) SetEndpoints(id string, eps []table.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backend(id).set(eps)
}

// Retain drops the backends that are not among ids. Requests that began by an
// earlier table may still be on their way to one: they find its endpoints, and the
// connections they make end with them.
func (s *Set) Retain(ids []string) {
	keep := make(map[string]bool, len(ids))
	for _, id := range ids {
		keep[id] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range s.backends {
		if !keep[id] {
			b.retire()
			delete(s.backends, id)
		}
	}
	s.dropBudgets()
}

// Run closes connections that have been idle for too long, until ctx ends, and
// then all idle ones.
func (s *Set) Run(ctx context.Context) {
	tick := time.NewTicker(max(s.cfg.IdleTimeout/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.reap(now)
		case <-ctx.Done():
			s.Close()
			return
		}
	}
}

// Close drops all endpoints: idle connections are closed now, others when their
// exchange ends.
func (s *Set) Close() { s.Retain(nil) }

func (s *Set) reap(now time.Time) {
	s.mu.Lock()
	var all []*Endpoint
	for _, b := range s.backends {
		m := b.members.Load()
		all = append(append(all, m.live...), m.draining...)
	}
	s.mu.Unlock()
	for _, e := range all {
		e.pool.reap(now.Add(-s.cfg.IdleTimeout).UnixNano(), now.Add(s.cfg.IdleTimeout).UnixNano())
		e.streams.Load().Reap()
	}
}

// Backend is one destination and its endpoints at this moment.
type Backend struct {
	id      string
	members atomic.Pointer[members]
	budget  atomic.Pointer[Budget] // nil: retries are not bounded
	http2   atomic.Bool            // what it speaks
	gate    admission.Gate         // of the requests under way
	cfg     *Config
	full    atomic.Uint64 // refusals because an endpoint had all it takes
	dialer  *h2.Dialer
	secure  atomic.Pointer[security] // nil: reached in the clear
}

// members is an immutable list of endpoints.
type members struct {
	only     *Endpoint   // that can be picked; nil: there are more, or none
	live     []*Endpoint //
	draining []*Endpoint // serving but terminating
}

func (m *members) pickable() []*Endpoint {
	if len(m.live) > 0 {
		return m.live
	}
	return m.draining
}

// ID returns table.Backend.ID.
func (b *Backend) ID() string { return b.id }

// HTTP2 reports whether that is what the backend speaks.
func (b *Backend) HTTP2() bool { return b.http2.Load() }

// set is called with Set.mu held.
func (b *Backend) set(eps []table.Endpoint) {
	old := b.members.Load()
	known := append(slices.Clone(old.live), old.draining...)
	next := &members{}
	kept := map[*Endpoint]bool{}
	for _, t := range eps {
		i := slices.IndexFunc(known, func(e *Endpoint) bool { return e.addr == t.Address })
		var e *Endpoint
		if i >= 0 {
			e = known[i]
		} else {
			e = newEndpoint(t.Address, b)
			known = append(known, e)
		}
		if kept[e] {
			continue
		}
		kept[e] = true
		if t.Draining {
			next.draining = append(next.draining, e)
		} else {
			next.live = append(next.live, e)
		}
	}
	if list := next.pickable(); len(list) == 1 {
		next.only = list[0]
	}
	b.members.Store(next)
	for _, e := range known {
		if !kept[e] {
			e.close()
		}
	}
}

// retire closes the connections that are idle, and each other one when its
// exchange ends.
func (b *Backend) retire() {
	m := b.members.Load()
	for _, list := range [...][]*Endpoint{m.live, m.draining} {
		for _, e := range list {
			e.close()
		}
	}
}

// At returns the endpoint of that address, draining or not: a session stays while
// it can. nil when there is none, or it could not be reached lately.
func (b *Backend) At(addr netip.AddrPort, now time.Time) *Endpoint {
	m := b.members.Load()
	for _, list := range [...][]*Endpoint{m.live, m.draining} {
		for _, e := range list {
			if e.addr == addr {
				if !e.up(now.UnixNano()) {
					return nil
				}
				return e
			}
		}
	}
	return nil
}

// Pick returns the endpoint to ask: the less busy of two taken at random,
// leaving out avoid and those that could not be reached lately as long as there
// are others, and draining ones as long as there is anything else. nil when the
// backend has no endpoints.
func (b *Backend) Pick(avoid *Endpoint, now time.Time) *Endpoint {
	m := b.members.Load()
	if m.only != nil {
		return m.only
	}
	list := m.pickable()
	if len(list) == 0 {
		return nil
	}
	r := rand.Uint64()
	i := int(uint32(r)) % len(list)
	j := int(r>>33) % (len(list) - 1)
	if j >= i {
		j++
	}
	x, y, at := list[i], list[j], now.UnixNano()
	xok, yok := x != avoid && x.up(at), y != avoid && y.up(at)
	switch {
	case xok && yok:
		if y.busy.Load() < x.busy.Load() {
			return y
		}
		return x
	case xok:
		return x
	case yok:
		return y
	}
	for k := range list {
		if e := list[(i+k)%len(list)]; e != avoid && e.up(at) {
			return e
		}
	}
	if x == avoid {
		return y
	}
	return x
}
