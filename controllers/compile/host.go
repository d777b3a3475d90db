package compile

import (
	"cmp"
	"slices"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// hostKey names a Host across builds.
type hostKey struct {
	listener graph.ListenerKey
	name     string
}

// host is a Host with what it was made of.
type host struct {
	members []*member // by the place of their routes; one for each
	table   *table.Host
}

// hosts are those of the last build.
type hosts struct {
	byName map[hostKey]*host
	lists  map[graph.ListenerKey][]*table.Host // those with rules, as compareHostnames has them; tables share them
}

// place is a host that is to stand in a list, or, if it is nil, no longer.
type place struct {
	name string
	host *table.Host
}

// compileHosts brings the hosts up to date with the routes: those that no changed route
// is or was attached to are not looked at.
func (c *Compiler) compileHosts(changed changes) {
	touched := map[hostKey][]*member{} // what is new in each
	visit := func(routes []*compiledRoute, do func(hostKey, *member)) {
		for _, r := range routes {
			c.GiveWay()
			for _, m := range r.members {
				for _, name := range m.at.Hostnames {
					do(hostKey{m.at.Listener, name}, m)
				}
			}
		}
	}
	visit(changed.gone, func(k hostKey, _ *member) { touched[k] = nil })
	visit(changed.fresh, func(k hostKey, m *member) {
		if at := touched[k]; len(at) == 0 || at[len(at)-1].route != m.route { // two parentRefs may lead to one listener
			touched[k] = append(at, m)
		}
	})
	places := map[graph.ListenerKey][]place{}
	for k, ms := range touched {
		c.GiveWay()
		places[k.listener] = append(places[k.listener], place{k.name, c.compileHost(k, ms)})
	}
	for at, list := range places {
		c.hosts.lists[at] = placed(c.hosts.lists[at], list)
		if len(c.hosts.lists[at]) == 0 {
			delete(c.hosts.lists, at)
		}
	}
}

// compileHost makes a host of the members it has left and those it gets; nil if that
// leaves no rules.
func (c *Compiler) compileHost(k hostKey, added []*member) *table.Host {
	var members []*member
	if old := c.hosts.byName[k]; old != nil {
		for _, m := range old.members {
			if m.of.build == c.routes.build {
				members = append(members, m)
			}
		}
	}
	members = append(members, added...)
	if len(members) == 0 {
		delete(c.hosts.byName, k)
		return nil
	}
	slices.SortStableFunc(members, func(a, b *member) int { return cmp.Compare(a.of.at, b.of.at) })
	var ranked []ranked
	for _, m := range members {
		ranked = append(ranked, m.rules...)
	}
	slices.SortFunc(ranked, comparePrecedence)
	h := &table.Host{Name: k.name, Rules: make([]*table.Rule, 0, len(ranked))}
	for _, r := range ranked {
		h.Rules = append(h.Rules, r.rule)
	}
	c.hosts.byName[k] = &host{members: members, table: h}
	if len(h.Rules) == 0 {
		return nil
	}
	return h
}

// placed is a list of its own with the hosts of the one before and these.
func placed(before []*table.Host, these []place) []*table.Host {
	slices.SortFunc(these, func(a, b place) int { return compareHostnames(a.name, b.name) })
	out := make([]*table.Host, 0, len(before)+len(these))
	for _, p := range these {
		i, had := slices.BinarySearchFunc(before, p.name, func(h *table.Host, name string) int { return compareHostnames(h.Name, name) })
		out = append(out, before[:i]...)
		if before = before[i:]; had {
			before = before[1:]
		}
		if p.host != nil {
			out = append(out, p.host)
		}
	}
	return append(out, before...)
}
