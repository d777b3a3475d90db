// Package graph is the resolved picture of the cluster: which routes attach to
// which listeners, what every reference points to, which policy reaches which
// rule, and what each object's status must say about it.
//
// The pipeline calls Builder.Build after every change; compile turns the Graph
// into a table and status projects it into patches. It reads the store and
// nothing else: no client, no context, no clock, no logger, no I/O. The same
// objects always give the same Graph, and a node whose inputs did not change is
// the same pointer as in the Graph before.
//
// Nothing edits a Graph after it is built.
package graph

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Graph is everything one build found. Slices are sorted by namespace, then
// name, so that equal inputs print equally.
type Graph struct {
	Classes  []*Class
	Gateways []*Gateway // of our classes
	Routes   []*Route   // with at least one parentRef to a Gateway of ours
	Policies []*Policy  // with at least one targetRef that leads to a Gateway of ours, or to nothing
	// Attached counts the routes per listener, for Gateway status.
	Attached map[ListenerKey]int32
	// Affected says which policies reach an object, for its
	// gatehouse.dev/<Kind>Affected condition.
	Affected map[TargetKey][]PolicyKey
	// Unreported names the policies that reach a Gateway and whose status has no
	// room left to say so; the Gateway says it (GEP-713).
	Unreported map[types.NamespacedName][]PolicyKey
	// Stale names the routes and policies that are in no slice above, or reach
	// nothing, but whose status still has entries of ours, to be removed.
	Stale []TargetKey
}

// Class is a GatewayClass whose controllerName is ours.
type Class struct {
	Object     *gatewayv1.GatewayClass
	Conditions []metav1.Condition
}

// Gateway is a Gateway of one of our classes.
type Gateway struct {
	Object     *gatewayv1.Gateway
	Listeners  []*Listener // in the spec's order
	Addresses  []gatewayv1.GatewayStatusAddress
	Conditions []metav1.Condition // Accepted; Programmed as far as the graph can tell
}

// ListenerKey names a listener of a Gateway.
type ListenerKey struct {
	Gateway  types.NamespacedName
	Listener gatewayv1.SectionName
}

// Listener is one listener of a Gateway.
type Listener struct {
	Key            ListenerKey
	Spec           *gatewayv1.Listener
	Address        string // IP to bind; "" for all
	Hostname       string // lower case; "" for any
	Certificates   []*Certificate
	SupportedKinds []gatewayv1.RouteGroupKind
	Conditions     []metav1.Condition // Accepted, ResolvedRefs, Conflicted; Programmed as far as the graph can tell
	Serves         bool               // it goes into the table

	usable bool // nothing is wrong with the listener itself, whatever its Gateway
}

// Certificate is a TLS Secret a listener may use. It has been parsed once, so
// the proxy can load it.
type Certificate struct {
	Secret types.NamespacedName
	Chain  []byte // PEM
	Key    []byte // PEM
}

// Route is an HTTPRoute with what it resolved to.
type Route struct {
	Object  *gatewayv1.HTTPRoute
	Parents []*Parent // one per parentRef to a Gateway of ours, in the spec's order
	Rules   []*Rule   // in the spec's order
}

// Parent is what became of one parentRef.
type Parent struct {
	Ref        gatewayv1.ParentReference
	Gateway    types.NamespacedName
	Conditions []metav1.Condition // Accepted, ResolvedRefs
	// Attached is empty unless accepted, with one exception: a route that is
	// refused because all its rules are broken is attached all the same, so that
	// its requests get 500 and not what a wider route has for them.
	Attached []*Attachment
}

// Attachment is a route on one listener.
type Attachment struct {
	Listener  ListenerKey
	Hostnames []string // the listener's and the route's, intersected; "*" for any
	// Policies is what reaches each rule on this path, by rule index.
	Policies []*RulePolicies
}

// Rule is one rule of a route with its references resolved.
type Rule struct {
	Name     string // "" when the rule has none
	Index    int
	Matches  []gatewayv1.HTTPRouteMatch // defaults filled in; never empty, except in a Broken rule that has no usable match
	Filters  []gatewayv1.HTTPRouteFilter
	Backends []*Backend
	Request  time.Duration // timeouts.request, 0 for none
	Backend  time.Duration // timeouts.backendRequest, 0 for none
	Broken   string        // set: the rule cannot be used for this reason, its requests get 500
}

// Backend is one backendRef of a rule.
type Backend struct {
	Service  types.NamespacedName
	Port     int32
	Weight   int32
	Protocol *string // the Service port's appProtocol
	Filters  []gatewayv1.HTTPRouteFilter
	// Reason and Broken are set when the reference cannot be used: its share of
	// the requests gets 500.
	Reason gatewayv1.RouteConditionReason
	Broken string
}

// PolicyKey names a policy of any kind.
type PolicyKey struct {
	Kind string
	types.NamespacedName
}

// TargetKey names an object, or a section of one, that policies reach.
type TargetKey struct {
	Kind string
	types.NamespacedName
	Section gatewayv1.SectionName
}

// Policy is an AuthPolicy or a ValidationPolicy.
type Policy struct {
	Key        PolicyKey
	Generation int64
	Object     any              // *v1alpha1.AuthPolicy or *v1alpha1.ValidationPolicy
	Ancestors  []*Ancestor      // one per Gateway it reaches, or would reach
	Resolved   map[string]Parts // what the references of each named item resolved to
}

// Ancestor is what became of a policy under one Gateway (GEP-713).
type Ancestor struct {
	Gateway    types.NamespacedName
	Missing    TargetKey          // set instead of Gateway: a target that leads nowhere is its own ancestor
	Conditions []metav1.Condition // Accepted, and Programmed when accepted
}

// Parts is what the references of one item of a policy resolved to.
type Parts struct {
	Secrets []*corev1.Secret // API keys, or the one htpasswd
	Config  *corev1.ConfigMap
	Broken  string // why it cannot be used now: fail closed with 503
}

// RulePolicies is the effective policies of one rule on one path. A nil entry
// means that no policy of that kind reaches it.
type RulePolicies struct {
	Auth, ShadowAuth             *Effective
	Validation, ShadowValidation *Effective
}

// Effective is the policies of one kind on a path, merged. Every item keeps the
// policy it came from.
type Effective struct {
	Items  []Item  // by Name
	Closed *Closed // set: a policy that would apply is broken
}

// Item is one named part of an effective policy.
type Item struct {
	Name string  // "authentication/staff", "require", "check/body"
	From *Policy // without Ancestors, which depend on everything
}

// Closed says that a broken policy closes a rule, and which.
type Closed struct {
	Policy PolicyKey
	Reason string
}
