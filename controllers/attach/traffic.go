package attach

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/traffic"
)

// direct finds what the statuses of the policies say that attach to Services. They
// merge with nothing: graph has what is in force (GEP-713, "Direct policy
// attachment").
func (b *Builder) direct(s *store.Store, g *graph.Graph, out *Policies) {
	all := s.Read()
	secure, shape := all.BackendTLSPolicies(), all.BackendTrafficPolicies()
	b.reached.turn()
	defer b.secured.Sweep()
	last := b.targeted
	b.targeted = map[PolicyKey]*Policy{}
	if len(secure)+len(shape) == 0 {
		return
	}
	reached := map[types.NamespacedName][]destination{} // by Service
	for _, r := range g.Routes {
		addDestinations(reached, b.reached.get(r, func() []destination { return routeDestinations(r) }))
	}
	for _, p := range shape {
		s.GiveWay()
		key := PolicyKey{string(store.BackendTrafficPolicy), nameOf(p)}
		node := &Policy{Key: key, Generation: p.Generation, Object: p, Ancestors: b.trafficAncestors(s.Read(), p, reached, out)}
		b.publishDirect(node, &p.Status, last, out)
	}
	addStreams(reached, g)
	for _, p := range secure {
		key := PolicyKey{string(store.BackendTLSPolicy), nameOf(p)}
		node := &Policy{Key: key, Generation: p.Generation, Object: p, Ancestors: b.securedAncestors(s, p, reached, out)}
		b.publishDirect(node, &p.Status, last, out)
	}
}

// publishDirect puts a policy among those with a status, as the same node as before
// if nothing of it has changed.
func (b *Builder) publishDirect(node *Policy, status *gatewayv1.PolicyStatus, last map[PolicyKey]*Policy, out *Policies) {
	if len(node.Ancestors) == 0 {
		if b.ours(status) {
			out.Stale = append(out.Stale, node.Key)
		}
		return
	}
	if was := last[node.Key]; was != nil && was.Object == node.Object && equality.Semantic.DeepEqual(was.Ancestors, node.Ancestors) {
		node = was
	}
	b.targeted[node.Key] = node
	out.All = append(out.All, node)
}

// trafficAncestors are the entries of an XBackendTrafficPolicy's status, one per
// Gateway whose routes lead to a Service it targets.
func (b *Builder) trafficAncestors(r *store.Reader, p *gatewayxv1alpha1.XBackendTrafficPolicy, reached map[types.NamespacedName][]destination, into *Policies) []*Ancestor {
	under := map[types.NamespacedName]*targets{}
	for _, ref := range p.Spec.TargetRefs {
		service := types.NamespacedName{Namespace: p.Namespace, Name: string(ref.Name)}
		if !spec.TargetsService(p, service.Name) || ref.Kind != gatewayv1.Kind(store.Service) {
			continue // another controller's
		}
		first := traffic.At(r, service)
		seen := map[types.NamespacedName]bool{}
		for _, d := range reached[service] {
			if seen[d.gateway] {
				continue
			}
			seen[d.gateway] = true
			u := under[d.gateway]
			if u == nil {
				u = &targets{}
				under[d.gateway] = u
			}
			if first.Name == p.Name {
				u.found++
			} else {
				u.lost = append(u.lost, fmt.Sprintf("XBackendTrafficPolicy %s targets Service %s too and was there first", first.Name, service.Name))
			}
		}
	}
	var out []*Ancestor
	for gateway, u := range under {
		c := trafficAccepted(p, u)
		c.ObservedGeneration = p.Generation
		out = append(out, &Ancestor{Gateway: gateway, Conditions: []metav1.Condition{c}})
	}
	sortAncestors(out)
	return b.fit(out, &p.Status, PolicyKey{string(store.BackendTrafficPolicy), nameOf(p)}, into)
}

func trafficAccepted(p *gatewayxv1alpha1.XBackendTrafficPolicy, u *targets) metav1.Condition {
	c := metav1.Condition{Type: string(gatewayv1.PolicyConditionAccepted), Status: metav1.ConditionFalse}
	_, problem := spec.BackendTraffic(p)
	switch {
	case u.found == 0:
		c.Reason, c.Message = string(gatewayv1.PolicyReasonConflicted), strings.Join(u.lost, "; ")
	case problem != nil:
		c.Reason, c.Message = problem.Reason, problem.Text+"; the policy has no effect"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, string(gatewayv1.PolicyReasonAccepted), "the policy is accepted"
		if len(u.lost) > 0 {
			c.Message += ", but " + strings.Join(u.lost, "; ")
		}
	}
	return c
}
