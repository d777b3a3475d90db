package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Effective is what the policies on one path make together.
type Effective struct {
	Stack  Stack
	Items  []Item  // by Name
	Closed *Policy // set: this policy is broken and would have a say; nothing passes
	Lost   []Loss  // by policy, then item
}

// Item is one part in effect and the policy it came from.
type Item struct {
	Name string
	From *Policy
}

// Loss is one part of a policy that is not in effect on the path, whose part or
// spec stands in its place, and by which strategy.
type Loss struct {
	Policy   *Policy
	Item     string
	By       *Policy
	Strategy Strategy
}

// merge combines the policies on a path: from the least specific on, two at a
// time, by the strategy of the established one, which is the less specific. The
// result goes on with the strategy of the more specific one.
func merge(stack Stack) *Effective {
	m := merger{items: map[string]held{}}
	for _, p := range stack {
		if p != nil {
			m.meet(p)
		}
	}
	e := &Effective{Stack: stack, Lost: m.lost, Closed: m.closed}
	for name, h := range m.items {
		e.Items = append(e.Items, Item{name, h.from})
	}
	slices.SortFunc(e.Items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(e.Lost, func(a, b Loss) int {
		return cmp.Or(strings.Compare(a.Policy.Key.String(), b.Policy.Key.String()), strings.Compare(a.Item, b.Item))
	})
	return e
}

// held is an item in effect so far. A bound one was put there by an override.
type held struct {
	from  *Policy
	bound bool
}

// merger is the result so far.
type merger struct {
	last        *Policy // the most specific so far: its strategy comes next
	sealed      *Policy // an atomic override: nothing more gets in
	items       map[string]held
	closed      *Policy // a broken policy that has a say so far
	closedBound bool    // and an override put it there
	lost        []Loss
}

// meet combines the result so far with the next more specific policy.
func (m *merger) meet(p *Policy) {
	established := m.last
	m.last = p
	switch {
	case established == nil:
		m.take(p)
		return
	case m.sealed == nil && established.Strategy == AtomicOverrides:
		m.sealed = established
	}
	if m.sealed != nil {
		m.loseAll(p, m.sealed, AtomicOverrides)
		return
	}
	switch established.Strategy {
	case AtomicDefaults:
		if len(established.Items) == 0 {
			m.loseAll(established, p, AtomicDefaults)
		}
		m.clear(p)
	case MergeOverrides:
		for name, h := range m.items {
			m.items[name] = held{h.from, true}
		}
		m.closedBound = m.closedBound || m.closed != nil
	}
	for _, name := range p.Items {
		if by := m.against(name); by != nil {
			m.lose(p, name, by, MergeOverrides)
		} else if h, ok := m.items[name]; ok {
			m.lose(h.from, name, p, established.Strategy)
		}
	}
	if slices.ContainsFunc(p.Items, func(name string) bool { return asks(name) && m.against(name) == nil }) {
		m.waive(p, established.Strategy)
	}
	m.take(p)
}

// Public is the item by which a policy lets everybody in. It contradicts the items
// that ask for a credential, as two items of one name do.
const Public = "public"

// asks reports whether an item asks callers for a credential.
func asks(item string) bool { return item == "require" || strings.HasPrefix(item, "authentication/") }

// against returns the policy whose override stands against an item, nil for none.
func (m *merger) against(name string) *Policy {
	if h := m.items[name]; h.bound {
		return h.from
	}
	var by *Policy
	first := ""
	for other, h := range m.items {
		contrary := name == Public && asks(other) || asks(name) && other == Public
		if contrary && h.bound && (by == nil || other < first) {
			by, first = h.from, other
		}
	}
	return by
}

// waive takes out a more general policy's Public, since p asks for a credential. One
// of p's own leaves what others ask for in place: that counts when Public has expired.
func (m *merger) waive(p *Policy, s Strategy) {
	if h, ok := m.items[Public]; ok {
		m.lose(h.from, Public, p, s)
		delete(m.items, Public)
	}
}

// clear removes all that no override put there, in favour of p.
func (m *merger) clear(p *Policy) {
	for name, h := range m.items {
		if !h.bound {
			m.lose(h.from, name, p, AtomicDefaults)
			delete(m.items, name)
		}
	}
	if !m.closedBound {
		m.closed = nil
	}
}

// take puts in the items of p that no override stands against.
func (m *merger) take(p *Policy) {
	for _, name := range p.Items {
		if m.against(name) == nil {
			m.items[name] = held{from: p}
		}
	}
	if p.Broken != "" && m.closed == nil {
		m.closed = p
	}
}

// loseAll notes that nothing of p is in effect; a p without items loses "".
func (m *merger) loseAll(p, by *Policy, s Strategy) {
	for _, name := range p.Items {
		m.lose(p, name, by, s)
	}
	if len(p.Items) == 0 {
		m.lose(p, "", by, s)
	}
}

// lose notes one lost item. A policy that targets two levels of a path does not
// lose to itself.
func (m *merger) lose(p *Policy, item string, by *Policy, s Strategy) {
	if p == by {
		return
	}
	m.lost = append(m.lost, Loss{Policy: p, Item: item, By: by, Strategy: s})
}

// Cache keeps what stacks merged to, for as long as the builds that follow ask
// for the same stacks.
type Cache struct {
	last, now map[Stack]*Effective
}

// Turn begins a build: what the one before last asked for is forgotten.
func (c *Cache) Turn() { c.last, c.now = c.now, make(map[Stack]*Effective, len(c.now)) }

// Merge returns what the stack makes, nil for an empty one. The same policies
// always give the same pointer, from one build to the next.
func (c *Cache) Merge(s Stack) *Effective {
	if s.Empty() {
		return nil
	}
	e := c.now[s]
	if e == nil {
		if e = c.last[s]; e == nil {
			e = merge(s)
		}
		c.now[s] = e
	}
	return e
}
