package router

import (
	"fmt"
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/match"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// host is the rules of one host, by path. Every list is in the order in which
// its rules are tried; lists of more specific paths come first (match.Compare).
type host struct {
	exact   lookup[string, []rule]
	regex   []rule
	prefix  lookup[string, []rule] // by prefix as match.Prefix has it
	longest int                    // bytes of the longest prefix
	lengths uint64                 // bit n: some prefix has n bytes; bit 63: 63 or more
	actions []*Action              // what its rules lead to

	logins map[string][]*guard.Policy // by the path that methods of theirs answer
}

// rule is one match, its path aside, and where it leads.
type rule struct {
	conditions match.Conditions
	path       *match.Pattern // in host.regex only
	action     *Action
}

// buildHost makes a host, or takes it from the router before.
func (b *builder) buildHost(t *table.Host) (*host, error) {
	if h := b.reuse.host(t); h != nil {
		b.hosts[t] = h
		for i, r := range t.Rules {
			b.actions[r.Action] = h.actions[i]
		}
		return h, nil
	}
	h := &host{actions: make([]*Action, 0, len(t.Rules))}
	for _, r := range t.Rules {
		h.actions = append(h.actions, b.buildAction(r.Action))
	}
	rules := slices.Clone(t.Rules)
	slices.SortStableFunc(rules, func(a, b *table.Rule) int { return match.Compare(&a.Match, &b.Match) })
	for _, r := range rules {
		if err := h.add(&r.Match, b.actions[r.Action]); err != nil {
			return nil, fmt.Errorf("%s rule %s: %w", r.Action.Route, r.Action.Rule, err)
		}
	}
	b.hosts[t] = h
	return h, nil
}

func (h *host) add(m *table.Match, a *Action) error {
	conditions, err := match.NewConditions(m)
	if err != nil {
		return err
	}
	r := rule{conditions: conditions, action: a}
	switch m.Path.Kind {
	case table.PathExact:
		path := match.CanonicalPath(m.Path.Value)
		appendRule(&h.exact, path, r)
		h.login(path, a)
	case table.PathRegex:
		if r.path, err = match.NewPattern(m.Path.Value); err != nil {
			return fmt.Errorf("path: %w", err)
		}
		h.regex = append(h.regex, r)
	case table.PathPrefix:
		p := match.Prefix(m.Path.Value)
		appendRule(&h.prefix, p, r)
		h.longest = max(h.longest, len(p))
		h.lengths |= 1 << min(len(p), 63)
	default:
		return fmt.Errorf("path match kind %d is unknown", m.Path.Kind)
	}
	return nil
}

func appendRule(to *lookup[string, []rule], path string, r rule) {
	to.set(path, append(to.get(path), r))
}

// match returns where the first rule that takes x leads, or nil.
func (h *host) match(x *exchange.Exchange) *Action {
	path := x.Request.Path
	if rules := h.exact.get(path); rules != nil {
		if a := first(rules, x); a != nil {
			return a
		}
	}
	for i := range h.regex {
		if r := &h.regex[i]; r.path.Match(path) && r.conditions.Match(x) {
			return r.action
		}
	}
	return h.below(path, x)
}

// below returns where the first rule with a prefix leads that takes x, or nil.
func (h *host) below(path string, x *exchange.Exchange) *Action {
	if h.prefix.many == nil {
		for i := range h.prefix.list { // the longest first
			if p := &h.prefix.list[i]; match.HasPrefix(path, p.key) {
				if a := first(p.value, x); a != nil {
					return a
				}
			}
		}
		return nil
	}
	// They end where the path does or at one of its slashes.
	for n := min(len(path), h.longest); n >= 0; n-- {
		if n < len(path) && path[n] != '/' || h.lengths>>min(n, 63)&1 == 0 {
			continue
		}
		if a := first(h.prefix.many[path[:n]], x); a != nil {
			return a
		}
	}
	return nil
}

func first(rules []rule, x *exchange.Exchange) *Action {
	for i := range rules {
		if rules[i].conditions.Match(x) {
			return rules[i].action
		}
	}
	return nil
}
