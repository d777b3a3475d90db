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

func (b *Builder) httpRoute(r *store.Reader, name types.NamespacedName) *Route {
	return b.route(r, r.HTTPRoute(name))
}

func (b *Builder) grpcRoute(r *store.Reader, name types.NamespacedName) *Route {
	return b.route(r, spec.HTTPForm(r.GRPCRoute(name)))
}

// route is nil for a route that nothing leads from to a Gateway of ours.
func (b *Builder) route(r *store.Reader, obj *gatewayv1.HTTPRoute) *Route {
	var node *Route
	var rules outcome
	for _, p := range b.parents(r, obj, &obj.Spec.CommonRouteSpec) {
		if node == nil {
			rules = resolveRules(r, obj)
			b.secure(r, rules.rules)
			node = &Route{Object: obj, Rules: rules.rules}
		}
		node.Parents = append(node.Parents, attach(r, applicant{spec.RouteKind(obj), obj, obj.Spec.Hostnames}, p, rules))
	}
	return node
}

// holderOf returns the Gateway of ours that a parentRef names, or the ListenerSet
// of one; nil if it names something else.
func (b *Builder) holderOf(r *store.Reader, route metav1.Object, ref gatewayv1.ParentReference) *holder {
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName {
		return nil
	}
	name := types.NamespacedName{Namespace: route.GetNamespace(), Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	switch {
	case ref.Kind == nil || *ref.Kind == gatewayv1.Kind(store.Gateway):
		if gw := r.Gateway(name); b.ours(r, gw) != nil {
			return own(gw)
		}
	case *ref.Kind == gatewayv1.Kind(store.ListenerSet):
		return b.setHolder(r, name)
	}
	return nil
}

// applicant is a route of any kind that wants to be attached.
type applicant struct {
	kind      gatewayv1.Kind
	object    metav1.Object
	hostnames []gatewayv1.Hostname
}

// attach decides where a route stands under one parentRef. It looks at specs
// only: whether a listener can serve does not count (ListenerStatus.AttachedRoutes).
func attach(r *store.Reader, route applicant, under parent, rules outcome) *Parent {
	gw, ref := under.of, under.ref
	p := &Parent{Ref: ref, Gateway: gw.gateway}
	var named, allowed int
	for i := range gw.Spec.Listeners {
		l := &gw.Spec.Listeners[i]
		if ref.SectionName != nil && *ref.SectionName != l.Name || ref.Port != nil && *ref.Port != l.Port {
			continue
		}
		named++
		form := route.kind == spec.KindIngress // made for this very Gateway
		if gw.closed || !form && (!spec.Takes(l, route.kind) || !allows(r, gw.Gateway, l, route.object.GetNamespace())) {
			continue
		}
		allowed++
		hosts := spec.Intersect(spec.Host(l), route.hostnames)
		if form && len(hosts) > 0 { // an exact host goes before a wildcard, whichever the listener has
			hosts = spec.Intersect("", route.hostnames)
		}
		if len(hosts) > 0 {
			p.Attached = append(p.Attached, &Attachment{Listener: gw.key(l), Hostnames: hosts})
		}
	}
	var accepted metav1.Condition
	switch {
	case named == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNoMatchingParent,
			fmt.Sprintf("%s has no listener%s; check sectionName and port of the parentRef", gw, wanted(ref)))
	case gw.closed:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners,
			fmt.Sprintf("%s is not accepted by Gateway %s; see its conditions", gw, p.Gateway))
	case allowed == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNotAllowedByListeners,
			fmt.Sprintf("no listener of %s takes %ss of namespace %s; see its protocols and allowedRoutes", gw, route.kind, route.object.GetNamespace()))
	case len(p.Attached) == 0:
		accepted = no(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonNoMatchingListenerHostname,
			fmt.Sprintf("spec.hostnames: none is taken by a listener of %s; listeners take %s", gw, hostsOf(gw.Gateway)))
	case rules.refused != nil:
		accepted = no(gatewayv1.RouteConditionAccepted, rules.refused.Reason, rules.refused.Text)
	default:
		accepted = yes(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonAccepted, "the route is accepted"+under.note)
	}
	p.Conditions = []metav1.Condition{accepted, rules.resolved}
	if rules.dropped != nil && accepted.Status == metav1.ConditionTrue {
		p.Conditions = append(p.Conditions, yes(gatewayv1.RouteConditionPartiallyInvalid, rules.dropped.Reason, rules.dropped.Text))
	}
	observed(route.object.GetGeneration(), p.Conditions)
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

// allows says whether a listener takes routes of a namespace.
func allows(r *store.Reader, gw *gatewayv1.Gateway, l *gatewayv1.Listener, namespace string) bool {
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
