package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// tell sends an event for every condition of an object that, with this write,
// came to say "not accepted", "does not find what it refers to" or "in part not
// served", or came to say it differently; for Gateways whose Service, address or port,
// and for policies whose issuer's keys cannot be had; and for policies whose status has no room (GEP-713).
func (w *Writer) tell(before, after client.Object) {
	was := map[string]bool{}
	for _, c := range complaints(before, w.opts.Controller) {
		was[c.Reason+" "+c.Message] = true
	}
	for _, c := range complaints(after, w.opts.Controller) {
		if text := c.Reason + " " + c.Message; !was[text] {
			was[text] = true
			w.opts.Event(after, c.Reason, cut(c.Message, maxNote))
		}
	}
}

// complaints are the conditions of ours that an event goes with.
func complaints(obj client.Object, controller gatewayv1.GatewayController) (out []metav1.Condition) {
	add := func(list []metav1.Condition) {
		for _, c := range list {
			if complaint(c) {
				out = append(out, c)
			}
		}
	}
	switch o := obj.(type) {
	case *gatewayv1.GatewayClass:
		add(o.Status.Conditions)
	case *gatewayv1.Gateway:
		add(o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			add(l.Conditions)
		}
	case *gatewayv1.ListenerSet:
		add(o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			add(l.Conditions)
		}
	case *gatewayv1.HTTPRoute:
		addParents(o.Status.Parents, controller, add)
	case *gatewayv1.GRPCRoute:
		addParents(o.Status.Parents, controller, add)
	case *gatewayv1.TLSRoute:
		addParents(o.Status.Parents, controller, add)
	case *gatewayv1.TCPRoute:
		addParents(o.Status.Parents, controller, add)
	case *gatewayv1.UDPRoute:
		addParents(o.Status.Parents, controller, add)
	case *gatewayxv1alpha1.XBackendTrafficPolicy:
		addAncestors(o.Status.Ancestors, controller, add)
	case *gatewayv1.BackendTLSPolicy:
		addAncestors(o.Status.Ancestors, controller, add)
	case *gatewayxv1alpha1.XBackend:
		for _, a := range o.Status.Ancestors {
			if a.ControllerName == controller {
				add(a.Conditions)
			}
		}
	case *v1alpha1.AuthPolicy:
		addAncestors(o.Status.Ancestors, controller, add)
	case *v1alpha1.ValidationPolicy:
		addAncestors(o.Status.Ancestors, controller, add)
	}
	return out
}

// complaint says whether an event goes with a condition.
func complaint(c metav1.Condition) bool {
	switch c.Type {
	case string(gatewayv1.GatewayConditionAccepted), string(gatewayv1.RouteConditionResolvedRefs):
		return c.Status == metav1.ConditionFalse
	case string(gatewayv1.GatewayConditionProgrammed):
		return c.Status == metav1.ConditionFalse && wanting(c.Reason)
	case string(gatewayv1.RouteConditionPartiallyInvalid), typeUnreported:
		return c.Status == metav1.ConditionTrue
	}
	return false
}

// wanting says whether a Gateway, listener or policy is not programmed for something that has
// to be done outside of it.
func wanting(reason string) bool {
	switch reason {
	case string(gatewayv1.GatewayReasonNoResources), string(gatewayv1.GatewayReasonAddressNotUsable), string(gatewayv1.ListenerReasonPortUnavailable), reasonKeySet:
		return true
	}
	return false
}

func addParents(list []gatewayv1.RouteParentStatus, controller gatewayv1.GatewayController, add func([]metav1.Condition)) {
	for _, p := range list {
		if p.ControllerName == controller {
			add(p.Conditions)
		}
	}
}

func addAncestors(list []gatewayv1.PolicyAncestorStatus, controller gatewayv1.GatewayController, add func([]metav1.Condition)) {
	for _, a := range list {
		if a.ControllerName == controller {
			add(a.Conditions)
		}
	}
}
