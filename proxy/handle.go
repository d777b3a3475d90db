package proxy

import (
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// Handle answers one request. It implements exchange.Handler.
func (s *Server) Handle(x *exchange.Exchange) {
	x.Request.ClientIP = s.trusted.Client(x.Conn.Peer.Addr(), x.Request.Header)
	action, l := s.state.Load().router.Match(x)
	if l != nil {
		x.Trace.Listener = l.Table.ID
	}
	if action != nil {
		x.Trace.Route, x.Trace.Rule = action.Table.Route, action.Table.Rule
	}
	if x.Conn.AltSvc != "" {
		x.Granted = append(x.Granted, x.Conn)
	}
	switch {
	case action == nil:
		x.ReplyUnrouted()
		_ = x.WriteReply() // if the client is gone, the protocol sees it too
	case action.Table.Reply != nil:
		forward.Answer(x, action.Table.Reply)
	case action.CORS != nil && !share(x, action):
		_ = x.WriteReply()
	default:
		s.serve(x, action)
	}
	s.observe(x, action, l)
}

// serve answers what takes time to answer, if there is room for it.
func (s *Server) serve(x *exchange.Exchange, a *router.Action) {
	port, ok := s.door.begin(x)
	if !ok {
		_ = x.WriteReply()
		return
	}
	if s.admit(x, a) {
		if b := s.forward.Forward(x, a); b != nil && x.Trace.Endpoint.IsValid() {
			b.Metrics.Observe(x.Trace.Retries, strings.HasPrefix(x.Response.Code, "backend_"))
		}
	} else {
		_ = x.WriteReply()
	}
	s.door.end(x, port)
}

// share tells answers to x which origin they are for, those of our own too: a
// page may not read a refusal that does not name its origin. It returns false
// when x is a preflight, which carries no credentials and is answered here.
func share(x *exchange.Exchange, a *router.Action) bool {
	x.Marker = a.CORS
	return a.CORS.Admit(x)
}

// admit reports whether x may go on to a backend; if not, its answer is set up.
// Policies in Shadow mode look first, at the request as it came.
func (s *Server) admit(x *exchange.Exchange, a *router.Action) bool {
	if a.ShadowAuth != nil {
		if a.ShadowAuth.Shadow(x); x.Trace.Shadow != "" {
			s.shadowed(x)
			s.sample(x, a)
		}
	}
	if a.Auth != nil && !a.Auth.Check(x) {
		denied(&s.metrics.Denials, x)
		return false
	}
	if a.ShadowValidation != nil {
		seen := x.Trace.Shadow
		x.Trace.Shadow = ""
		if a.ShadowValidation.Shadow(x); x.Trace.Shadow != "" {
			s.shadowed(x)
			s.sample(x, a)
		} else {
			x.Trace.Shadow = seen
		}
	}
	if a.Validation != nil && !a.Validation.Check(x) {
		denied(&s.metrics.Refusals, x)
		return false
	}
	return true
}

// denied counts for the policy that refused x, if it was one: content that fails
// to come is nobody's refusal.
func denied(c *telemetry.Causes, x *exchange.Exchange) {
	if x.Trace.Denied != "" {
		c.Add(x.Trace.Policy, x.Trace.Denied)
	}
}

// shadowed counts for the policy that would have refused x.
func (s *Server) shadowed(x *exchange.Exchange) {
	s.metrics.ShadowDenials.Add(x.Trace.Policy, x.Trace.Shadow)
}

// watched counts what a rule in shadow would have refused of x, and says whether
// it is one of the samples whose judgement is kept.
func (s *Server) watched(x *exchange.Exchange, policy, cause string) bool {
	s.metrics.ShadowDenials.Add(policy, cause)
	if x.Trace.ID != 0 || !s.decisions.Sample(x.Start) {
		return false
	}
	x.Decide()
	return true
}

// sample keeps how a would judge x for some of the requests that it would have
// refused. x is as it came: nothing has been taken from it yet but its content,
// which is left alone.
func (s *Server) sample(x *exchange.Exchange, a *router.Action) {
	if x.Trace.ID != 0 || !s.decisions.Sample(x.Start) {
		return
	}
	x.Decide()
	if a.ShadowAuth == nil {
		return
	}
	steps, _ := a.ShadowAuth.Explain(x)
	for i := range steps {
		steps[i].Shadow = true
	}
	x.Trace.Steps = steps
}

// observe counts and logs x, which is finished. action and l are nil when
// nothing took it.
func (s *Server) observe(x *exchange.Exchange, action *router.Action, l *router.Listener) {
	duration := time.Since(x.Start) // reads one clock; time.Now reads two
	x.Took = duration
	status, code := x.Response.Status, x.Response.Code
	if action != nil {
		action.Metrics.Observe(status, duration, x.Trace.Retries)
	}
	if l != nil {
		l.Metrics.Classes.Add(status)
	}
	if code != "" {
		s.metrics.Answers.Add("", code)
	}
	if x.Trace.ID != 0 {
		s.decisions.Add(x)
	}
	s.access.Record(x, duration)
}

// refused counts and logs a request that a protocol refused by itself.
func (s *Server) refused(x *exchange.Exchange) {
	s.metrics.BadRequests.Add("", x.Response.Code)
	if x.Trace.ID != 0 {
		s.decisions.Add(x)
	}
	s.access.Record(x, time.Since(x.Start))
}
