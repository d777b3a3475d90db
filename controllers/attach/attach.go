package attach

import (
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Checks judge the parts of a policy that only the proxy understands, so that a
// policy is refused for exactly what the proxy would refuse. cmd fills them in; a
// nil one finds nothing wrong. Errors say what is wrong and what to write
// instead, and hold nothing secret.
type Checks struct {
	Condition func(cel string) error                    // an expression that is true or false
	Value     func(cel string) error                    // an expression for a header's value
	Claim     func(cel string) error                    // an expression for a claim of a token
	Require   func(expr string, methods []string) error // a requirement over method names
	Waived    func(expr string, methods []string) bool  // whether one is met by who presents nothing
	Schema    func(document []byte) error               // a JSON Schema
	KeySet    func(document []byte) error               // a JWK set
	Password  func(hash string) error                   // the hash of one htpasswd line

	Facts        func(cel string) (names []string, more bool)  // the metadata an expression reads by name, and whether it reads it otherwise
	Rego         func(policy, query string, data []byte) error // a policy for opa; query and data may be empty
	SessionStore func(url, ca []byte) error                    // of a Redis; ca may be empty
}

// Config is what a Builder knows beside the objects.
type Config struct {
	// Controller is whose entries of a policy's status are ours.
	Controller gatewayv1.GatewayController
	// Checks judge what only the proxy understands of a policy.
	Checks Checks
	// Clusterless says why no API server can be asked about tokens and rights; empty: one can.
	Clusterless string
}

// Builder attaches policies, and keeps what did not change from one build to the
// next. It belongs to one goroutine.
type Builder struct {
	config    Config
	graph     *graph.Graph // what last was made of
	last      *Policies
	nodes     store.Memo[PolicyKey, *policyNode]
	auth      policyKind
	check     policyKind
	bundles   generations[RulePolicies, *RulePolicies]
	routes    generations[*graph.Route, *routed]
	published map[PolicyKey]published
	reached   generations[*graph.Route, []destination]
	targeted  map[PolicyKey]*Policy // the policies on Services
	secured   store.Memo[types.NamespacedName, *backendtls.Settings]
}

// NewBuilder returns a Builder that has built nothing yet.
func NewBuilder(config Config) *Builder { return &Builder{config: config} }

// policyKind is the policies of one kind.
type policyKind struct {
	nodes     []*policyNode // by namespace, then name
	attached  *policy.Attached
	cache     policy.Cache
	effective generations[*policy.Effective, *Effective]
	byRule    map[*policy.Policy]*policyNode
}

// routed is a route's policies, and what they became part of there.
type routed struct {
	route     *graph.Route
	policies  *RoutePolicies // nil: none reaches it
	counts    []counted
	touched   []PolicyKey // sorted
	unguarded bool        // some rule of it is not served for want of authentication
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

// Build attaches the policies of a store to the routes of the Graph that was
// built of that store as it is. It does again only what changed since the Build
// before; the same Graph gives the same Policies.
func (b *Builder) Build(s *store.Store, g *graph.Graph) *Policies {
	if b.last != nil && b.graph == g {
		return b.last
	}
	b.graph, b.last = g, b.build(s, g)
	b.direct(s, g, b.last)
	b.last.Externals = b.externals(s, g)
	return b.last
}

func (b *Builder) build(s *store.Store, g *graph.Graph) *Policies {
	all := s.Read()
	compute := b.policyNode
	var auth, check []*policyNode
	for _, p := range all.AuthPolicies() {
		auth = append(auth, b.nodes.Get(s, PolicyKey{v1alpha1.KindAuthPolicy, nameOf(p)}, compute))
	}
	for _, p := range all.ValidationPolicies() {
		check = append(check, b.nodes.Get(s, PolicyKey{v1alpha1.KindValidationPolicy, nameOf(p)}, compute))
	}
	b.nodes.Sweep()
	changed := b.auth.set(auth)
	if b.check.set(check) || changed {
		changed = true
		b.auth.turn()
		b.check.turn()
		b.bundles.turn()
	}
	b.routes.turn()
	out := &Policies{Routes: map[*graph.Route]*RoutePolicies{}, Affected: map[TargetKey][]PolicyKey{}}
	if len(auth)+len(check) == 0 {
		b.published = nil
		return out
	}
	t := &tally{builder: b, graph: g, out: out, store: s, counts: map[tallyKey]int{}, faults: map[tallyKey]string{}}
	for _, r := range g.Routes {
		s.GiveWay()
		known := b.routes.last[r]
		if known == nil || changed {
			known = b.routePolicies(r, known)
		}
		b.routes.now[r] = known
		if known.policies != nil {
			out.Routes[r] = known.policies
		}
		t.add(known)
	}
	t.publish()
	out.Stale = b.stale(all, out)
	return out
}

// stale finds the policies that reach nothing and whose status still has entries
// of ours.
func (b *Builder) stale(all *store.Reader, p *Policies) (out []PolicyKey) {
	present := make(map[PolicyKey]bool, len(p.All))
	for _, p := range p.All {
		present[p.Key] = true
	}
	for _, n := range slices.Concat(b.auth.nodes, b.check.nodes) {
		if key := n.core.Key; !present[key] && b.ours(statusOf(all, key)) {
			out = append(out, key)
		}
	}
	return out
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
func (b *Builder) routePolicies(r *graph.Route, before *routed) *routed {
	out := &routed{route: r}
	reached := false
	at := map[*graph.Attachment][]*RulePolicies{}
	for _, parent := range r.Parents {
		for _, attachment := range parent.Attached {
			list := make([]*RulePolicies, len(r.Rules))
			for i, rule := range r.Rules {
				list[i] = b.rulePolicies(pathOf(r, attachment, rule), out)
				reached = reached || list[i] != nil
			}
			at[attachment] = list
		}
	}
	slices.SortFunc(out.touched, comparePolicyKeys)
	switch {
	case !reached:
	case before != nil && before.policies != nil && maps.EqualFunc(before.policies.at, at, slices.Equal):
		out.policies = before.policies
	default:
		out.policies = &RoutePolicies{at}
	}
	return out
}

// kindIngress is how an Ingress is named as a target, which is of another group.
const kindIngress = networkingv1.GroupName + "/" + string(store.Ingress)

// pathOf names what a rule is reached by on one listener.
func pathOf(r *graph.Route, at *graph.Attachment, rule *graph.Rule) policy.Path {
	gw, set, listener := at.Listener.Gateway, at.Listener.Set, string(at.Listener.Listener)
	path := policy.Path{
		0: {Kind: string(store.Gateway), Namespace: gw.Namespace, Name: gw.Name},
		4: {Kind: r.Kind(), Namespace: r.Object.Namespace, Name: r.Object.Name},
	}
	switch {
	case r.Redirects(): // nothing is there to be guarded
		path[4] = policy.Target{}
	case r.OfIngress():
		path[4] = policy.Target{Kind: kindIngress, Namespace: r.Object.Namespace, Name: spec.OwnerName(r.Object.Name)}
	}
	if set.Name == "" {
		path[1] = path[0]
		path[1].Section = listener
	} else {
		path[2] = policy.Target{Kind: string(store.ListenerSet), Namespace: set.Namespace, Name: set.Name}
		path[3] = path[2]
		path[3].Section = listener
	}
	if rule.Name != "" {
		path[5] = path[4]
		path[5].Section = rule.Name
	}
	return path
}

// rulePolicies returns what reaches a rule on one path; nil for nothing. Equal
// ones are one pointer.
func (b *Builder) rulePolicies(path policy.Path, into *routed) *RulePolicies {
	gateway := types.NamespacedName{Namespace: path[0].Namespace, Name: path[0].Name}
	var p RulePolicies
	p.Auth, p.ShadowAuth = b.effective(&b.auth, path, gateway, into)
	p.Validation, p.ShadowValidation = b.effective(&b.check, path, gateway, into)
	if by := b.required(path); by != nil && !asks(p.Auth) {
		p.Unguarded = by
		into.unguarded = true
	}
	if p == (RulePolicies{}) {
		return nil
	}
	return b.bundles.get(p, func() *RulePolicies { return &p })
}

// required returns the policy that demands authentication on a path, the most
// general one; nil if none does.
func (b *Builder) required(path policy.Path) *Policy {
	stack, _ := b.auth.attached.On(path)
	for _, p := range stack {
		if p != nil && b.auth.byRule[p].requires {
			return b.auth.byRule[p].core
		}
	}
	return nil
}

// demanding takes off a stack the policies that only demand authentication: they
// bring nothing that could be merged, nor take anything away.
func (k *policyKind) demanding(s *policy.Stack) {
	for i, p := range s {
		if p != nil && k.byRule[p].demands() {
			s[i] = nil
		}
	}
}

// asks says whether an effective AuthPolicy lets nobody on whose credential it has
// not seen, or says why it does.
func asks(e *Effective) bool {
	if e == nil {
		return false
	}
	methods, service := false, false
	for _, it := range e.Items {
		switch section, name := splitItem(it.Name); {
		case section == ItemPublic:
			return true
		case section == ItemAuthentication:
			methods = true
			if it.From.AuthRules().Authentication[name].Anonymous != nil {
				return false
			}
		case section == ItemAuthorization:
			// Such a service must authenticate callers (GEP-1494); one in shadow keeps nobody out.
			rule := it.From.AuthRules().Authorization[name]
			service = service || rule.ExternalAuth != nil && rule.Mode != v1alpha1.ModeShadow
		}
	}
	return methods && !e.Waived || service || e.Closed != nil
}

func (b *Builder) effective(k *policyKind, path policy.Path, gateway types.NamespacedName, into *routed) (enforced, shadow *Effective) {
	stack, rehearsed := k.attached.On(path)
	k.demanding(&stack)
	k.demanding(&rehearsed)
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

// resolve turns what a stack merged to into an Effective. A requirement, and
// what expressions read, can only be judged here, where all that they may name is together.
func (b *Builder) resolve(k *policyKind, merged *policy.Effective) *Effective {
	e := &Effective{}
	if merged.Closed != nil {
		n := k.byRule[merged.Closed]
		e.Closed = &Closed{Policy: n.core.Key, Reason: n.rule.Broken}
		return e
	}
	var require *v1alpha1.AuthPolicy
	var methods, steps []string
	for _, it := range merged.Items {
		n := k.byRule[it.From]
		e.Items = append(e.Items, Item{Name: it.Name, From: n.core})
		section, name := splitItem(it.Name)
		switch section {
		case ItemRequire:
			require = n.core.Object.(*v1alpha1.AuthPolicy)
		case ItemAuthentication:
			methods = append(methods, name)
		case ItemMetadata:
			steps = append(steps, name)
		}
	}
	for _, it := range merged.Items {
		if why := policy.Unfetched(k.byRule[it.From].facts, steps); why != "" {
			return &Effective{Closed: &Closed{Policy: k.byRule[it.From].core.Key, Reason: why}}
		}
	}
	if require != nil && b.config.Checks.Require != nil {
		if err := b.config.Checks.Require(require.GetRules().Require, methods); err != nil {
			field := policy.RulesField(require.Spec.Defaults != nil, require.Spec.Overrides != nil) + ".require"
			return &Effective{Closed: &Closed{Policy: PolicyKey{v1alpha1.KindAuthPolicy, nameOf(require)}, Reason: field + ": " + err.Error()}}
		}
		e.Waived = b.config.Checks.Waived != nil && b.config.Checks.Waived(require.GetRules().Require, methods)
	}
	return e
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
