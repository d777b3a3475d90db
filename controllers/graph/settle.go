package graph

import (
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
	slices.SortFunc(order, func(i, j int) int { return older(routes[i].Object, routes[j].Object) })
	overHTTP, overGRPC := map[ListenerKey][]holding{}, map[ListenerKey][]holding{}
	settled := map[*Route]*Route{}
	for _, i := range order {
		held, others := overHTTP, overGRPC
		if i >= https {
			held, others = others, held
		}
		before, lost := routes[i], map[*Attachment]*Route{}
		for _, p := range before.Parents {
			for _, at := range p.Attached {
				if holder := holderOf(others[at.Listener], at.Hostnames); holder != nil {
					lost[at] = holder
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
				held[at.Listener] = append(held[at.Listener], holding{before, at.Hostnames})
			}
		}
	}
	b.settled = settled
}

// holding is hosts of a listener that a route has.
type holding struct {
	route *Route
	hosts []string
}

// holderOf is the first route that has one of the hosts; nil for none.
func holderOf(held []holding, hosts []string) *Route {
	for _, h := range held {
		if slices.ContainsFunc(h.hosts, func(a string) bool {
			return slices.ContainsFunc(hosts, func(b string) bool { return spec.Overlap(a, b) })
		}) {
			return h.route
		}
	}
	return nil
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
