package forward

import (
	"math/rand/v2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Forward runs a's filters on x, sends it to one of a's backends and writes the
// answer: the backend's, or one of our own. It returns the backend; nil when x was
// to go to none.
func (f *Forwarder) Forward(x *exchange.Exchange, a *router.Action) *router.Backend {
	if !a.Filters.Request(x) || x.Request.Method != "GET" && !hop(x) {
		x.WriteReply() //nolint:errcheck // the client is gone; the protocol knows
		return nil
	}
	var b *router.Backend
	var pin *upstream.Endpoint
	if len(a.Sessions) > 0 {
		b, pin = resume(x, a)
	}
	if b == nil {
		b = pick(a)
	}
	if b == nil || b.Reply != nil {
		nowhereTo(x, b)
		return nil
	}
	if !b.Filters.Request(x) {
		x.WriteReply() //nolint:errcheck // the client is gone; the protocol knows
		return nil
	}
	if len(a.Mirrors)+len(b.Mirrors) > 0 {
		f.sendMirrored(x, a, b, pin)
	} else {
		f.Send(x, &b.Destination, pin)
	}
	return b
}

// pick returns one of a's backends, by weight; nil when none has any.
func pick(a *router.Action) *router.Backend {
	if len(a.Backends) == 1 && a.Backends[0].Weight > 0 {
		return &a.Backends[0]
	}
	return choose(a)
}

//go:noinline // it is rare: kept out of the plain path
func choose(a *router.Action) *router.Backend { return a.Pick(rand.Uint32()) }

// nowhereTo answers where b is no backend, or none that requests are sent to.
func nowhereTo(x *exchange.Exchange, b *router.Backend) {
	if b == nil {
		reply(x, &exchange.Error{Status: 500, Code: "no_backend", Detail: "the route has no backend that takes requests"})
	} else {
		Answer(x, b.Reply)
	}
}

// Answer writes the answer r, which stands in a table.
func Answer(x *exchange.Exchange, r *table.Reply) {
	if r.Body == "" {
		x.Reply(r.Status, r.Code, r.Detail)
	} else {
		kind := r.ContentType
		if kind == "" {
			kind = "text/plain"
		}
		x.ReplyBody(r.Status, r.Code, kind, mem.Bytes(r.Body))
	}
	if r.RetryAfter > 0 {
		x.RetryAfter(r.RetryAfter)
	}
	x.WriteReply() //nolint:errcheck // the client is gone; the protocol knows
}
