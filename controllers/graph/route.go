package graph

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// route is nil for an HTTPRoute none of whose parentRefs leads to a Gateway of
// ours.
func (b *Builder) route(r *store.Reader, name types.NamespacedName) *Route {
	obj := r.HTTPRoute(name)
	var node *Route
	var rules outcome
	for _, ref := range obj.Spec.ParentRefs {
		gateway, ok := gatewayOf(obj, ref)
		if !ok {
			continue
		}
		gw := r.Gateway(gateway)
		if b.ours(r, gw) == nil {
			continue
		}
		if node == nil {
			rules = resolveRules(r, obj)
			node = &Route{Object: obj, Rules: rules.rules}
		}
		node.Parents = append(node.Parents, attach(r, obj, gw, ref, rules))
	}
	return node
}

// gatewayOf returns the Gateway a parentRef names, false if it names something else.
func gatewayOf(route *gatewayv1.HTTPRoute, ref gatewayv1.ParentReference) (types.NamespacedName, bool) {
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName || ref.Kind != nil && *ref.Kind != "Gateway" {
		return types.NamespacedName{}, false
	}
	name := types.NamespacedName{Namespace: route.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	return name, true
}

// attach decides where a route stands under one parentRef. It looks at specs
// only: whether a listener can serve does not count (ListenerStatus.AttachedRoutes).
func attach(r *store.Reader, route *gatewayv1.HTTPRoute, gw *gatewayv1.Gateway, ref gatewayv1.ParentReference, rules outcome) *Parent {
	p := &Parent{Ref: ref, Gateway: nameOf(gw)}
	var named, allowed int
	for i := range gw.Spec.Listeners {
		l := &gw.Spec.Listeners[i]
		if ref.SectionName != nil && *ref.SectionName != l.Name || ref.Port != nil && *ref.Port != l.Port {
			continue
		}
		named++
		if !allows(r, gw, l, route.Namespace) {
			continue
		}
		allowed++
		if hosts := spec.Intersect(spec.Host(l), route.Spec.Hostnames); len(hosts) > 0 {
			p.Attached = append(p.Attached, &Attachment{Listener: ListenerKey{p.Gateway, l.Name}, Hostnames: hosts})
		}
	}
	var accepted metav1.Condition
	switch {
	case named == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNoMatchingParent,
			fmt.Sprintf("Gateway %s has no listener%s; check sectionName and port of the parentRef", p.Gateway, wanted(ref)))
	case allowed == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners,
			fmt.Sprintf("no listener of Gateway %s takes HTTPRoutes of namespace %s; see its allowedRoutes", p.Gateway, route.Namespace))
	case len(p.Attached) == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNoMatchingListenerHostname,
			fmt.Sprintf("spec.hostnames: none is taken by a listener of Gateway %s; listeners take %s", p.Gateway, hostsOf(gw)))
	case rules.refused != nil:
		accepted = no(gatewayv1.RouteConditionAccepted, rules.refused.Reason, rules.refused.Text)
	default:
		accepted = yes(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonAccepted, "the route is accepted"+rules.note)
	}
	p.Conditions = []metav1.Condition{accepted, rules.resolved}
	if rules.dropped != nil && accepted.Status == metav1.ConditionTrue {
		p.Conditions = append(p.Conditions, yes(gatewayv1.RouteConditionPartiallyInvalid, rules.dropped.Reason, rules.dropped.Text))
	}
	observed(route.Generation, p.Conditions)
	return p
}

// wanted says which listener a parentRef asks for.
func wanted(ref gatewayv1.ParentReference) string {
	var out string
	if ref.SectionName != nil {
		out += " " + string(*ref.SectionName)
	}
	if ref.Port != nil {
		out += fmt.Sprintf(" with port %d", *ref.Port)
	}
	return out
}

// hostsOf lists the host names of a Gateway's listeners.
func hostsOf(gw *gatewayv1.Gateway) string {
	hosts := make([]string, 0, len(gw.Spec.Listeners))
	for i := range gw.Spec.Listeners {
		if h := spec.Host(&gw.Spec.Listeners[i]); h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return spec.List(hosts)
}

// allows says whether a listener takes HTTPRoutes of a namespace.
func allows(r *store.Reader, gw *gatewayv1.Gateway, l *gatewayv1.Listener, namespace string) bool {
	if kinds, _ := spec.Kinds(l, 0); len(kinds) == 0 {
		return false
	}
	switch spec.RoutesFrom(l) {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == gw.Namespace
	case gatewayv1.NamespacesFromSelector:
		selector, err := spec.Selector(l)
		ns := r.Namespace(namespace)
		return err == nil && ns != nil && selector.Matches(labels.Set(ns.Labels))
	}
	return false
}
