package graph

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// Ingress is an Ingress of a class of ours, with all that is wrong with it.
type Ingress = ingress.Ingress

// OfIngresses says whether a Gateway is the one that the Ingresses of a class
// share. It is in no cluster.
func (g *Gateway) OfIngresses() bool { return ofIngresses(g.Object) }

func ofIngresses(gw *gatewayv1.Gateway) bool { return gw.Kind == spec.KindIngress }

// OfIngresses says whether a class is that of such a Gateway.
func (c *Class) OfIngresses() bool { return c.Object.Kind == spec.KindIngress }

// OfIngress says whether a route is what an Ingress says of a host.
func (r *Route) OfIngress() bool { return r.Object.Kind == spec.KindIngress }

// Redirects says whether a route does nothing but send callers to HTTPS, as an
// annotation of its Ingress asks.
func (r *Route) Redirects() bool { return r.OfIngress() && ingress.Redirects(r.Object) }

// conflictsOf are the listeners that are not distinct. Those for Ingresses are, and
// may be many.
func conflictsOf(gw *gatewayv1.Gateway) map[int]*spec.Problem {
	if ofIngresses(gw) {
		return nil
	}
	return spec.Conflicts(gw)
}

// refField is where the object says what a rule's backendRef says.
func refField(route *gatewayv1.HTTPRoute, rule *Rule, ref int) string {
	switch {
	case route.Kind != spec.KindIngress:
		return backendField(rule.Index, ref)
	case rule.Name == ingress.DefaultBackend:
		return "spec.defaultBackend.service"
	}
	return "spec." + rule.Name + ".backend.service"
}

// buildIngresses adds to what the translation found what became of the Ingresses'
// routes, and of the listeners that serve them.
func (b *Builder) buildIngresses(of *ingress.Result, g *Graph) {
	found := map[types.NamespacedName][]ingress.Fault{}
	closed := map[types.NamespacedName]ingress.Fault{}
	for _, c := range g.Classes {
		if accepted := find(c.Conditions, gatewayv1.GatewayClassConditionStatusAccepted); c.OfIngresses() && accepted.Status != metav1.ConditionTrue {
			at := types.NamespacedName{Namespace: b.config.Namespace, Name: c.Object.Name}
			closed[at] = ingress.Fault{Reason: accepted.Reason, Text: "spec.ingressClassName: the class is not accepted: " + accepted.Message}
		}
	}
	for _, gw := range g.Gateways {
		if !gw.OfIngresses() {
			continue
		}
		for _, l := range gw.Listeners {
			use, shows := of.Certificates[ingress.ListenerKey{Gateway: l.Key.Gateway, Listener: l.Key.Listener}]
			accepted, resolved := find(l.Conditions, gatewayv1.ListenerConditionAccepted), find(l.Conditions, gatewayv1.ListenerConditionResolvedRefs)
			switch {
			case accepted.Status != metav1.ConditionTrue && shows:
				found[use.Ingress] = append(found[use.Ingress], fault(accepted, use.Field))
			case accepted.Status != metav1.ConditionTrue:
				closed[l.Key.Gateway] = fault(accepted, "spec")
			case shows && resolved.Status != metav1.ConditionTrue:
				found[use.Ingress] = append(found[use.Ingress], fault(resolved, use.Field))
			}
		}
	}
	for _, r := range g.Routes {
		if !r.OfIngress() {
			continue
		}
		for _, p := range r.Parents {
			if c := find(p.Conditions, gatewayv1.RouteConditionResolvedRefs); c.Status == metav1.ConditionFalse {
				owner := types.NamespacedName{Namespace: r.Object.Namespace, Name: spec.OwnerName(r.Object.Name)}
				found[owner] = append(found[owner], ingress.Fault{Reason: c.Reason, Text: c.Message, Status: 500, Table: true})
			}
		}
	}
	merged := make(map[*Ingress]*Ingress, len(of.Ingresses))
	for _, in := range of.Ingresses {
		more := found[nameOf(in.Object)]
		if c, is := closed[in.Gateway]; is {
			more = append(more, c)
		}
		out := in
		if len(more) > 0 {
			out = &Ingress{Object: in.Object, Gateway: in.Gateway, Faults: slices.Concat(in.Faults, more)}
			if was := b.ingresses[in]; was != nil && slices.Equal(was.Faults, out.Faults) {
				out = was
			}
		}
		merged[in] = out
		g.Ingresses = append(g.Ingresses, out)
	}
	b.ingresses = merged
}

func find[T ~string](conditions []metav1.Condition, kind T) (out metav1.Condition) {
	if i := slices.IndexFunc(conditions, func(c metav1.Condition) bool { return c.Type == string(kind) }); i >= 0 {
		out = conditions[i]
	}
	return out
}

// fault is what a listener's condition says, of the field the Ingress has for it.
func fault(c metav1.Condition, field string) ingress.Fault {
	_, text, found := strings.Cut(c.Message, ": ")
	if !found {
		text = c.Message
	}
	return ingress.Fault{Reason: c.Reason, Text: field + ": " + text}
}
