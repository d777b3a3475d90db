package graph

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// settle decides between HTTPRoutes and GRPCRoutes, of which routes[:https] are
// the former. A host of a listener belongs to routes of one kind: to that of the
// oldest, and those of the other are not accepted (GRPCRouteSpec.Hostnames).
func (b *Builder) settle(routes []*Route, https int) {
	if https == 0 || https == len(routes) {
		b.settled = nil
		return
	}
	order := make([]int, len(routes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(older(routes[i].Object, routes[j].Object), cmp.Compare(i, j)) })
	overHTTP, overGRPC := map[ListenerKey]spec.Holdings{}, map[ListenerKey]spec.Holdings{}
	settled := map[*Route]*Route{}
	for age, i := range order {
		b.store.GiveWay()
		held, others := overHTTP, overGRPC
		if i >= https {
			held, others = others, held
		}
		before, lost := routes[i], map[*Attachment]*Route{}
		for _, p := range before.Parents {
			for _, at := range p.Attached {
				if first, held := others[at.Listener].First(at.Hostnames); held {
					lost[at] = routes[order[first]]
				}
			}
		}
		if len(lost) > 0 {
			after := without(before, lost)
			if last := b.settled[before]; last != nil && sameParents(last, after) {
				after = last
			}
			routes[i], settled[before] = after, after
		}
		for _, p := range routes[i].Parents {
			for _, at := range p.Attached {
				if held[at.Listener] == nil {
					held[at.Listener] = spec.Holdings{}
				}
				held[at.Listener].Add(at.Hostnames, age)
			}
		}
	}
	b.settled = settled
}

// without is a route that has lost attachments to others.
func without(route *Route, lost map[*Attachment]*Route) *Route {
	out := &Route{Object: route.Object, Rules: route.Rules, Parents: slices.Clone(route.Parents)}
	for i, p := range out.Parents {
		var holder *Route
		kept := make([]*Attachment, 0, len(p.Attached))
		for _, at := range p.Attached {
			if lost[at] != nil {
				holder = lost[at]
				continue
			}
			kept = append(kept, at)
		}
		if holder == nil {
			continue
		}
		next := &Parent{Ref: p.Ref, Gateway: p.Gateway, Attached: kept, Conditions: slices.Clone(p.Conditions)}
		text := fmt.Sprintf("spec.hostnames: %s %s has one of them on Gateway %s, and is older; a host takes routes of one kind",
			holder.Kind(), nameOf(holder.Object), p.Gateway)
		for j := range next.Conditions {
			if c := &next.Conditions[j]; c.Type == string(gatewayv1.RouteConditionAccepted) && len(kept) == 0 {
				*c = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners, text)
				observed(route.Object.Generation, next.Conditions[j:j+1])
			} else if c.Type == string(gatewayv1.RouteConditionAccepted) {
				c.Message += "; but not everywhere: " + text
			}
		}
		if len(kept) == 0 {
			next.Conditions = slices.DeleteFunc(next.Conditions, func(c metav1.Condition) bool {
				return c.Type == string(gatewayv1.RouteConditionPartiallyInvalid)
			})
		}
		out.Parents[i] = next
	}
	return out
}

// sameParents says whether two routes without the same object's attachments are equal.
func sameParents(a, b *Route) bool {
	return a.Object == b.Object && slices.EqualFunc(a.Parents, b.Parents, func(p, q *Parent) bool {
		return p == q || slices.Equal(p.Attached, q.Attached) && slices.Equal(p.Conditions, q.Conditions)
	})
}
