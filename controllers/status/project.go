// Package status writes what graph and attach found into the statuses of the objects.
//
// cmd starts the Writer on the leader, hands it every Graph with its Policies and tells it what
// the proxy could apply; it calls the API server. What a status should say is
// computed by a projection, from values to values; the Writer merges that into what
// the API server has, and is the only one that writes.
package status

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Applied is what the proxy says of the tables it was given.
type Applied struct {
	Generation uint64               // tables it has swapped to; 0 before the first
	BindErrors map[string]BindError // listeners that cannot serve, by "namespace/gateway/listener", and why
	Refused    string               // why the newest table was refused whole; "" when it was not
	// Services names the Services of Gateways that could not be made as they should, and why.
	Services map[types.NamespacedName]string
	// KeySets are those that were never fetched, by the ID that policy.DiscoveredKeys and
	// its like make, and why.
	KeySets map[string]string
}

// BindError is why a listener cannot serve.
type BindError struct {
	Text string
	Port bool // it does not have its port
}

// The kinds that have a status of ours.
const (
	kindClass   = "GatewayClass"
	kindGateway = "Gateway"
	kindSet     = "ListenerSet"
	kindRoute   = "HTTPRoute"
	kindTLS     = "TLSRoute"
	kindTCP     = "TCPRoute"
	kindUDP     = "UDPRoute"
	kindGRPC    = "GRPCRoute"
	kindIngress = "Ingress"

	kindBackendTLS = "BackendTLSPolicy"
	kindTraffic    = "XBackendTrafficPolicy"
	kindOutside    = "XBackend"
)

// Key names an object with a status.
type Key struct {
	Kind string
	types.NamespacedName
}

// Desired is what the status of one object should say, our part of it.
// Conditions have no times yet. Of Class, Gateway, Set, Ingress, Parents, Ancestors and Backend the one
// that goes with the kind counts; no entries there means that none of ours
// should be left.
type Desired struct {
	Key        Key
	Generation int64 // of the object it was derived from; 0 for whatever there is now
	// UID tells the object from another of its name that was there before, and
	// got the same status.
	UID       types.UID
	Class     *gatewayv1.GatewayClassStatus
	Gateway   *gatewayv1.GatewayStatus
	Set       *gatewayv1.ListenerSetStatus
	Ingress   *ingressStatus
	Parents   []gatewayv1.RouteParentStatus
	Ancestors []gatewayv1.PolicyAncestorStatus
	Backend   []gatewayxv1alpha1.BackendAncestorStatus
}

// picture is what the statuses are made of.
type picture struct {
	graph    *graph.Graph
	policies *attach.Policies
}

// projection computes what every status should say.
type projection struct {
	picture
	applied    Applied
	controller gatewayv1.GatewayController
}

// source is what a Desired of a route or policy is made of, to be compared.
type source struct {
	node     any // pointer
	affected []attach.PolicyKey
	requires attach.PolicyKey // that leaves rules of a route out; the zero value if none does
	keyless  string           // see projection.keyless
}

func (s source) same(o source) bool {
	return s.node == o.node && s.requires == o.requires && s.keyless == o.keyless && slices.Equal(s.affected, o.affected)
}

// each visits every Desired but those whose source is known: classes first, then
// Gateways, routes, policies, and the objects that have entries of ours to lose.
func (p projection) each(visit func(Desired, source), known func(Key, source) bool) {
	for _, c := range p.graph.Classes {
		if !c.OfIngresses() {
			visit(class(c), source{})
		}
	}
	for _, gw := range p.graph.Gateways {
		if gw.OfIngresses() {
			continue
		}
		visit(p.gateway(gw), source{})
		for _, set := range gw.Sets {
			visit(p.listenerSet(set), source{})
		}
	}
	p.ingresses(visit)
	for _, r := range p.graph.Routes {
		if r.OfIngress() {
			continue
		}
		key := Key(r.Key())
		at := attach.TargetKey{Kind: key.Kind, NamespacedName: key.NamespacedName}
		if s := (source{node: r, affected: p.policies.Affected[at], requires: p.policies.Unguarded[at]}); !known(key, s) {
			visit(p.route(key, r, s), s)
		}
	}
	for _, r := range p.graph.Streams {
		key := Key{string(r.Kind), r.Name()}
		if s := (source{node: r}); !known(key, s) {
			visit(Desired{Key: key, Generation: r.Object.GetGeneration(), UID: r.Object.GetUID(), Parents: p.parents(r.Parents)}, s)
		}
	}
	for _, e := range p.policies.Externals {
		visit(p.external(e), source{})
	}
	for _, policy := range p.policies.All {
		key := Key{policy.Key.Kind, policy.Key.NamespacedName}
		if s := (source{node: policy, keyless: p.keyless(policy)}); !known(key, s) {
			visit(p.policy(key, policy, s), s)
		}
	}
	for _, stale := range p.graph.Stale {
		visit(Desired{Key: Key(stale)}, source{})
	}
	for _, stale := range p.policies.Stale {
		visit(Desired{Key: Key(stale)}, source{})
	}
}

func class(c *graph.Class) Desired {
	return Desired{
		Key:        Key{kindClass, types.NamespacedName{Name: c.Object.Name}},
		Generation: c.Object.Generation,
		UID:        c.Object.UID,
		Class:      &gatewayv1.GatewayClassStatus{Conditions: slices.Clone(c.Conditions), SupportedFeatures: supportedFeatures()},
	}
}

func (p projection) route(key Key, r *graph.Route, s source) Desired {
	d := Desired{Key: key, Generation: r.Object.Generation, UID: r.Object.UID}
	for _, parent := range r.Parents {
		conditions := slices.Concat(parent.Conditions, affectedBy(s.affected, r.Object.Generation), unguarded(s.requires, r.Object.Generation))
		d.Parents = append(d.Parents, gatewayv1.RouteParentStatus{ParentRef: parent.Ref, ControllerName: p.controller, Conditions: conditions})
	}
	return d
}

// parents are the entries of a route that no policy reaches.
func (p projection) parents(all []*graph.Parent) (out []gatewayv1.RouteParentStatus) {
	for _, parent := range all {
		out = append(out, gatewayv1.RouteParentStatus{ParentRef: parent.Ref, ControllerName: p.controller, Conditions: slices.Clone(parent.Conditions)})
	}
	return out
}

func (p projection) policy(key Key, policy *attach.Policy, s source) Desired {
	d := Desired{Key: key, Generation: policy.Generation}
	if object, ok := policy.Object.(metav1.Object); ok {
		d.UID = object.GetUID()
	}
	for _, a := range policy.Ancestors {
		d.Ancestors = append(d.Ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef: ancestorRef(a), ControllerName: p.controller, Conditions: awaiting(a.Conditions, s.keyless),
		})
	}
	return d
}

// ancestorRef names the Gateway, or the target that leads nowhere.
func ancestorRef(a *attach.Ancestor) gatewayv1.ParentReference {
	at := attach.TargetKey{Kind: kindGateway, NamespacedName: a.Gateway}
	if a.Missing.Kind != "" {
		at = a.Missing
	}
	group, kind, namespace := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind(at.Kind), gatewayv1.Namespace(at.Namespace)
	if other, name, found := strings.Cut(at.Kind, "/"); found {
		group, kind = gatewayv1.Group(other), gatewayv1.Kind(name)
	}
	if class, derived := spec.DerivedPart(at.Name); derived { // what callers of Ingresses know it by
		group, kind = networkingv1.GroupName, gatewayv1.Kind(store.IngressClass)
		return gatewayv1.ParentReference{Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(class)}
	}
	ref := gatewayv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gatewayv1.ObjectName(at.Name)}
	if at.Section != "" {
		ref.SectionName = &at.Section
	}
	return ref
}

func (p projection) gateway(gw *graph.Gateway) Desired {
	name := types.NamespacedName{Namespace: gw.Object.Namespace, Name: gw.Object.Name}
	target := attach.TargetKey{Kind: kindGateway, NamespacedName: name}
	generation := gw.Object.Generation
	own := slices.DeleteFunc(slices.Clone(gw.Listeners), func(l *graph.Listener) bool { return l.Key.Set != types.NamespacedName{} })
	listeners, unbound, serving := p.listeners(own, target, generation)
	status := &gatewayv1.GatewayStatus{Addresses: gw.Addresses, Listeners: listeners, AttachedListenerSets: attachedSets(gw)}
	status.Conditions = slices.Clone(gw.Conditions)
	if len(unbound) > 0 {
		p.unbound(gw, status, unbound, serving)
	}
	if gw.Service != nil && p.applied.Services[gw.Service.Name] != "" {
		p.unmade(gw, status)
	}
	status.Conditions = append(status.Conditions, affectedBy(p.policies.Affected[target], generation)...)
	if policies := p.policies.Unreported[name]; len(policies) > 0 {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: typeUnreported, Status: metav1.ConditionTrue, Reason: "AncestorLimitReached", ObservedGeneration: generation,
			Message: "the statuses of these policies have no room to speak of this Gateway: " + keys(policies),
		})
	}
	return Desired{Key: Key{kindGateway, name}, Generation: generation, UID: gw.Object.UID, Gateway: status}
}

// problem says what the proxy has against a listener that the graph lets serve.
func (p projection) problem(l *graph.Listener) (reason gatewayv1.ListenerConditionReason, text string) {
	reason = gatewayv1.ListenerReasonInvalid
	switch failed := p.applied.BindErrors[l.Key.ID()]; {
	case !l.Serves:
	case failed.Port:
		return gatewayv1.ListenerReasonPortUnavailable, failed.Text
	case failed.Text != "":
		return reason, failed.Text
	case p.applied.Refused != "":
		return reason, "the configuration was refused, the one before serves on: " + p.applied.Refused
	case p.applied.Generation == 0:
		return reason, "nothing is applied yet"
	}
	return "", ""
}

// programmed is the condition of what the proxy does not serve: pending until it
// has applied anything at all.
func (p projection) programmed(generation int64, reason, text string) metav1.Condition {
	c := metav1.Condition{Type: string(gatewayv1.GatewayConditionProgrammed), Status: metav1.ConditionFalse, Reason: reason, Message: text, ObservedGeneration: generation}
	if p.applied.Generation == 0 && p.applied.Refused == "" {
		c.Status, c.Reason = metav1.ConditionUnknown, string(gatewayv1.GatewayReasonPending)
	}
	return c
}

// unbound makes a Gateway answer for listeners that the proxy does not serve: it
// is not programmed when none is left.
func (p projection) unbound(gw *graph.Gateway, status *gatewayv1.GatewayStatus, listeners []string, serving int) {
	text := strings.Join(listeners, "; ")
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Type != string(gatewayv1.GatewayConditionProgrammed) || c.Status != metav1.ConditionTrue {
			continue
		}
		if serving > 0 {
			c.Message += "; but not " + text
			continue
		}
		reason := gatewayv1.GatewayReasonInvalid
		if len(gw.Object.Spec.Addresses) > 0 && gw.Service == nil {
			reason = gatewayv1.GatewayReasonAddressNotUsable
		}
		*c = p.programmed(gw.Object.Generation, string(reason), text)
		// Other addresses are the Gateway's, whatever this replica serves: who makes DNS
		// records of them must not take them back for as long as a port is taken.
		if reason == gatewayv1.GatewayReasonAddressNotUsable && p.applied.Generation > 0 && p.applied.Refused == "" {
			status.Addresses = nil
		}
	}
}

// unmade makes a Gateway answer for its Service, which the API server does not
// take as it should be.
func (p projection) unmade(gw *graph.Gateway, status *gatewayv1.GatewayStatus) {
	text := fmt.Sprintf("Service %s cannot be made as it should be: %s", gw.Service.Name, p.applied.Services[gw.Service.Name])
	if slices.ContainsFunc(gw.Listeners, func(l *graph.Listener) bool { return l.Serves }) {
		text += "; what was set up before goes on serving"
	}
	setCondition(status.Conditions, metav1.Condition{
		Type: string(gatewayv1.GatewayConditionProgrammed), Status: metav1.ConditionFalse, Reason: string(gatewayv1.GatewayReasonNoResources),
		Message: text, ObservedGeneration: gw.Object.Generation,
	})
}

func setCondition(list []metav1.Condition, c metav1.Condition) {
	for i := range list {
		if list[i].Type == c.Type {
			list[i] = c
		}
	}
}

// The types of our own conditions.
const (
	ownPrefix      = v1alpha1.GroupName + "/"
	typeUnreported = ownPrefix + "PolicyUnreported"
	typeGuarded    = ownPrefix + "Guarded"

	ReasonUnguarded = "AuthenticationRequired" // some rules of a route are not served: a policy demands authentication, and none asks for any
)

// OfTarget are the conditions of a Gateway, ListenerSet, listener or route that
// come of the policies that reach it.
func OfTarget(policies *attach.Policies, target attach.TargetKey, generation int64) []metav1.Condition {
	return slices.Concat(affectedBy(policies.Affected[target], generation), unguarded(policies.Unguarded[target], generation))
}

// affectedBy tells an object which policies reach it, one condition per kind
// (GEP-713, "Target object status").
func affectedBy(policies []attach.PolicyKey, generation int64) (out []metav1.Condition) {
	for _, kind := range []string{v1alpha1.KindAuthPolicy, v1alpha1.KindValidationPolicy} {
		ofKind := slices.DeleteFunc(slices.Clone(policies), func(k attach.PolicyKey) bool { return k.Kind != kind })
		if len(ofKind) > 0 {
			out = append(out, metav1.Condition{
				Type: ownPrefix + kind + "Affected", Status: metav1.ConditionTrue, Reason: "PolicyAffected", ObservedGeneration: generation,
				Message: "affected by " + keys(ofKind),
			})
		}
	}
	return out
}

// unguarded tells a route that some of its rules are not served, and what to do.
func unguarded(by attach.PolicyKey, generation int64) []metav1.Condition {
	if by == (attach.PolicyKey{}) {
		return nil
	}
	return []metav1.Condition{{
		Type: typeGuarded, Status: metav1.ConditionFalse, Reason: ReasonUnguarded, ObservedGeneration: generation,
		Message: by.Kind + " " + by.String() + " requires authentication, and some rules ask for none: they answer 403. " +
			"Attach an AuthPolicy with authentication to them, or one with public and a reason",
	}}
}

// maxNames is how many policies a message names.
const maxNames = 8

func keys(policies []attach.PolicyKey) string {
	names := make([]string, 0, maxNames+1)
	for i, k := range policies {
		if i == maxNames {
			names = append(names, fmt.Sprintf("%d more", len(policies)-i))
			break
		}
		names = append(names, k.Kind+" "+k.String())
	}
	return strings.Join(names, ", ")
}
