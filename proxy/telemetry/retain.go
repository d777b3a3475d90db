package telemetry

import "github.com/gatehouse-dev/gatehouse/proxy/table"

// names is how many use each name.
type names map[string]int

// count adds what one host uses, or takes it away; it returns the names that no host uses any more.
func (n names) count(of names, by int) (gone []string) {
	for name := range of {
		if n[name] += by; n[name] == 0 {
			delete(n, name)
			gone = append(gone, name)
		}
	}
	return gone
}

// census is what the hosts of the last table use. It is kept from one table to the
// next, so that only the hosts that differ are looked at.
type census struct {
	tables                     uint64                 // counts them
	hosts                      map[*table.Host]uint64 // the table that had it last
	routes, policies, services names                  // by how many hosts
	gone                       []string               // routes that the table before had
}

// take counts the hosts of t.
func (c *census) take(t *table.Table, giveWay func()) {
	if c.hosts == nil {
		c.hosts = map[*table.Host]uint64{}
		c.routes, c.policies, c.services = names{}, names{}, names{}
	}
	c.tables++
	c.gone = nil
	for _, l := range t.Listeners {
		for _, h := range l.Hosts {
			giveWay()
			if _, known := c.hosts[h]; !known {
				c.count(h, 1)
			}
			c.hosts[h] = c.tables
		}
	}
	for h, last := range c.hosts {
		if last != c.tables {
			giveWay()
			c.count(h, -1)
			delete(c.hosts, h)
		}
	}
}

func (c *census) count(h *table.Host, by int) {
	routes, policies, services := names{}, names{}, names{}
	seen := map[*table.Action]bool{}
	for _, r := range h.Rules {
		if !seen[r.Action] {
			seen[r.Action] = true
			routes[routeKey(r.Action)] = 1
			policies.add(r.Action)
			services.ask(r.Action)
		}
	}
	c.gone = append(c.gone, c.routes.count(routes, by)...)
	c.policies.count(policies, by)
	c.services.count(services, by)
}

// Retain drops the series of everything that is not in t. It calls giveWay every few
// microseconds of work. It is called by one goroutine at a time, after the counters of t's
// parts have been asked for.
func (m *Metrics) Retain(t *table.Table, giveWay func()) {
	c := &m.census
	c.take(t, giveWay)
	listeners, backends, streams := names{}, make(names, len(t.Backends)), names{}
	for _, l := range t.Listeners {
		listeners[l.ID] = 1
		for _, st := range l.Streams {
			streams[st.Route] = 1
		}
	}
	for _, b := range t.Backends {
		giveWay()
		backends[b.ID] = 1
	}
	for _, route := range c.gone {
		m.routes.drop(route)
	}
	m.routes.retain(c.routes, giveWay)
	m.listeners.retain(listeners, giveWay)
	m.backends.retain(backends, giveWay)
	m.streams.retain(streams, giveWay)
	m.Denials.retain(c.policies)
	m.ShadowDenials.retain(c.policies)
	m.Refusals.retain(c.policies)
	m.Mirrored.retain(backends)
	m.Asked.retain(c.services)
	m.Introspected.retain(c.services)
	m.Granted.retain(c.services)
	m.Fetched.retain(c.services)
}

// add adds the policies of an action.
func (n names) add(a *table.Action) {
	for _, p := range []*table.Auth{a.Auth, a.ShadowAuth} {
		if p != nil {
			for _, source := range p.Sources {
				n[source.Policy] = 1
			}
		}
	}
	for _, p := range []*table.Validation{a.Validation, a.ShadowValidation} {
		if p != nil {
			for _, source := range p.Sources {
				n[source.Policy] = 1
			}
		}
	}
}

// ask adds the services that are asked about an action's requests.
func (n names) ask(a *table.Action) {
	for _, p := range []*table.Auth{a.Auth, a.ShadowAuth} {
		if p == nil {
			continue
		}
		for i := range p.Methods {
			if m := p.Methods[i].Introspection; m != nil {
				n[m.Service()] = 1
			}
		}
		for i := range p.Rules {
			if e := p.Rules[i].External; e != nil {
				n[e.Service()] = 1
			}
		}
		for i := range p.Metadata {
			n[p.Metadata[i].Service()] = 1
		}
		for i := range p.Credentials {
			if g := p.Credentials[i].Grant; g != nil {
				n[g.Service()] = 1
			}
		}
	}
	filters := a.Filters
	for i := range a.Backends {
		filters = append(filters[:len(filters):len(filters)], a.Backends[i].Filters...)
	}
	for i := range filters {
		if e := filters[i].ExternalAuth; e != nil {
			n[e.Service()] = 1
		}
	}
}
