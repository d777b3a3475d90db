package graph

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// ListenerSet is a ListenerSet whose parentRef leads to a Gateway of ours
// (GEP-1713).
type ListenerSet struct {
	Object     *gatewayv1.ListenerSet
	Gateway    types.NamespacedName
	Listeners  []*Listener        // in the spec's order; empty where the Gateway does not take the set
	Conditions []metav1.Condition // Accepted; Programmed as far as the graph can tell
}

// ID names a listener in the table and in what the proxy says of it:
// namespace/gateway/listener, or namespace/gateway/namespace:set:listener.
func (k ListenerKey) ID() string {
	name := string(k.Listener)
	if k.Set != (types.NamespacedName{}) {
		name = k.Set.Namespace + ":" + k.Set.Name + ":" + name // a colon is in no name
	}
	return k.Gateway.String() + "/" + name
}

// holder is what listeners stand in: a Gateway, or a ListenerSet of it.
type holder struct {
	*gatewayv1.Gateway                      // or a stand-in for the ListenerSet, with its name, listeners and generation
	kind               store.Kind           //
	gateway            types.NamespacedName //
	set                types.NamespacedName // "" for the Gateway's own
	closed             bool                 // a ListenerSet that the Gateway does not take
}

func (h *holder) String() string { return string(h.kind) + " " + nameOf(h.Gateway).String() }

func (h *holder) key(l *gatewayv1.Listener) ListenerKey {
	return ListenerKey{Gateway: h.gateway, Listener: l.Name, Set: h.set}
}

// own is the listeners of the Gateway's own spec.
func own(gw *gatewayv1.Gateway) *holder {
	return &holder{Gateway: gw, kind: store.Gateway, gateway: nameOf(gw)}
}

// added is the listeners that a ListenerSet brings to a Gateway. They are read
// like a Gateway's, in the namespace of the set.
func added(gw *gatewayv1.Gateway, set *gatewayv1.ListenerSet) *holder {
	in := &gatewayv1.Gateway{ObjectMeta: set.ObjectMeta, Spec: gw.Spec}
	in.Spec.Listeners = make([]gatewayv1.Listener, len(set.Spec.Listeners))
	for i, l := range set.Spec.Listeners {
		in.Spec.Listeners[i] = gatewayv1.Listener(l)
	}
	return &holder{Gateway: in, kind: store.ListenerSet, gateway: nameOf(gw), set: nameOf(set)}
}

// setHolder is the ListenerSet of that name, if it is of a Gateway of ours.
func (b *Builder) setHolder(r *store.Reader, name types.NamespacedName) *holder {
	set := r.ListenerSet(name)
	if set == nil {
		return nil
	}
	parent, ok := spec.SetParent(set)
	if !ok {
		return nil
	}
	gw := r.Gateway(parent)
	if b.ours(r, gw) == nil {
		return nil
	}
	of := added(gw, set)
	of.closed = !takesSet(r, gw, set.Namespace)
	return of
}

// setsOf returns the ListenerSets whose parentRef names a Gateway, in the order
// of their precedence.
func setsOf(r *store.Reader, gw *gatewayv1.Gateway) (out []*gatewayv1.ListenerSet) {
	for _, set := range r.ListenerSets() {
		if parent, ok := spec.SetParent(set); ok && parent == nameOf(gw) {
			out = append(out, set)
		}
	}
	slices.SortFunc(out, func(a, b *gatewayv1.ListenerSet) int { return older(a, b) })
	return out
}

// takesSet says whether a Gateway takes ListenerSets of a namespace
// (GatewaySpec.AllowedListeners).
func takesSet(r *store.Reader, gw *gatewayv1.Gateway, namespace string) bool {
	from, selector := spec.ListenersFrom(gw)
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == gw.Namespace
	case gatewayv1.NamespacesFromSelector:
		ns := r.Namespace(namespace)
		return ns != nil && selector.Matches(labels.Set(ns.Labels))
	}
	return false
}

// setInput is what the ListenerSets of a Gateway are made of.
type setInput struct {
	gateway  *gatewayv1.Gateway
	accepted bool   // the Gateway is
	serves   bool   // listeners may serve
	taken    *taken // by older Gateways
	way      way
}

// listenerSets resolves the ListenerSets of a Gateway. Of listeners that are not
// distinct the first has its place: the Gateway's own before those of sets, those
// of an older set before those of a younger one (GEP-1713, "Listener precedence").
func (b *Builder) listenerSets(r *store.Reader, in setInput) (out []*ListenerSet) {
	var before []*gatewayv1.Listener
	for i := range in.gateway.Spec.Listeners {
		before = append(before, &in.gateway.Spec.Listeners[i])
	}
	for _, obj := range setsOf(r, in.gateway) {
		set := &ListenerSet{Object: obj, Gateway: nameOf(in.gateway)}
		out = append(out, set)
		switch {
		case !takesSet(r, in.gateway, obj.Namespace):
			set.refuse(gatewayv1.ListenerSetReasonNotAllowed, fmt.Sprintf(
				"spec.parentRef: Gateway %s takes no ListenerSets of namespace %s; see its allowedListeners", set.Gateway, obj.Namespace))
			continue
		case !in.accepted && !in.serves:
			set.parentRefused()
			continue
		}
		of := added(in.gateway, obj)
		for i := range of.Spec.Listeners {
			l := &of.Spec.Listeners[i]
			conflict := spec.Taken(l, i, before)
			if conflict == nil {
				before = append(before, l)
			}
			set.Listeners = append(set.Listeners, b.setListener(r, in, listenerInput{of, i, in.taken, conflict}))
		}
		if set.Conditions = setConditions(set.Listeners); !in.accepted {
			set.parentRefused()
		}
	}
	return out
}

func (b *Builder) setListener(r *store.Reader, in setInput, of listenerInput) *Listener {
	l := b.listener(r, of)
	l.Serves = l.Serves && in.serves
	programmed := in.way.lead(l)
	if of.conflict != nil {
		programmed.Reason = of.conflict.Reason
	}
	l.Conditions = append(l.Conditions, programmed)
	return l
}

// observed stamps the set's generation on all its conditions.
func (s *ListenerSet) observed() {
	observed(s.Object.Generation, s.Conditions)
	for _, l := range s.Listeners {
		observed(s.Object.Generation, l.Conditions)
	}
}

func (s *ListenerSet) parentRefused() {
	s.refuse(gatewayv1.ListenerSetReasonParentNotAccepted, fmt.Sprintf("Gateway %s is not accepted", s.Gateway))
}

func (s *ListenerSet) refuse(reason gatewayv1.ListenerSetConditionReason, text string) {
	s.Conditions = []metav1.Condition{
		no(gatewayv1.ListenerSetConditionAccepted, reason, text),
		no(gatewayv1.ListenerSetConditionProgrammed, reason, text),
	}
}

// setConditions says how much of a ListenerSet can serve.
func setConditions(listeners []*Listener) []metav1.Condition {
	var good, bad []string
	serving := 0
	for _, l := range listeners {
		if !l.usable {
			bad = append(bad, string(l.Spec.Name))
			continue
		}
		good = append(good, string(l.Spec.Name))
		if l.Serves {
			serving++
		}
	}
	accepted := yes(gatewayv1.ListenerSetConditionAccepted, gatewayv1.ListenerSetReasonAccepted, "the ListenerSet is accepted")
	programmed := yes(gatewayv1.ListenerSetConditionProgrammed, gatewayv1.ListenerSetReasonProgrammed, "the listeners serve")
	switch {
	case len(good) == 0:
		text := "no listener can serve; see the conditions of " + strings.Join(bad, ", ")
		return []metav1.Condition{
			no(gatewayv1.ListenerSetConditionAccepted, gatewayv1.ListenerSetReasonListenersNotValid, text),
			no(gatewayv1.ListenerSetConditionProgrammed, gatewayv1.ListenerSetReasonListenersNotValid, text),
		}
	case len(bad) > 0:
		accepted.Reason = string(gatewayv1.ListenerSetReasonListenersNotValid)
		accepted.Message = fmt.Sprintf("listeners that can serve: %s; that cannot, see their conditions: %s",
			strings.Join(good, ", "), strings.Join(bad, ", "))
		programmed.Message = "these listeners serve: " + strings.Join(good, ", ")
	}
	if serving == 0 {
		programmed = no(gatewayv1.ListenerSetConditionProgrammed, gatewayv1.ListenerSetReasonPending, "the Gateway does not serve the listeners yet; see its conditions")
	}
	return []metav1.Condition{accepted, programmed}
}
