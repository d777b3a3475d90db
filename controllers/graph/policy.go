package graph

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Checks judge the parts of a policy that only the proxy understands, so that a
// policy is refused for exactly what the proxy would refuse. cmd fills them in; a
// nil one finds nothing wrong. Errors say what is wrong and what to write
// instead, and hold nothing secret.
type Checks struct {
	Condition func(cel string) error                    // an expression that is true or false
	Value     func(cel string) error                    // an expression for a header's value
	Require   func(expr string, methods []string) error // a requirement over method names
	Schema    func(document []byte) error               // a JSON Schema
	KeySet    func(document []byte) error               // a JWK set
	Password  func(hash string) error                   // the hash of one htpasswd line
}

// policyMemos is what the policies keep from one build to the next.
type policyMemos struct {
	nodes     memo[PolicyKey, *policyNode]
	auth      policyKind
	check     policyKind
	bundles   generations[RulePolicies, *RulePolicies]
	routes    generations[*Route, *routed] // by the node buildRoutes made
	published map[PolicyKey]published
}

// policyKind is the policies of one kind.
type policyKind struct {
	nodes     []*policyNode // by namespace, then name
	attached  *policy.Attached
	cache     policy.Cache
	effective generations[*policy.Effective, *Effective]
	byRule    map[*policy.Policy]*policyNode
}

// routed is a route with its policies, and what they became part of there.
type routed struct {
	route   *Route
	counts  []counted
	touched []PolicyKey // sorted
}

// generations keeps values while builds ask for them.
type generations[K comparable, V any] struct {
	last, now map[K]V
}

func (g *generations[K, V]) turn() { g.last, g.now = g.now, map[K]V{} }

func (g *generations[K, V]) get(k K, compute func() V) V {
	v, ok := g.now[k]
	if !ok {
		if v, ok = g.last[k]; !ok {
			v = compute()
		}
		g.now[k] = v
	}
	return v
}

// policies gives every rule of the Graph its effective policies, and every
// policy its status. Routes that policies reach are replaced by copies: the
// nodes themselves are shared with earlier Graphs.
func (b *Builder) policies(s *store.Store, g *Graph) {
	m := &b.policy
	if m.nodes == nil {
		m.nodes = memo[PolicyKey, *policyNode]{}
	}
	all := s.Read()
	compute := b.policyNode
	var auth, check []*policyNode
	for _, p := range all.AuthPolicies() {
		auth = append(auth, m.nodes.get(b, PolicyKey{v1alpha1.KindAuthPolicy, nameOf(p)}, compute))
	}
	for _, p := range all.ValidationPolicies() {
		check = append(check, m.nodes.get(b, PolicyKey{v1alpha1.KindValidationPolicy, nameOf(p)}, compute))
	}
	m.nodes.sweep(b.round)
	changed := m.auth.set(auth)
	if m.check.set(check) || changed {
		changed = true
		m.auth.turn()
		m.check.turn()
		m.bundles.turn()
	}
	m.routes.turn()
	g.Affected = map[TargetKey][]PolicyKey{}
	if len(auth)+len(check) == 0 {
		m.published = nil
		return
	}
	t := &tally{builder: b, graph: g, store: all, counts: map[tallyKey]int{}, faults: map[tallyKey]string{}}
	for i, r := range g.Routes {
		known := m.routes.last[r]
		if known == nil || changed {
			known = b.routePolicies(r, known)
		}
		m.routes.now[r] = known
		g.Routes[i] = known.route
		t.add(known)
	}
	t.publish()
}

// set takes the policies there are now. It is false when they are those there
// were: then stacks, and all that was made of them, stay as they are, and only
// routes that changed need to be looked at.
func (k *policyKind) set(nodes []*policyNode) bool {
	if k.attached != nil && slices.Equal(k.nodes, nodes) {
		return false
	}
	k.nodes, k.byRule = nodes, make(map[*policy.Policy]*policyNode, len(nodes))
	rules := make([]*policy.Policy, 0, len(nodes))
	for _, n := range nodes {
		rules = append(rules, n.rule)
		k.byRule[n.rule] = n
	}
	k.attached = policy.Attach(rules)
	return true
}

func (k *policyKind) turn() {
	k.cache.Turn()
	k.effective.turn()
}

// routePolicies finds what reaches each rule of a route on each of its paths.
// What it found before, if anything, is kept where it is the same.
func (b *Builder) routePolicies(base *Route, before *routed) *routed {
	out := &routed{route: base}
	reached := false
	var lists [][]*RulePolicies
	for _, parent := range base.Parents {
		for _, at := range parent.Attached {
			list := make([]*RulePolicies, len(base.Rules))
			for i, rule := range base.Rules {
				list[i] = b.rulePolicies(pathOf(base, at, rule), out)
				reached = reached || list[i] != nil
			}
			lists = append(lists, list)
		}
	}
	slices.SortFunc(out.touched, comparePolicyKeys)
	switch {
	case !reached:
	case before != nil && before.route != base && samePolicies(before.route, lists):
		out.route = before.route
	default:
		out.route = withPolicies(base, lists)
	}
	return out
}

// withPolicies copies a route: the node itself is part of earlier Graphs.
func withPolicies(base *Route, lists [][]*RulePolicies) *Route {
	out := *base
	out.Parents = slices.Clone(base.Parents)
	for i, parent := range base.Parents {
		p := *parent
		p.Attached = make([]*Attachment, len(parent.Attached))
		for j, at := range parent.Attached {
			a := *at
			a.Policies, lists = lists[0], lists[1:]
			p.Attached[j] = &a
		}
		out.Parents[i] = &p
	}
	return &out
}

func samePolicies(r *Route, lists [][]*RulePolicies) bool {
	for _, parent := range r.Parents {
		for _, at := range parent.Attached {
			if !slices.Equal(at.Policies, lists[0]) {
				return false
			}
			lists = lists[1:]
		}
	}
	return true
}

// pathOf names what a rule is reached by on one listener.
func pathOf(r *Route, at *Attachment, rule *Rule) policy.Path {
	gw := at.Listener.Gateway
	path := policy.Path{
		{Kind: string(store.Gateway), Namespace: gw.Namespace, Name: gw.Name},
		{Kind: string(store.Gateway), Namespace: gw.Namespace, Name: gw.Name, Section: string(at.Listener.Listener)},
		{Kind: string(store.HTTPRoute), Namespace: r.Object.Namespace, Name: r.Object.Name},
	}
	if rule.Name != "" {
		path[3] = path[2]
		path[3].Section = rule.Name
	}
	return path
}

// rulePolicies returns what reaches a rule on one path; nil for nothing. Equal
// ones are one pointer.
func (b *Builder) rulePolicies(path policy.Path, into *routed) *RulePolicies {
	gateway := types.NamespacedName{Namespace: path[0].Namespace, Name: path[0].Name}
	var p RulePolicies
	p.Auth, p.ShadowAuth = b.effective(&b.policy.auth, path, gateway, into)
	p.Validation, p.ShadowValidation = b.effective(&b.policy.check, path, gateway, into)
	if p == (RulePolicies{}) {
		return nil
	}
	return b.policy.bundles.get(p, func() *RulePolicies { return &p })
}

func (b *Builder) effective(k *policyKind, path policy.Path, gateway types.NamespacedName, into *routed) (enforced, shadow *Effective) {
	stack, rehearsed := k.attached.On(path)
	merge := func(s policy.Stack, isShadow bool) *Effective {
		merged := k.cache.Merge(s)
		if merged == nil {
			return nil
		}
		e := k.effective.get(merged, func() *Effective { return b.resolve(k, merged) })
		into.count(k, merged, e, gateway, isShadow)
		return e
	}
	return merge(stack, false), merge(rehearsed, true)
}

// resolve turns what a stack merged to into an Effective. A requirement can only
// be judged here, where all the methods it may name are together.
func (b *Builder) resolve(k *policyKind, merged *policy.Effective) *Effective {
	e := &Effective{}
	if merged.Closed != nil {
		n := k.byRule[merged.Closed]
		e.Closed = &Closed{Policy: n.core.Key, Reason: n.rule.Broken}
		return e
	}
	var require *policyNode
	var methods []string
	for _, it := range merged.Items {
		n := k.byRule[it.From]
		e.Items = append(e.Items, Item{Name: it.Name, From: n.core})
		section, name := splitItem(it.Name)
		switch section {
		case ItemRequire:
			require = n
		case ItemAuthentication:
			methods = append(methods, name)
		}
	}
	if require != nil && b.config.Checks.Require != nil {
		if err := b.config.Checks.Require(require.auth().Require, methods); err != nil {
			return &Effective{Closed: &Closed{Policy: require.core.Key, Reason: err.Error()}}
		}
	}
	return e
}
