package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// tell sends an event for every condition of an object that, with this write,
// came to say "not accepted", or came to say it differently; for Gateways whose
// Service or address cannot be had; and for policies whose status has no room
// (GEP-713).
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
			if c.Status == metav1.ConditionFalse && (c.Type == string(gatewayv1.GatewayConditionAccepted) || wanting(c)) || c.Type == typeUnreported {
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

// wanting says whether a condition is that of a Gateway that something has to be
// done for outside of it.
func wanting(c metav1.Condition) bool {
	return c.Type == string(gatewayv1.GatewayConditionProgrammed) &&
		(c.Reason == string(gatewayv1.GatewayReasonNoResources) || c.Reason == string(gatewayv1.GatewayReasonAddressNotUsable))
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
