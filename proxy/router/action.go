package router

import (
	"errors"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/filter"
	"github.com/gatehouse-dev/gatehouse/proxy/filter/cors"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/session"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
	"github.com/gatehouse-dev/gatehouse/proxy/validate"
)

// Action is a table.Action ready to run. Policies are nil where the rule has none.
type Action struct {
	Table            *table.Action // its Reply is set too when the action had to be closed
	Auth             *guard.Policy
	ShadowAuth       *guard.Policy
	Validation       *validate.Policy
	ShadowValidation *validate.Policy
	CORS             *cors.Filter // nil where other origins have no say; its response side is among Filters too
	Filters          filter.Chain
	Mirrors          []Mirror
	Backends         []Backend
	Sessions         []*session.Session // distinct, of all Backends
	Metrics          *telemetry.Route   // never nil

	asked   [][32]byte // what the services that filters ask are to do; see asks
	total   uint64     // sum of the backends' weights
	problem error      // what of it could not be built
}

// Backend is one of an action's. Exactly one of Upstream and Reply is set.
type Backend struct {
	Destination
	Weight  uint32
	Metrics *telemetry.Backend // where Upstream is set
	Filters filter.Chain
	Mirrors []Mirror // beside the action's
	Reply   *table.Reply
}

// Destination is where a request goes, and what its rule says about it.
type Destination struct {
	Upstream  *upstream.Backend
	Timeouts  table.Timeouts
	Retry     *table.Retry     // nil: only what cannot have reached the backend is sent again
	Responses [2]*filter.Chain // whose response side runs, in this order; nil for none
	GRPC      bool             // the backend speaks HTTP/2, whatever its own protocol is
	Session   *session.Session // nil: any endpoint will do
	Key       uint64           // of the backend in the session's tokens
}

// Pick returns a backend, each as often as its weight says when random is
// spread evenly over all values; nil when nothing has weight.
func (a *Action) Pick(random uint32) *Backend {
	at := uint64(random) * a.total >> 32
	for i := range a.Backends {
		w := uint64(a.Backends[i].Weight)
		if at < w {
			return &a.Backends[i]
		}
		at -= w
	}
	return nil
}

// newReply makes an action of our own that answers everyone.
func newReply(status int, code, detail string) *Action {
	return &Action{Table: &table.Action{Reply: &table.Reply{Status: status, Code: code, Detail: detail}}, Metrics: &telemetry.Route{}}
}

// buildAction makes an action, or takes it from the router before. What cannot
// be built closes the action: it must not serve with a filter or policy missing.
func (b *builder) buildAction(t *table.Action) *Action {
	if a := b.actions[t]; a != nil {
		return a
	}
	a := b.reuse.action(t)
	if a == nil {
		a = b.newAction(t)
	}
	b.actions[t] = a
	return a
}

func (b *builder) newAction(t *table.Action) *Action {
	a := &Action{Table: t, Metrics: b.owners.Metrics.Route(t)}
	var watched [2]error // a policy that is only watched never denies, broken or not
	a.ShadowAuth, watched[0] = b.buildAuth(t.ShadowAuth)
	a.ShadowValidation, watched[1] = b.buildValidation(t.ShadowValidation)
	a.problem = errors.Join(watched[:]...)
	if err := b.fill(a, t); err != nil {
		closed := *t
		closed.Reply = &table.Reply{Status: 500, Code: "rule_unusable", Detail: "the rule for this request cannot be used"}
		return &Action{Table: &closed, Metrics: a.Metrics, problem: errors.Join(err, a.problem)}
	}
	return a
}

// fill builds what a cannot do without.
func (b *builder) fill(a *Action, t *table.Action) error {
	var errs [6]error
	a.Auth, errs[0] = b.buildAuth(t.Auth)
	a.Validation, errs[1] = b.buildValidation(t.Validation)
	a.Filters, a.CORS, errs[2] = b.buildChain(t.Filters)
	a.Backends, errs[3] = b.buildBackends(t.Backends)
	a.Mirrors, errs[4] = b.buildMirrors(t.Filters)
	errs[5] = b.buildSessions(a, t)
	a.asks(t.Filters)
	for i := range a.Backends {
		a.total += uint64(a.Backends[i].Weight)
		a.Backends[i].direct(a)
		a.asks(t.Backends[i].Filters)
	}
	return errors.Join(errs[:]...)
}

// direct fills in what the destination has of its action.
func (b *Backend) direct(a *Action) {
	b.Timeouts, b.Retry, b.GRPC = a.Table.Timeouts, a.Table.Retry, a.Table.GRPC
	for i, c := range []*filter.Chain{&b.Filters, &a.Filters} {
		if c.Responds() {
			b.Responses[i] = c
		}
	}
}

func (b *builder) buildAuth(t *table.Auth) (*guard.Policy, error) {
	if t == nil {
		return nil, nil
	}
	return b.owners.Guard.Build(t)
}

func (b *builder) buildValidation(t *table.Validation) (*validate.Policy, error) {
	if t == nil {
		return nil, nil
	}
	return validate.Build(t, b.owners.Env)
}

func (b *builder) buildBackends(from []table.WeightedBackend) ([]Backend, error) {
	var out []Backend
	for i := range from {
		t := &from[i]
		chain, _, err := b.buildChain(t.Filters)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", t.Backend, err)
		}
		mirrors, err := b.buildMirrors(t.Filters)
		if err != nil {
			return nil, fmt.Errorf("backend %s: %w", t.Backend, err)
		}
		w := Backend{Weight: t.Weight, Filters: chain, Mirrors: mirrors, Reply: t.Reply}
		if t.Reply == nil {
			w.Upstream, w.Metrics = b.owners.Upstreams.Backend(t.Backend, ""), b.owners.Metrics.Backend(t.Backend)
		}
		out = append(out, w)
	}
	return out, nil
}
