// Package router finds what happens to a request: it turns a table into an
// index by port, host and path, with what each rule needs ready to run, and
// looks requests up in it.
//
// The proxy calls Build when a table comes, off the request path, and Match on
// every request. It calls proxy/match for the comparisons and the builders of
// filters, guard, validate, upstream and telemetry for what a rule is made of.
//
// A Router does not change once it is built. Parts of a table that are the same
// pointers as in the one before are not built again. Match takes no lock and
// allocates nothing.
package router

import (
	"fmt"
	"net/netip"

	"github.com/gatehouse-dev/gatehouse/proxy/clientcert"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/match"
	"github.com/gatehouse-dev/gatehouse/proxy/session"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Owners hold the state that outlives a router. All are needed.
type Owners struct {
	Upstreams *upstream.Set
	Guard     *guard.Builder // SetKeySets has been called for the table
	Env       *expr.Env
	Metrics   *telemetry.Metrics
	Sessions  *session.Keys
	GiveWay   func() // called every few microseconds of work
}

// Router is the index of one table.
type Router struct {
	ports     lookup[uint16, *group]    // listeners of all addresses
	addresses map[netip.AddrPort]*group // listeners of one address, and of all
	listeners map[*table.Listener]*Listener
	hosts     map[*table.Host]*host
	actions   map[*table.Action]*Action
	keySets   map[string]*table.KeySet

	misdirected *Action
	badPath     *Action
	veiled      *Action
	guarded     bool // some rule may keep requests from its backend
}

// group is the listeners that connections to one address and port can mean.
type group struct{ listeners names[Listener] }

// Listener is a table.Listener ready to run. Those of the same host name on one
// port follow each other; the first with a rule for the request takes it.
type Listener struct {
	Table   *table.Listener
	Metrics *telemetry.Listener
	Clients *clientcert.Authorities // nil: whoever connects may ask

	hosts  names[host]
	logins bool // some host has any
	next   *Listener
}

// Build makes the router of t. Parts that prev, which may be nil, has built
// from the same pointers are taken from it. An error names a rule whose match
// cannot be compiled: the table is then unusable. A rule whose filters or
// policies cannot be built is closed instead; see Problems.
func Build(t *table.Table, prev *Router, o Owners) (*Router, error) {
	reuse := newReuse(t, prev)
	r := &Router{
		addresses:   map[netip.AddrPort]*group{},
		listeners:   make(map[*table.Listener]*Listener, len(t.Listeners)),
		hosts:       make(map[*table.Host]*host, len(reuse.prev.hosts)),
		actions:     make(map[*table.Action]*Action, len(reuse.prev.actions)),
		keySets:     make(map[string]*table.KeySet, len(t.KeySets)),
		misdirected: newReply(421, "misdirected_request", "this connection's server name does not serve the request's host"),
		badPath:     newReply(400, "bad_path", "the path is malformed, or hides where it leads"),
		veiled:      newReply(400, "bad_path", "the path may be read as another one, which is guarded otherwise"),
	}
	for _, k := range t.KeySets {
		r.keySets[k.ID] = k
	}
	for _, b := range t.Backends {
		o.GiveWay()
		o.Upstreams.Backend(b.ID, b.Protocol)
		if b.TLS != nil {
			o.Upstreams.Secure(b.ID, b.TLS)
		}
		o.Upstreams.Limit(b.ID, b.Retries)
	}
	b := builder{Router: r, reuse: reuse, owners: o}
	for _, l := range t.Listeners {
		if !byHost(l) {
			continue
		}
		built, err := b.buildListener(l)
		if err != nil {
			return nil, err
		}
		if err := r.place(built); err != nil {
			return nil, err
		}
	}
	r.spread(t)
	for _, a := range r.actions {
		if r.guarded = a.guarded(); r.guarded {
			break
		}
	}
	return r, nil
}

// byHost says whether a listener shares its port by host name. One of TLS takes no
// request, but the hosts it has are not another's.
func byHost(l *table.Listener) bool { return l.Protocol != table.TCP && l.Protocol != table.UDP }

// builder makes the parts of a router.
type builder struct {
	*Router
	reuse  reuse
	owners Owners
}

func (b *builder) buildListener(t *table.Listener) (*Listener, error) {
	l := &Listener{Table: t, Metrics: b.owners.Metrics.Listener(t)}
	if t.Clients != nil {
		l.Clients = clientcert.New(t.Clients)
	}
	l.hosts.exact.expect(len(t.Hosts))
	for _, th := range t.Hosts {
		b.owners.GiveWay()
		h, err := b.buildHost(th)
		if err != nil {
			return nil, fmt.Errorf("listener %s host %s: %w", t.ID, th.Name, err)
		}
		l.hosts.add(th.Name, h)
		l.logins = l.logins || len(h.logins) > 0
	}
	b.listeners[t] = l
	return l, nil
}

// place puts l where its address and port say.
func (r *Router) place(l *Listener) error {
	if l.Table.Address == "" {
		g := r.ports.get(l.Table.BindPort())
		if g == nil {
			g = &group{}
			r.ports.set(l.Table.BindPort(), g)
		}
		join(g, l)
		return nil
	}
	a, err := netip.ParseAddr(l.Table.Address)
	if err != nil {
		return fmt.Errorf("listener %s: %w", l.Table.ID, err)
	}
	at := netip.AddrPortFrom(a.Unmap(), l.Table.BindPort())
	if r.addresses[at] == nil {
		r.addresses[at] = &group{}
	}
	join(r.addresses[at], l)
	return nil
}

// spread adds the listeners of all addresses to the groups of each address,
// behind those of the address itself.
func (r *Router) spread(t *table.Table) {
	for at, g := range r.addresses {
		for _, tl := range t.Listeners {
			if tl.Address == "" && tl.BindPort() == at.Port() && byHost(tl) {
				again := *r.listeners[tl]
				again.next = nil
				join(g, &again)
			}
		}
	}
}

func join(g *group, l *Listener) {
	first := g.listeners.get(l.Table.Hostname)
	if first == nil {
		g.listeners.add(l.Table.Hostname, l)
		return
	}
	for first.next != nil {
		first = first.next
	}
	first.next = l
}

// Match finds the rule that takes x and the listener it came to, and gives
// x.Request.Path the one form in which paths are compared and forwarded, beside which
// there may be other ones: x.Request.Sent, and those that x.Request.Reread has.
//
// On one port the listener with the most specific host name takes the request;
// inside it hosts are tried from the most specific to any, and the next when no
// rule of one matches. Both are nil when no listener has the host; the action
// alone is nil when no rule matches. A request that no rule may take gets an
// action with a Reply: 400 when its path has no such form, or may be read as one
// that is guarded otherwise, 421 when its host
// belongs to another listener than the server name its TLS connection was made
// for (RFC 9110, section 15.5.20), or when the listener does not believe the
// certificate its client showed: another connection may show a better one.
func (r *Router) Match(x *exchange.Exchange) (*Action, *Listener) {
	g := r.group(x.Conn)
	if g == nil {
		return nil, nil
	}
	l := g.find(x.Request.Host)
	if x.Conn.TLS {
		switch s := g.find(x.Conn.SNI); {
		case s == l:
		case l == nil:
			return nil, s
		case s == nil:
			return r.misdirected, nil
		default:
			return r.misdirected, s
		}
	}
	if l == nil {
		return nil, nil
	}
	path, ok := match.NormalizePath(x.Request.Path, &x.Arena)
	if !ok {
		return r.badPath, l
	}
	x.Request.Sent = ""
	if path != x.Request.Path {
		x.Request.Sent, x.Request.Path = x.Request.Path, path
	}
	unveil(x)
	for at := l; at != nil; at = at.next {
		if at.Clients != nil && !at.Clients.Admits(x.Conn.Client) {
			return r.misdirected, at
		}
		x.Vouched = at.Clients != nil && at.Clients.Vouches(x.Conn.Client)
		if a := at.match(x); a != nil {
			if r.guarded && x.Request.Veiled() && l.hides(x, a) {
				return r.veiled, at
			}
			return a, at
		}
	}
	return nil, l
}

// Greeter returns the listener that the TLS handshake of a connection is with; nil for none.
func (r *Router) Greeter(c *exchange.Conn) *Listener {
	if g := r.group(c); g != nil {
		return g.find(c.SNI)
	}
	return nil
}

func (r *Router) group(c *exchange.Conn) *group {
	port := c.Local.Port()
	if c.Target != 0 {
		port = c.Target
	}
	if len(r.addresses) > 0 {
		if g := r.addresses[netip.AddrPortFrom(c.LocalAddr().Unmap(), port)]; g != nil {
			return g
		}
	}
	return r.ports.get(port)
}

// find returns the listener with the most specific host name that takes host.
func (g *group) find(host string) *Listener {
	l, _ := g.listeners.next(host, atExact)
	return l
}

func (l *Listener) match(x *exchange.Exchange) *Action {
	for at := atExact; at != atEnd; {
		var h *host
		if h, at = l.hosts.next(x.Request.Host, at); h != nil {
			if a := h.match(x); a != nil {
				if l.logins && a.Auth != nil && a.Auth.Answers(x.Request.Path) {
					return l.together(x, a)
				}
				return a
			}
		}
	}
	return nil
}

// Problem is a rule of which something could not be built: it is closed and
// answers 500, unless it was only a policy in shadow mode.
type Problem struct {
	Route, Rule string
	Err         error
}

// Problems lists the rules with a problem, in no order.
func (r *Router) Problems() []Problem {
	var out []Problem
	for _, a := range r.actions {
		if a.problem != nil {
			out = append(out, Problem{a.Table.Route, a.Table.Rule, a.problem})
		}
	}
	return out
}
