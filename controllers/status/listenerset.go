package status

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// listeners says of each listener of one object what the graph found and what the
// proxy made of it; unbound names those that the proxy does not serve, and why.
func (p projection) listeners(list []*graph.Listener, of attach.TargetKey, generation int64) (out []gatewayv1.ListenerStatus, unbound []string, serving int) {
	for _, l := range list {
		conditions := slices.Clone(l.Conditions)
		if reason, text := p.problem(l); text != "" {
			setCondition(conditions, p.programmed(generation, string(reason), text))
			unbound = append(unbound, fmt.Sprintf("%s: %s", l.Key.Listener, text))
		} else if l.Serves {
			serving++
		}
		of.Section = l.Key.Listener
		out = append(out, gatewayv1.ListenerStatus{
			Name:           l.Key.Listener,
			SupportedKinds: append([]gatewayv1.RouteGroupKind{}, l.SupportedKinds...),
			AttachedRoutes: p.graph.Attached[l.Key],
			Conditions:     append(conditions, affectedBy(p.policies.Affected[of], generation)...),
		})
	}
	return out, unbound, serving
}

// attachedSets counts the ListenerSets that a Gateway accepted; nil where it
// takes none.
func attachedSets(gw *graph.Gateway) *int32 {
	if gw.Object.Spec.AllowedListeners == nil {
		return nil
	}
	var n int32
	for _, set := range gw.Sets {
		for _, c := range set.Conditions {
			if c.Type == string(gatewayv1.ListenerSetConditionAccepted) && c.Status == metav1.ConditionTrue {
				n++
			}
		}
	}
	return &n
}

func (p projection) listenerSet(set *graph.ListenerSet) Desired {
	name := types.NamespacedName{Namespace: set.Object.Namespace, Name: set.Object.Name}
	target, generation := attach.TargetKey{Kind: kindSet, NamespacedName: name}, set.Object.Generation
	listeners, unbound, serving := p.listeners(set.Listeners, target, generation)
	status := &gatewayv1.ListenerSetStatus{Conditions: slices.Clone(set.Conditions)}
	for _, l := range listeners {
		status.Listeners = append(status.Listeners, gatewayv1.ListenerEntryStatus(l))
	}
	for i := range status.Conditions {
		c := &status.Conditions[i]
		switch text := strings.Join(unbound, "; "); {
		case text == "" || c.Type != string(gatewayv1.ListenerSetConditionProgrammed) || c.Status != metav1.ConditionTrue:
		case serving > 0:
			c.Message += "; but not " + text
		default:
			*c = p.programmed(generation, string(gatewayv1.ListenerSetReasonInvalid), text)
		}
	}
	status.Conditions = append(status.Conditions, affectedBy(p.policies.Affected[target], generation)...)
	return Desired{Key: Key{kindSet, name}, Generation: generation, UID: set.Object.UID, Set: status}
}

func (m merger) listenerSet(have, want *gatewayv1.ListenerSetStatus) {
	have.Conditions = m.conditions(have.Conditions, want.Conditions)
	was := make([]gatewayv1.ListenerStatus, 0, len(have.Listeners))
	for _, l := range have.Listeners {
		was = append(was, gatewayv1.ListenerStatus(l))
	}
	is := make([]gatewayv1.ListenerStatus, 0, len(want.Listeners))
	for _, l := range want.Listeners {
		is = append(is, gatewayv1.ListenerStatus(l))
	}
	have.Listeners = nil
	for _, l := range m.listeners(was, is) {
		have.Listeners = append(have.Listeners, gatewayv1.ListenerEntryStatus(l))
	}
}
