package spec

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// SetParent returns the Gateway that a ListenerSet adds listeners to, false if it
// names something else.
func SetParent(set *gatewayv1.ListenerSet) (types.NamespacedName, bool) {
	ref := &set.Spec.ParentRef
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName || ref.Kind != nil && *ref.Kind != "Gateway" {
		return types.NamespacedName{}, false
	}
	name := types.NamespacedName{Namespace: set.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	return name, true
}

// ListenersFrom says of which namespaces a Gateway takes ListenerSets. The
// selector takes none where namespaces are not selected by labels, or where it is
// no selector.
func ListenersFrom(gw *gatewayv1.Gateway) (gatewayv1.FromNamespaces, labels.Selector) {
	allowed := gw.Spec.AllowedListeners
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil {
		return gatewayv1.NamespacesFromNone, labels.Nothing()
	}
	selector, err := metav1.LabelSelectorAsSelector(allowed.Namespaces.Selector)
	if err != nil {
		selector = labels.Nothing()
	}
	return *allowed.Namespaces.From, selector
}

// Taken finds the listener among earlier ones from which a listener of a
// ListenerSet is not distinct: the earlier has the place.
func Taken(l *gatewayv1.Listener, index int, earlier []*gatewayv1.Listener) *Problem {
	for _, o := range earlier {
		if l.Port != o.Port || !Speaks(l.Protocol) || !Speaks(o.Protocol) {
			continue
		}
		if p := conflict(l, o, index); p != nil {
			return p
		}
	}
	return nil
}
