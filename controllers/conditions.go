package controllers

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/status"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Condition is a condition that a Graph or its Policies ask for, and where.
type Condition struct {
	Object  string                 `json:"object"`            // "HTTPRoute shop/orders"
	Section string                 `json:"section,omitempty"` // "listener https", "parent shop/edge", "ancestor shop/edge"
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message,omitempty"`
}

// String is the condition on one line.
func (c Condition) String() string {
	where := c.Object
	if c.Section != "" {
		where += " " + c.Section
	}
	return strings.TrimSpace(fmt.Sprintf("status %s: %s=%s %s %s", where, c.Type, c.Status, c.Reason, c.Message))
}

// Conditions lists every condition a Graph and its Policies ask for, in their order.
func Conditions(g *graph.Graph, policies *attach.Policies) (out []Condition) {
	add := func(object, section string, conditions []metav1.Condition) {
		for _, c := range conditions {
			out = append(out, Condition{object, section, c.Type, c.Status, c.Reason, c.Message})
		}
	}
	for _, c := range g.Classes {
		if c.OfIngresses() {
			continue
		}
		add("GatewayClass "+c.Object.Name, "", c.Conditions)
	}
	reached := func(kind store.Kind, o metav1.Object, listener gatewayv1.SectionName, own []metav1.Condition) []metav1.Condition {
		at := attach.TargetKey{Kind: string(kind), NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}, Section: listener}
		return slices.Concat(own, status.OfTarget(policies, at, 0))
	}
	for _, gw := range g.Gateways {
		if gw.OfIngresses() {
			continue
		}
		object := "Gateway " + gw.Object.Namespace + "/" + gw.Object.Name
		add(object, "", reached(store.Gateway, gw.Object, "", gw.Conditions))
		for _, l := range gw.Listeners {
			if (l.Key.Set == types.NamespacedName{}) {
				add(object, "listener "+string(l.Key.Listener), reached(store.Gateway, gw.Object, l.Key.Listener, l.Conditions))
			}
		}
	}
	for _, gw := range g.Gateways {
		for _, set := range gw.Sets {
			object := "ListenerSet " + set.Object.Namespace + "/" + set.Object.Name
			add(object, "", reached(store.ListenerSet, set.Object, "", set.Conditions))
			for _, l := range set.Listeners {
				add(object, "listener "+string(l.Key.Listener), reached(store.ListenerSet, set.Object, l.Key.Listener, l.Conditions))
			}
		}
	}
	for _, in := range g.Ingresses {
		for _, f := range in.Faults {
			out = append(out, Condition{"Ingress " + in.Object.Namespace + "/" + in.Object.Name, "", typeEvent, metav1.ConditionStatus(corev1.EventTypeWarning), f.Reason, f.Text})
		}
	}
	for _, r := range g.Routes {
		if r.OfIngress() {
			continue
		}
		for _, p := range r.Parents {
			add(r.Kind()+" "+r.Object.Namespace+"/"+r.Object.Name, "parent "+p.Gateway.String(), reached(store.Kind(r.Kind()), r.Object, "", p.Conditions))
		}
	}
	for _, r := range g.Streams {
		for _, p := range r.Parents {
			add(string(r.Kind)+" "+r.Name().String(), "parent "+p.Gateway.String(), p.Conditions)
		}
	}
	for _, e := range policies.Externals {
		for _, gw := range e.Gateways {
			add("XBackend "+e.Object.Namespace+"/"+e.Object.Name, "ancestor "+gw.String(), e.Conditions)
		}
	}
	for _, p := range policies.All {
		for _, a := range p.Ancestors {
			add(p.Key.Kind+" "+p.Key.String(), "ancestor "+ancestor(a), a.Conditions)
		}
	}
	return out
}

// ancestor is the Gateway, or what was to lead to one and is not there.
func ancestor(a *attach.Ancestor) string {
	switch {
	case a.Missing.Kind == "":
		return a.Gateway.String()
	case a.Missing.Section == "":
		return a.Missing.Kind + " " + a.Missing.String()
	}
	return a.Missing.Kind + " " + a.Missing.String() + " " + string(a.Missing.Section)
}

// typeEvent is the type of what is said in an Event, of objects without conditions.
const typeEvent = "Event"

// Faulty says whether the author of a manifest has something to mend: the
// condition is bad, and not merely on its way to being good.
func (c Condition) Faulty() bool {
	switch c.Type {
	case "Accepted", "ResolvedRefs":
		return c.Status == metav1.ConditionFalse
	case typeEvent:
		return true
	case "Conflicted", "PartiallyInvalid":
		return c.Status == metav1.ConditionTrue
	}
	return false
}

// Noted says whether what a condition says is in order, but perhaps not meant: rules that a
// policy keeps from being served, or a policy that lacks something that may come yet.
func (c Condition) Noted() bool {
	lacks := c.Reason == "Reconciling" || c.Reason == string(gatewayv1.RouteReasonRefNotPermitted)
	return c.Reason == status.ReasonUnguarded || c.Type == "Programmed" && c.Status == metav1.ConditionFalse && lacks
}

// Alone says whether a faulty condition is about the object by itself: whatever else is
// there, it has to be mended.
func (c Condition) Alone() bool {
	switch c.Reason {
	case string(gatewayv1.PolicyReasonInvalid), string(gatewayv1.RouteReasonUnsupportedValue), string(gatewayv1.RouteReasonIncompatibleFilters),
		string(gatewayv1.ListenerReasonUnsupportedProtocol), string(gatewayv1.ListenerReasonInvalidRouteKinds):
		return true
	}
	return false
}

// leadingField is the field path that a message starts with.
var leadingField = regexp.MustCompile(`^(?:spec|metadata|data)(?:[.\[][\w.\[\]"/-]*)?: `)

// Field is the field the message is about, "spec.rules[0].backendRefs[1]", and
// the rest of the message.
func (c Condition) Field() (field, rest string) {
	at := leadingField.FindString(c.Message)
	return strings.TrimSuffix(at, ": "), c.Message[len(at):]
}
