package forward

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/session"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// resume returns the backend that x's session is at, and its endpoint; nil where
// there is none. A session stays at its backend whatever weight that has now
// (GEP-1619, "Traffic Splitting"). One whose endpoint is gone goes on at another of
// the same backend, but for one without weight, which gets nothing new.
func resume(x *exchange.Exchange, a *router.Action) (*router.Backend, *upstream.Endpoint) {
	for _, s := range a.Sessions {
		p, ok := s.Find(x)
		if !ok {
			continue
		}
		b := a.Resume(s, p)
		if b == nil {
			continue
		}
		e := b.Upstream.At(p.Endpoint, x.Start)
		if e != nil || b.Weight > 0 {
			return b, e
		}
	}
	return nil, nil
}

// pick returns the endpoint for the next try: the session's as long as it can be
// reached, for what the caller has there is nowhere else.
func (t *transfer) pick(avoid *upstream.Endpoint) *upstream.Endpoint {
	if t.pin != nil {
		return t.pin
	}
	return t.d.Upstream.Pick(avoid, t.x.Start)
}

// remember tells the caller where its session is, if that is not what it knows.
func (t *transfer) remember() {
	at := t.x.Trace.Endpoint
	if t.home != nil && t.home.Address() == at {
		return
	}
	t.d.Session.Begin(t.x, session.Place{Backend: t.d.Key, Endpoint: at})
}
