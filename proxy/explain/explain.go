// Package explain tells what would become of a request that nobody has sent:
// which listener, route and rule take it, what each policy makes of it, and what
// the caller would be answered or where it would go.
//
// cmd calls Offline with a table compiled from manifests; the admin server calls
// Run with the router that serves. It walks the same router and policies as
// requests do, and sends nothing to a backend.
package explain

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/decision"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Query is the request that is asked about.
type Query struct {
	Method  string         `json:"method"`
	URL     string         `json:"url"`               // absolute, http or https; its port is the listener's
	Header  []string       `json:"header,omitempty"`  // "Name: value"
	Content string         `json:"content,omitempty"` //
	Client  string         `json:"client,omitempty"`  // address of the caller; 127.0.0.1 when empty
	Claims  map[string]any `json:"claims,omitempty"`  // of a token that counts as signed; nil: none is assumed
	Gateway string         `json:"gateway,omitempty"` // namespace/name; empty: every one that listens on the port

	ClientCert string `json:"clientCert,omitempty"` // PEM: what the caller shows in the TLS handshake, its own certificate first
}

// Explanation is what becomes of the request at one Gateway.
type Explanation struct {
	decision.Record
	Gateway string   `json:"gateway"`           // namespace/name
	Detail  string   `json:"detail,omitempty"`  // what is wrong with the request itself
	Apart   string   `json:"apart,omitempty"`   // why no connection comes about over which it could be sent; there is no answer then
	Unseen  string   `json:"unseen,omitempty"`  // why the gateway does not see the client certificate of the question
	Match   string   `json:"match,omitempty"`   // the rule, as the table's text has it
	Forward bool     `json:"forward"`           // it goes on to a backend; else Record has the answer
	Headers []string `json:"headers,omitempty"` // that policies set for the backend, "name: value"; no credential's value
	Near    []string `json:"near,omitempty"`    // rules of the host, when none takes the request
}

// maxNear is how many rules are listed when none takes the request.
const maxNear = 20

// Offline explains q by a table that does not serve. It opens no connection, for
// no backend has an endpoint here: what would have to be asked for or fetched is
// unavailable, and tokens cannot be verified; assume claims instead.
func Offline(t *table.Table, q Query) ([]Explanation, error) {
	upstreams := upstream.New(upstream.Config{})
	b, err := guard.New(guard.Config{Transport: offline{}, Upstreams: upstreams})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	b.SetKeySets(t.KeySets)
	owners := router.Owners{Upstreams: upstreams, Guard: b, Env: b.Expressions(), Metrics: telemetry.New("", telemetry.Sources{}), GiveWay: func() {}}
	r, err := router.Build(t, nil, owners)
	if err != nil {
		return nil, err
	}
	return Run(r, t, q)
}

// Run explains q by r, which was built from t: at each Gateway that listens on
// the URL's port, in the table's order. An error says what is wrong with q, or
// that no Gateway listens there.
func Run(r *router.Router, t *table.Table, q Query) ([]Explanation, error) {
	u, port, err := target(q.URL)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	var ports, others []string
	seen := map[string]bool{}
	for _, l := range t.Listeners {
		if l.Protocol != table.HTTP && l.Protocol != table.HTTPS {
			continue
		}
		if q.Gateway != "" && q.Gateway != l.Gateway() {
			if !slices.Contains(others, l.Gateway()) {
				others = append(others, l.Gateway())
			}
			continue
		}
		if p := fmt.Sprintf("%s port %d", l.Gateway(), l.Port); !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
		at := fmt.Sprintf("%s %s %d", l.Gateway(), l.Address, l.BindPort())
		if l.Port != port || (l.Protocol == table.HTTPS) != (u.Scheme == "https") || seen[at] {
			continue
		}
		seen[at] = true
		e, err := q.explain(u, l, r)
		if err != nil {
			return nil, err
		}
		out = append(out, *e)
	}
	switch {
	case len(out) > 0:
	case len(ports) == 0 && len(others) > 0:
		return nil, fmt.Errorf("no Gateway %s listens for HTTP; there is: %s", q.Gateway, strings.Join(others, ", "))
	case len(ports) == 0:
		return nil, errors.New("no Gateway listens at all; look at the conditions of GatewayClass and Gateway, which gatehouse table shows too: " +
			"is the class's controllerName this program's?")
	default:
		return nil, fmt.Errorf("no Gateway listens for %s on port %d; there is: %s", u.Scheme, port, strings.Join(ports, ", "))
	}
	return out, nil
}

// target takes an absolute URL apart.
func target(s string) (*url.URL, uint16, error) {
	u, err := url.Parse(s)
	if about := (*url.Error)(nil); errors.As(err, &about) {
		return nil, 0, fmt.Errorf("%q is no URL: %w", s, about.Err)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, 0, fmt.Errorf("%q is no absolute URL of http or https; write one as https://shop.example.com/orders", s)
	}
	switch p := u.Port(); {
	case p != "":
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return nil, 0, fmt.Errorf("%q has no usable port", s)
		}
		return u, uint16(n), nil
	case u.Scheme == "https":
		return u, 443, nil
	}
	return u, 80, nil
}

// explain tells what becomes of q at l.
func (q *Query) explain(u *url.URL, l *table.Listener, r *router.Router) (*Explanation, error) {
	x, err := q.exchange(u, l)
	e := &Explanation{Gateway: l.Gateway()}
	switch refused := (*exchange.Error)(nil); {
	case err == nil:
		e.run(r, x, q.Claims)
	case errors.As(err, &refused):
		x.Fail(refused)
		e.Detail = refused.Detail
	default:
		return nil, err
	}
	e.Record = *decision.Of(x)
	e.ID, e.Time = "", x.Start
	return e, nil
}

// run walks x through r as the proxy would.
func (e *Explanation) run(r *router.Router, x *exchange.Exchange, claims map[string]any) {
	if x.Conn.TLS && !e.connect(r, x) {
		return
	}
	a, at := r.Match(x)
	var l *table.Listener
	if at != nil {
		l = at.Table
		x.Trace.Listener = l.ID
	}
	switch {
	case a == nil:
		x.ReplyUnrouted()
		e.Near = near(l, x.Request.Host)
	case a.Table.Reply != nil:
		x.Trace.Route, x.Trace.Rule = a.Table.Route, a.Table.Rule
		x.Reply(a.Table.Reply.Status, a.Table.Reply.Code, a.Table.Reply.Detail)
	default:
		x.Trace.Route, x.Trace.Rule = a.Table.Route, a.Table.Rule
		e.Match = matched(l, a.Table)
		e.Forward = e.judge(x, a, claims)
	}
}

// connect reports whether a TLS handshake for x succeeds. Of a certificate that nobody
// asks for, x knows nothing afterwards.
func (e *Explanation) connect(r *router.Router, x *exchange.Exchange) bool {
	at := r.Greeter(x.Conn)
	if at == nil {
		e.Apart = "no listener has the server name " + x.Conn.SNI
		return false
	}
	x.Trace.Listener = at.Table.ID
	const asks = " (spec.tls.frontend of the Gateway)"
	switch c := at.Table.Clients; {
	case c == nil && x.Conn.Client != nil:
		x.Conn.Client = nil
		e.Unseen = "listener " + at.Table.ID + " asks for none" + asks + ", so that it sees none"
	case c == nil || c.Insecure:
	case x.Conn.Client == nil:
		e.Apart = "listener " + at.Table.ID + " takes nobody without a client certificate" + asks + "; give one by --client-cert"
	default:
		if err := at.Clients.Verify(x.Conn.Client.Chain); err != nil {
			e.Apart = "listener " + at.Table.ID + " does not believe the client certificate" + asks + ": " + err.Error()
		}
	}
	return e.Apart == ""
}

// judge asks the policies of a, in the order in which requests meet them.
func (e *Explanation) judge(x *exchange.Exchange, a *router.Action, claims map[string]any) bool {
	if a.CORS != nil && !a.CORS.Admit(x) {
		return false
	}
	if a.ShadowAuth != nil {
		steps, _ := a.ShadowAuth.Assuming(claims).Explain(x)
		for i := range steps {
			steps[i].Shadow = true
		}
		x.Trace.Steps = append(x.Trace.Steps, steps...)
	}
	if a.Auth != nil {
		sent := slices.Clone(x.Request.Header)
		p := a.Auth.Assuming(claims)
		steps, allowed := p.Explain(x)
		seen := append(x.Trace.Steps, steps...)
		allowed = p.Check(x) && allowed
		x.Trace.Steps = seen
		if !allowed {
			return false
		}
		e.Headers = told(a.Table.Auth, sent, x.Request.Header)
	}
	if a.Validation != nil {
		step, _ := a.Validation.Explain(x)
		seen := append(x.Trace.Steps, step)
		allowed := a.Validation.Check(x)
		x.Trace.Steps = seen
		return allowed
	}
	return true
}

// told lists the header fields that the backend gets from a policy. Of those that
// response.headers computes the value is shown; the others are credentials, or come
// from a service that decided, and may be as secret.
func told(a *table.Auth, sent, now exchange.Header) (out []string) {
	for _, f := range now {
		named := func(name string) bool { return strings.EqualFold(name, f.Name) }
		switch {
		case f.Name == "": // removed, as the caller's credential is
		case slices.ContainsFunc(a.Credentials, func(c table.BackendCredential) bool { return named(c.Into.Name) }):
			out = append(out, f.Name+": "+unshown)
		case slices.ContainsFunc(a.Headers, func(h table.HeaderExpr) bool { return named(h.Name) }):
			out = append(out, f.Name+": "+f.Value)
		case !slices.Contains(sent, f):
			out = append(out, f.Name+": "+unshown)
		}
	}
	return out
}

// unshown stands for a value that is nobody's to read here.
const unshown = "(not shown)"

// matched returns the text of the first rule of l that leads to a.
func matched(l *table.Listener, a *table.Action) string {
	if l == nil {
		return ""
	}
	for _, h := range l.Hosts {
		for _, r := range h.Rules {
			if r.Action == a {
				return "host " + h.Name + " " + r.String()
			}
		}
	}
	return ""
}

// near lists the rules that host could have met on l.
func near(l *table.Listener, host string) (out []string) {
	if l == nil {
		return nil
	}
	for _, h := range l.Hosts {
		if h.Name != "*" && h.Name != host && !(strings.HasPrefix(h.Name, "*.") && strings.HasSuffix(host, h.Name[1:])) {
			continue
		}
		for _, r := range h.Rules {
			if len(out) == maxNear {
				return append(out, "…")
			}
			out = append(out, "host "+h.Name+" "+r.Match.String())
		}
	}
	return out
}
