package attach

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// tallyKey is a policy under a Gateway, and one thing it became part of there.
type tallyKey struct {
	rule    *policy.Policy
	gateway types.NamespacedName
	merged  *policy.Effective
}

// counted is on how many rules of a route a policy became part of something,
// and what is wrong with its requirement there.
type counted struct {
	key   tallyKey
	n     int
	fault string
}

// count notes one rule on one path.
func (r *routed) count(k *policyKind, merged *policy.Effective, e *Effective, gateway types.NamespacedName, shadow bool) {
	for i, p := range merged.Stack {
		if p == nil || slices.Contains(merged.Stack[:i], p) {
			continue
		}
		name := k.byRule[p].core.Key
		if !slices.Contains(r.touched, name) {
			r.touched = append(r.touched, name)
		}
		if p.Shadow != shadow {
			continue
		}
		key := tallyKey{p, gateway, merged}
		at := slices.IndexFunc(r.counts, func(c counted) bool { return c.key == key })
		if at < 0 {
			at = len(r.counts)
			r.counts = append(r.counts, counted{key: key})
			if merged.Closed == nil && e.Closed != nil && e.Closed.Policy == name {
				r.counts[at].fault = e.Closed.Reason
			}
		}
		r.counts[at].n++
	}
}

// tally counts what becomes of the policies on all routes, and makes their
// status of it.
type tally struct {
	builder *Builder
	graph   *graph.Graph
	out     *Policies
	store   *store.Store
	counts  map[tallyKey]int
	faults  map[tallyKey]string // with no merged: a requirement that names what no policy there brings
}

// add counts a route.
func (t *tally) add(r *routed) {
	for _, c := range r.counts {
		t.counts[c.key] += c.n
		if c.fault != "" {
			t.faults[tallyKey{rule: c.key.rule, gateway: c.key.gateway}] = c.fault
		}
	}
	if r.unguarded {
		t.unguarded(r)
	}
	if len(r.touched) > 0 {
		name := nameOf(r.route.Object)
		name.Name = spec.OwnerName(name.Name)
		t.out.Affected[TargetKey{Kind: r.route.Kind(), NamespacedName: name}] = r.touched
	}
}

// unguarded notes a route with rules that are not served.
func (t *tally) unguarded(r *routed) {
	key := TargetKey{Kind: r.route.Kind(), NamespacedName: nameOf(r.route.Object)}
	for _, parent := range r.route.Parents {
		for _, at := range parent.Attached {
			for _, p := range r.policies.at[at] {
				if p != nil && p.Unguarded != nil {
					if t.out.Unguarded == nil {
						t.out.Unguarded = map[TargetKey]PolicyKey{}
					}
					t.out.Unguarded[key] = p.Unguarded.Key
					return
				}
			}
		}
	}
}

// published is a policy with its status, and the node it was made of.
type published struct {
	core, policy *Policy
}

// publish fills in the policies.
func (t *tally) publish() {
	gateways := make(map[types.NamespacedName]*graph.Gateway, len(t.graph.Gateways))
	sets := map[types.NamespacedName]*graph.ListenerSet{}
	for _, gw := range t.graph.Gateways {
		gateways[nameOf(gw.Object)] = gw
		for _, set := range gw.Sets {
			sets[nameOf(set.Object)] = set
		}
	}
	routes := make(map[graph.ObjectKey]*graph.Route, len(t.graph.Routes))
	for _, r := range t.graph.Routes {
		routes[r.Key()] = r
	}
	reach := map[tallyKey]*policy.Reach{}
	for key, n := range t.counts {
		at := tallyKey{rule: key.rule, gateway: key.gateway}
		if reach[at] == nil {
			reach[at] = &policy.Reach{}
		}
		reach[at].Add(key.rule, key.merged, n)
	}
	ingresses := make(map[types.NamespacedName]*graph.Ingress, len(t.graph.Ingresses))
	for _, in := range t.graph.Ingresses {
		ingresses[nameOf(in.Object)] = in
	}
	last := t.builder.published
	now := map[PolicyKey]published{}
	for _, k := range []*policyKind{&t.builder.auth, &t.builder.check} {
		for _, n := range k.nodes {
			t.store.GiveWay()
			s := standing{node: n, kind: k, tally: t, gateways: gateways, sets: sets, routes: routes, ingresses: ingresses, under: map[types.NamespacedName]*targets{}}
			s.find()
			out := *n.core
			out.Ancestors = s.ancestors(reach)
			if len(out.Ancestors) == 0 {
				continue
			}
			p := &out
			if was := last[p.Key]; was.core == n.core && equality.Semantic.DeepEqual(was.policy.Ancestors, p.Ancestors) {
				p = was.policy
			}
			now[p.Key] = published{n.core, p}
			t.out.All = append(t.out.All, p)
		}
	}
	t.builder.published = now
	for key, policies := range t.out.Affected {
		if key.Kind == string(store.HTTPRoute) || key.Kind == string(store.GRPCRoute) || key.Kind == string(store.Ingress) {
			continue // in order already, and shared with earlier Policies
		}
		slices.SortFunc(policies, comparePolicyKeys)
		t.out.Affected[key] = slices.Compact(policies)
	}
}

// standing is where one policy stands: what became of its targets.
type standing struct {
	node      *policyNode
	kind      *policyKind
	tally     *tally
	gateways  map[types.NamespacedName]*graph.Gateway
	sets      map[types.NamespacedName]*graph.ListenerSet
	routes    map[graph.ObjectKey]*graph.Route
	ingresses map[types.NamespacedName]*graph.Ingress
	under     map[types.NamespacedName]*targets
	missing   []*Ancestor // targets that lead to nothing
}

// targets is what became of a policy's targets under one Gateway.
type targets struct {
	found int
	gone  []string // sections that are not there
	lost  []string // targets at which an older policy stands
}

// find looks at every target of the policy.
func (s *standing) find() {
	for _, t := range s.node.rule.Targets {
		name := types.NamespacedName{Namespace: t.Namespace, Name: t.Name}
		switch t.Kind {
		case string(store.Gateway):
			gw := s.gateways[name]
			if gw == nil && s.tally.store.Read().Gateway(name) == nil {
				s.miss(t, "does not exist")
			}
			if gw != nil {
				s.target(name, t, slices.ContainsFunc(gw.Listeners, func(l *graph.Listener) bool { return l.Key.Set.Name == "" && string(l.Key.Listener) == t.Section }), "listener")
			}
		case string(store.ListenerSet):
			s.findSet(name, t)
		case string(store.HTTPRoute), string(store.GRPCRoute):
			r := s.routes[graph.ObjectKey{Kind: t.Kind, NamespacedName: name}]
			if r == nil && !s.tally.hasRoute(store.Kind(t.Kind), name) {
				s.miss(t, "does not exist")
			}
			if r != nil {
				has := slices.ContainsFunc(r.Rules, func(rule *graph.Rule) bool { return rule.Name == t.Section })
				for i, p := range r.Parents {
					if !slices.ContainsFunc(r.Parents[:i], func(q *graph.Parent) bool { return q.Gateway == p.Gateway }) {
						s.target(p.Gateway, t, has, "rule")
					}
				}
			}
		case kindIngress:
			s.findIngress(name, t)
		default:
			s.miss(t, "is of a kind that this version of Gatehouse does not serve; target a Gateway, a ListenerSet, an HTTPRoute, a GRPCRoute or an Ingress")
		}
	}
}

func (s *standing) findIngress(name types.NamespacedName, t policy.Target) {
	in := s.ingresses[name]
	if in == nil && s.tally.store.Read().Ingress(name) == nil {
		s.miss(t, "does not exist")
	}
	if in != nil {
		s.target(in.Gateway, t, false, "section")
	}
}

func (s *standing) findSet(name types.NamespacedName, t policy.Target) {
	set := s.sets[name]
	if set == nil && s.tally.store.Read().ListenerSet(name) == nil {
		s.miss(t, "does not exist")
	}
	if set != nil {
		has := slices.ContainsFunc(set.Listeners, func(l *graph.Listener) bool { return string(l.Key.Listener) == t.Section })
		s.target(set.Gateway, t, has, "listener")
	}
}

// hasRoute says whether a route exists, whatever it is attached to.
func (t *tally) hasRoute(kind store.Kind, name types.NamespacedName) bool {
	if kind == store.GRPCRoute {
		return t.store.Read().GRPCRoute(name) != nil
	}
	return t.store.Read().HTTPRoute(name) != nil
}

// target notes a target that exists and leads to the Gateway.
func (s *standing) target(gateway types.NamespacedName, t policy.Target, hasSection bool, section string) {
	u := s.under[gateway]
	if u == nil {
		u = &targets{}
		s.under[gateway] = u
	}
	if t.Section != "" && !hasSection {
		u.gone = append(u.gone, fmt.Sprintf("%s %s/%s has no %s named %s", t.Kind, t.Namespace, t.Name, section, t.Section))
		return
	}
	u.found++
	for _, c := range s.kind.attached.Conflicts {
		if c.Loser == s.node.rule && c.Target == t {
			u.lost = append(u.lost, fmt.Sprintf("%s targets %s too and was there first", c.Winner.Key, describe(t)))
			return
		}
	}
	if t.Kind == string(store.Gateway) || t.Kind == string(store.ListenerSet) {
		at := TargetKey{Kind: t.Kind, NamespacedName: types.NamespacedName{Namespace: t.Namespace, Name: t.Name}, Section: gatewayv1.SectionName(t.Section)}
		s.tally.out.Affected[at] = append(s.tally.out.Affected[at], s.node.core.Key)
	}
}

func (s *standing) miss(t policy.Target, why string) {
	c := s.condition(gatewayv1.PolicyConditionAccepted, false, gatewayv1.PolicyReasonTargetNotFound, describe(t)+" "+why)
	s.missing = append(s.missing, &Ancestor{
		Missing:    TargetKey{t.Kind, types.NamespacedName{Namespace: t.Namespace, Name: t.Name}, gatewayv1.SectionName(t.Section)},
		Conditions: []metav1.Condition{c},
	})
}

func describe(t policy.Target) string {
	out := t.Kind + " " + t.Namespace + "/" + t.Name
	if t.Section != "" {
		out += " section " + t.Section
	}
	return out
}

// ancestors makes the entries of the policy's status. Where others have filled
// it, what does not fit is left out and told to the Gateway instead (GEP-713).
func (s *standing) ancestors(reach map[tallyKey]*policy.Reach) (out []*Ancestor) {
	for gateway, u := range s.under {
		at := tallyKey{rule: s.node.rule, gateway: gateway}
		r := reach[at]
		if r == nil {
			r = &policy.Reach{}
		}
		out = append(out, &Ancestor{Gateway: gateway, Conditions: s.conditions(u, s.tally.faults[at], r)})
	}
	sortAncestors(out)
	key := s.node.core.Key
	return s.tally.builder.fit(append(out, s.missing...), statusOf(s.tally.store.Read(), key), key, s.tally.out)
}

// conditions is what the policy's status says under one Gateway: Accepted and,
// if so, Programmed.
func (s *standing) conditions(u *targets, fault string, r *policy.Reach) []metav1.Condition {
	refuse := func(reason gatewayv1.PolicyConditionReason, text string) []metav1.Condition {
		return []metav1.Condition{s.condition(gatewayv1.PolicyConditionAccepted, false, reason, text)}
	}
	switch {
	case s.node.rule.Broken != "":
		return refuse(gatewayv1.PolicyReasonInvalid, s.node.rule.Broken+"; rules it would cover answer 500")
	case fault != "":
		return refuse(gatewayv1.PolicyReasonInvalid, fault+"; rules it covers answer 500")
	case u.found == 0:
		return refuse(gatewayv1.PolicyReasonTargetNotFound, strings.Join(u.gone, "; "))
	case len(u.lost) == u.found:
		return refuse(gatewayv1.PolicyReasonConflicted, strings.Join(append(u.lost, u.gone...), "; "))
	}
	text := "the policy is accepted"
	if beside := append(u.lost, u.gone...); len(beside) > 0 {
		text += ", but " + strings.Join(beside, "; ")
	}
	return []metav1.Condition{s.condition(gatewayv1.PolicyConditionAccepted, true, gatewayv1.PolicyReasonAccepted, text), s.programmed(u, r)}
}

func (s *standing) programmed(u *targets, r *policy.Reach) metav1.Condition {
	v := r.Verdict()
	if s.node.demands() {
		v.Message = "no rule below is served unless a policy asks who is calling"
	}
	if v.Reason == "Programmed" && len(u.lost)+len(u.gone) > 0 {
		v.Reason = "PartiallyProgrammed"
	}
	var waiting []string
	reason := "Reconciling"
	for _, item := range sortedKeys(s.node.core.Resolved) {
		if parts := s.node.core.Resolved[item]; parts.Broken != "" {
			waiting = append(waiting, item+": "+parts.Broken)
			if parts.Forbidden {
				reason = string(gatewayv1.RouteReasonRefNotPermitted)
			}
		}
	}
	if len(waiting) > 0 && v.Programmed {
		v = policy.Verdict{Reason: reason, Message: strings.Join(waiting, "; ") + "; requests that need this are answered 503; otherwise " + v.Message}
	}
	if len(s.node.notes) > 0 {
		v.Message += "; " + strings.Join(s.node.notes, "; ")
	}
	if s.node.rule.Shadow {
		v.Message += "; in shadow mode: it refuses nothing"
	}
	return s.condition("Programmed", v.Programmed, gatewayv1.PolicyConditionReason(v.Reason), v.Message)
}

// condition makes a condition without its time, which the status writer knows.
func (s *standing) condition(kind gatewayv1.PolicyConditionType, holds bool, reason gatewayv1.PolicyConditionReason, text string) metav1.Condition {
	c := metav1.Condition{Type: string(kind), Status: metav1.ConditionFalse, Reason: string(reason), Message: text, ObservedGeneration: s.node.core.Generation}
	if holds {
		c.Status = metav1.ConditionTrue
	}
	return c
}
