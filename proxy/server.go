// Package proxy is the data half of Gatehouse: it serves traffic by the table it
// was last given.
//
// cmd builds a Server, hands it tables and endpoints, and runs it. A table comes
// in by Swap, is indexed off the request path and put in place by one atomic
// store; addresses of backends come in by SetEndpoints, by a door of their own.
//
//	connection -> listener -> http1 | http2 | http3 -> Handle (handle.go):
//	router.Match -> guard -> validate -> forward -> upstream -> backend
//
//	connection or datagram -> listener -> tcp | udp -> stream -> upstream -> backend
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/clientip"
	"github.com/gatehouse-dev/gatehouse/proxy/decision"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/listener"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/session"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Server serves traffic by tables.
type Server struct {
	opts  Options
	log   logr.Logger
	state atomic.Pointer[state] // what requests are served by; never nil
	ready readiness

	metrics   *telemetry.Metrics
	access    *telemetry.Log
	decisions *decision.Log
	trusted   *clientip.Trusted
	owners    router.Owners // of what outlives tables
	forward   *forward.Forwarder
	door      door
	admin     *admin

	mu      sync.Mutex // one swap at a time; guards the rest
	sockets *listener.Set
	applied Applied
}

// state is everything a table became. It does not change.
type state struct {
	table  *table.Table
	router *router.Router
	ports  map[uint32]*listener.Port
}

// Applied is what became of the tables so far.
type Applied struct {
	Generation uint64           // tables swapped to
	Time       time.Time        // of the last one
	Listeners  map[string]error // those of the last table that cannot serve, by table.Listener.ID, and why
	Err        error            // why the newest table was refused whole; the last one serves on
}

// New returns a Server that listens on its admin address and serves no table
// yet. Run must be called.
func New(opts Options) (*Server, error) {
	opts.defaults()
	s := &Server{opts: opts, log: opts.Log}
	var err error
	if s.trusted, err = clientip.Parse(opts.Clients.Trusted); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s.decisions = decision.NewLog()
	s.owners.Upstreams = upstream.New(opts.Backends)
	if s.owners.Sessions, err = session.NewKeys(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if s.door, err = newDoor(&opts); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s.metrics = telemetry.New(opts.Version, telemetry.Sources{
		KeySets: s.keySets, Backends: s.owners.Upstreams.Each, Limits: s.door.limits,
		KeysUsed: func(f func(secret string, at time.Time)) { s.owners.Guard.KeysUsed(f) },
		Logins:   func(f func(event string, n uint64)) { s.owners.Guard.Logins(f) },
		Sessions: func() (int, int, uint64) { f := s.owners.Guard.Sessions(); return f.Values, f.Bytes, f.Lost },
	})
	s.forward = forward.New(forward.Config{Poll: s.door.loops, Trusted: s.trusted, TunnelIdle: opts.Clients.Tunnel, Mirrors: opts.Mirrors, Mirrored: &s.metrics.Mirrored})
	s.sockets = listener.New(s.listening())
	if s.admin, err = newAdmin(opts.Admin, s.Admin()); err != nil {
		s.door.close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if s.owners.Guard, err = guard.New(s.guarding()); err != nil {
		_ = s.admin.ln.Close()
		s.door.close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s.owners.Env, s.owners.Metrics, s.owners.GiveWay = s.owners.Guard.Expressions(), s.metrics, s.GiveWay
	s.state.Store(&state{table: &table.Table{}, router: &router.Router{}})
	if opts.AccessLog.Writer != nil {
		s.access = telemetry.NewLog(opts.AccessLog.Writer, opts.AccessLog.Share, &s.metrics.LogDropped)
	}
	return s, nil
}

func (s *Server) now() time.Time { return auth.Clock(s.opts.Now).Now() }

func (s *Server) guarding() guard.Config {
	return guard.Config{
		Now: s.opts.Now, Transport: s.opts.KeySets, Report: s.keySetFetched, Trusted: s.trusted.Contains,
		Upstreams: s.owners.Upstreams, Asked: s.metrics.Asked.Add, Introspected: s.metrics.Introspected.Add, Fetched: s.metrics.Fetched.Add, Reviewed: s.metrics.Reviewed.Add, Cluster: s.opts.Cluster, Watched: s.watched,
		Granted: s.metrics.Granted.Add, Operators: s.AdminAddr(),
		Memory: guard.Memory{Sessions: s.opts.SessionBytes, Answers: admission.AnswerBytes(s.opts.Memory)},
	}
}

// Run serves until ctx ends, and then shuts down: it says it is not ready, goes
// on serving for Drain.Delay so that load balancers notice, with every answer
// its connection's last; then it stops accepting, lets what is under way finish
// for Drain.Timeout, and closes the rest.
func (s *Server) Run(ctx context.Context) error {
	var running sync.WaitGroup
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	running.Go(func() { failed <- s.admin.serve() })
	running.Go(func() { s.owners.Upstreams.Run(background) })
	running.Go(func() { s.retry(background) })
	running.Go(func() { s.door.memory.Run(background, s.relieve) })

	var err error
	select {
	case <-ctx.Done():
		s.drain(background)
	case err = <-failed:
	}
	cancel()
	s.close()
	running.Wait()
	return err
}

// drain is Run's way from serving to having served.
func (s *Server) drain(ctx context.Context) {
	s.log.Info("draining", "delay", s.opts.Drain.Delay.String(), "timeout", s.opts.Drain.Timeout.String())
	sockets := s.takeSockets()
	sockets.Finish()
	time.Sleep(s.opts.Drain.Delay)
	ctx, cancel := context.WithTimeout(ctx, s.opts.Drain.Timeout)
	defer cancel()
	sockets.Drain(ctx)
}

// takeSockets makes the caller the one who drains: from here on no swap and no
// Addr looks at the sockets.
func (s *Server) takeSockets() *listener.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready.draining.Store(true)
	return s.sockets
}

func (s *Server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.takeSockets().Drain(ctx)
	s.forward.Wait()
	s.admin.close(ctx)
	s.owners.Guard.Close()
	s.access.Close()
	s.door.close()
}

// Swap makes t the table that serves. On an error the last one serves on. What
// only listeners lack (an address that is taken, a broken certificate) is no
// error: the rest of t serves, and Applied tells.
func (s *Server) Swap(t *table.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.now()
	err := s.swap(t)
	if s.applied.Err = err; err != nil {
		s.metrics.Table.Failed.Add(1)
		return fmt.Errorf("proxy: %w", err)
	}
	now := s.now()
	s.applied.Generation++
	s.applied.Time = now
	s.metrics.Table.Generation.Store(s.applied.Generation)
	s.metrics.Table.Applied.Store(now.UnixNano())
	s.metrics.Table.Swap.Observe(now.Sub(start))
	return nil
}

// swap builds everything from t, then stores it, then lets the new sockets
// accept: none of them ever serves an older table.
func (s *Server) swap(t *table.Table) error {
	if s.ready.draining.Load() {
		return errors.New("the proxy is shutting down")
	}
	s.owners.Guard.SetKeySets(t.KeySets)
	r, err := router.Build(t, s.state.Load().router, s.owners)
	if err != nil {
		return err
	}
	s.bind(t, r)
	s.retain(t)
	return nil
}

// bind has the sockets serve t by r, which was built from it. Those that could not be
// bound before are tried again.
func (s *Server) bind(t *table.Table, r *router.Router) {
	plan := s.sockets.Prepare(t.Listeners)
	s.state.Store(&state{table: t, router: r, ports: plan.Ports})
	plan.Commit()
	s.tellFailed(t, plan.Failed)
	s.metrics.Certificates(plan.Valid)
	s.ready.took(time.Now(), len(plan.Ports), plan.Failed)
	s.metrics.Table.Rejected.Store(int64(len(t.Rejected) + len(plan.Failed)))
}

// retain keeps what outlives tables for all that is in t, whether a request can come to
// it or not, and drops the rest.
func (s *Server) retain(t *table.Table) {
	ids := make([]string, len(t.Backends))
	for i, b := range t.Backends {
		s.metrics.Backend(b.ID)
		ids[i] = b.ID
	}
	s.owners.Upstreams.Retain(ids)
	s.metrics.Retain(t, s.GiveWay)
	s.owners.Guard.Retain(t)
}

// retryEvery is how often listeners that could not bind are tried again.
const retryEvery = 5 * time.Second

// retry tries again what could not be bound, until ctx ends.
func (s *Server) retry(ctx context.Context) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.rebind()
	}
}

// rebind tries once more what could not be bound. The table stays what it is: to build a
// large one takes long.
func (s *Server) rebind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.applied.Listeners) > 0 && !s.ready.draining.Load() {
		now := s.state.Load()
		s.bind(now.table, now.router)
	}
}

// relieve ends connections that nobody waits for, where there is no memory. It waits for none
// that has the sockets: a swap takes its time, and memory is looked at meanwhile.
func (s *Server) relieve() {
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.ready.draining.Load() {
			s.sockets.Shed()
		}
	}()
}

// SetEndpoints replaces the addresses of a backend.
func (s *Server) SetEndpoints(backend string, endpoints []table.Endpoint) {
	s.owners.Upstreams.SetEndpoints(backend, endpoints)
}

// SetSessionKeys replaces what keeps sessions (GEP-1619): tokens are sealed with
// the first key and opened with any. Replicas that are given the same keys know
// each other's sessions; without any, each has its own, until it ends.
func (s *Server) SetSessionKeys(keys ...string) error { return s.owners.Sessions.Set(keys...) }

// SetSigningKeys replaces the keys that tokens for backends are signed with: the
// first signs, all are published. Until it is called the server has one of its own.
func (s *Server) SetSigningKeys(keys ...string) error { return s.owners.Guard.SetSigningKeys(keys...) }

// SetTicketKeys replaces the keys of TLS session tickets: tickets are sealed with
// the first and opened with any. Replicas that are given the same keys resume each
// other's sessions; without any, each has its own, which change every day.
func (s *Server) SetTicketKeys(keys ...string) error { return s.sockets.SetTicketKeys(keys...) }

// SetResetKey replaces the key by which clients of HTTP/3 are told that a process
// before this one, with the same key, was killed. No two that run may have the same.
func (s *Server) SetResetKey(key [listener.KeyLen]byte) { s.sockets.SetResetKey(key) }

// GiveWay lets requests go first. Whoever computes for long in this process calls it every
// few microseconds of work; it returns at once but for once in 50 us.
func (s *Server) GiveWay() { s.door.turns.Step() }

// Leading notes whether this replica is the one that writes to its cluster.
func (s *Server) Leading(is bool) { s.metrics.Leader.Set(true, is) }

// Compiled notes how long it took to make a table of changed objects.
func (s *Server) Compiled(d time.Duration) { s.metrics.Table.Compile.Observe(d) }

// Applied returns what became of the tables so far.
func (s *Server) Applied() Applied {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// Ready returns nil once a table is served at its ports, until the Server drains.
func (s *Server) Ready() error {
	switch {
	case s.ready.draining.Load():
		return errors.New("draining")
	case s.metrics.Table.Generation.Load() == 0:
		return errors.New("no table yet")
	}
	return s.ready.missing()
}

// Addr returns the address that a listener of the table is bound to; nil when it
// is not, or the Server drains.
func (s *Server) Addr(listenerID string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready.draining.Load() {
		return nil
	}
	for _, l := range s.state.Load().table.Listeners {
		if l.ID == listenerID {
			return s.sockets.Addr(l)
		}
	}
	return nil
}

// AdminAddr returns the address of the admin server.
func (s *Server) AdminAddr() net.Addr { return s.admin.ln.Addr() }
