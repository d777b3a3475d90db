package proxy

import (
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/filter"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Handle answers one request. It implements exchange.Handler.
func (s *Server) Handle(x *exchange.Exchange) {
	st := s.state.Load()
	x.Request.ClientIP = s.trusted.Client(x.Conn.Peer.Addr(), x.Request.Header)
	action, l := st.router.Match(x)
	if l != nil {
		x.Trace.Listener = l.ID
	}
	if action == nil {
		x.Reply(404, "no_route", "no route takes this request")
	} else {
		x.Trace.Route, x.Trace.Rule = action.Table.Route, action.Table.Rule
	}
	if action == nil || !s.admit(x, action) || !s.send(x, action) {
		_ = x.WriteReply() // the client is gone: the protocol sees it too
	}
	s.observe(st, x, action, l)
}

// admit reports whether x may go on to a backend; if not, its answer is set up.
// Policies in Shadow mode look first, at the request as it came.
func (s *Server) admit(x *exchange.Exchange, a *router.Action) bool {
	if a.Table.Reply != nil {
		reply(x, a.Table.Reply)
		return false
	}
	if a.ShadowAuth != nil {
		a.ShadowAuth.Shadow(x)
		s.shadowed(x)
	}
	if a.Auth != nil && !a.Auth.Check(x) {
		s.metrics.Denials.Add(x.Trace.Policy, x.Trace.Denied)
		return false
	}
	if a.ShadowValidation != nil {
		seen := x.Trace.Shadow
		x.Trace.Shadow = ""
		a.ShadowValidation.Shadow(x)
		if s.shadowed(x); x.Trace.Shadow == "" {
			x.Trace.Shadow = seen
		}
	}
	if a.Validation != nil && !a.Validation.Check(x) {
		s.metrics.Refusals.Add(x.Trace.Policy, x.Trace.Denied)
		return false
	}
	return true
}

func (s *Server) shadowed(x *exchange.Exchange) {
	if x.Trace.Shadow != "" {
		s.metrics.ShadowDenials.Add(x.Trace.Policy, x.Trace.Shadow)
	}
}

// send forwards x and reports true, or sets up an answer and reports false.
func (s *Server) send(x *exchange.Exchange, a *router.Action) bool {
	if !a.Filters.Request(x) {
		return false
	}
	b := a.Pick(rand.Uint32())
	switch {
	case b == nil:
		x.Reply(500, "no_backend", "the route for this request has no backend")
		return false
	case b.Reply != nil:
		reply(x, b.Reply)
		return false
	case !b.Filters.Request(x):
		return false
	}
	d := destinations.Get().(*forward.Destination)
	*d = forward.Destination{Backend: b.Upstream, Timeouts: a.Table.Timeouts, Responses: [2]*filter.Chain{&b.Filters, &a.Filters}}
	s.forward.Send(x, d)
	destinations.Put(d)
	return true
}

// destinations saves an allocation: the forwarder holds its pointer until it returns.
var destinations = sync.Pool{New: func() any { return new(forward.Destination) }}

// reply sets up an answer that the table has ready.
func reply(x *exchange.Exchange, r *table.Reply) {
	if r.Body == "" {
		x.Reply(r.Status, r.Code, r.Detail)
	} else {
		contentType := r.ContentType
		if contentType == "" {
			contentType = "text/plain; charset=utf-8"
		}
		x.ReplyBody(r.Status, r.Code, contentType, mem.Bytes(r.Body))
	}
	if r.RetryAfter > 0 {
		x.RetryAfter(r.RetryAfter)
	}
}

// observe counts and logs x, which is finished. action and l are nil when
// nothing took it.
func (s *Server) observe(st *state, x *exchange.Exchange, action *router.Action, l *table.Listener) {
	duration := s.opts.Now().Sub(x.Start)
	status, code, retries := x.Response.Status, x.Response.Code, x.Trace.Retries
	if action != nil {
		action.Metrics.Observe(status, duration, retries)
	}
	if l != nil {
		st.listeners[l].Classes.Add(status)
	}
	if code != "" {
		s.metrics.Answers.Add("", code)
	}
	if b := st.backends[x.Trace.Backend]; b != nil && x.Trace.Endpoint.IsValid() {
		b.Requests.Add(uint64(1 + retries))
		b.Errors.Add(uint64(retries))
		if strings.HasPrefix(code, "backend_") {
			b.Errors.Add(1)
		}
	}
	s.access.Record(x, duration)
}

// refused counts and logs a request that a protocol refused by itself.
func (s *Server) refused(x *exchange.Exchange) {
	s.metrics.BadRequests.Add("", x.Response.Code)
	s.access.Record(x, s.opts.Now().Sub(x.Start))
}
