// Package graph is the resolved picture of the cluster: which routes attach to
// which listeners, what every reference points to, and what each object's status
// must say about it.
//
// The pipeline calls Builder.Build after every change; attach finds the policies
// of a Graph, compile turns it into a table and status projects it into patches.
// It reads the store and nothing else: no policy, no client, no context, no clock, no logger, no I/O. The same
// objects always give the same Graph, and a node whose inputs did not change is
// the same pointer as in the Graph before.
//
// Nothing edits a Graph after it is built.
package graph

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/external"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// Graph is everything one build found. Slices are sorted by namespace, then
// name, so that equal inputs print equally.
type Graph struct {
	Classes  []*Class
	Gateways []*Gateway // of our classes, with their ListenerSets
	Routes   []*Route   // with at least one parentRef to a Gateway of ours: HTTPRoutes and Ingresses, then GRPCRoutes
	Streams  []*Stream  // the same of TCPRoutes, TLSRoutes and UDPRoutes, by kind
	// Ingresses are those of our classes. What they say is among Gateways and
	// Routes, in the form of such.
	Ingresses []*Ingress
	// Attached counts the routes per listener, for Gateway status.
	Attached map[ListenerKey]int32
	// Stale names the routes that are in no slice above, but whose status still has
	// entries of ours, to be removed.
	Stale []ObjectKey
}

// ObjectKey names an object of any kind.
type ObjectKey struct {
	Kind string
	types.NamespacedName
}

// Class is a GatewayClass whose controllerName is ours.
type Class struct {
	Object     *gatewayv1.GatewayClass
	Conditions []metav1.Condition
}

// Gateway is a Gateway of one of our classes.
type Gateway struct {
	Object     *gatewayv1.Gateway
	Listeners  []*Listener    // in the spec's order, then those of Sets
	Sets       []*ListenerSet // in the order of their precedence
	Addresses  []gatewayv1.GatewayStatusAddress
	Service    *Service                  // that it needs to be reached; nil: none, or whatever there is
	Client     Client                    // what it shows to backends of TLS
	Clients    v1alpha1.ClientParameters // how clients reach it, by its parameters
	Conditions []metav1.Condition        // Accepted; Programmed as far as the graph can tell
}

// ListenerKey names a listener of a Gateway, or of a ListenerSet of it.
type ListenerKey struct {
	Gateway  types.NamespacedName
	Listener gatewayv1.SectionName
	Set      types.NamespacedName // the ListenerSet it is of; none: the Gateway
}

// Listener is one listener of a Gateway.
type Listener struct {
	Key            ListenerKey
	Spec           *gatewayv1.Listener
	Address        string // IP to bind; "" for all
	Target         uint16 // port to bind, where it is not that of the spec; else 0
	TargetUDP      uint16 // the same for HTTP/3; 0 where Target is not: there is none yet
	Hostname       string // lower case; "" for any
	Certificates   []*Certificate
	Clients        *Clients // HTTPS: how clients' certificates are checked; nil: they are not asked for
	SupportedKinds []gatewayv1.RouteGroupKind
	Conditions     []metav1.Condition // Accepted, ResolvedRefs, Conflicted; Programmed as far as the graph can tell
	Serves         bool               // it goes into the table

	usable bool // nothing is wrong with the listener itself, whatever its Gateway
}

// Certificate is a TLS Secret a listener may use. It has been parsed once, so
// the proxy can load it.
type Certificate struct {
	Secret types.NamespacedName
	Chain  []byte   // PEM
	Key    []byte   // PEM
	Names  []string // the host names it is for, lower case
}

// Route is an HTTPRoute or GRPCRoute, or what an Ingress says of a host, with what
// it resolved to.
type Route struct {
	Object  *gatewayv1.HTTPRoute // of a GRPCRoute its HTTP form (spec.HTTPForm), of an Ingress one of those it was turned into
	Parents []*Parent            // one per parentRef to a Gateway of ours, in the spec's order
	Rules   []*Rule              // in the spec's order
}

// Kind is "HTTPRoute", "GRPCRoute" or "Ingress".
func (r *Route) Kind() string { return string(spec.RouteKind(r.Object)) }

// Key names the route's object.
func (r *Route) Key() ObjectKey { return ObjectKey{r.Kind(), nameOf(r.Object)} }

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
}

// Rule is one rule of a route with its references resolved.
type Rule struct {
	Name     string // "" when the rule has none
	Index    int
	Matches  []gatewayv1.HTTPRouteMatch // defaults filled in; never empty, except in a Broken rule that has no usable match
	Filters  []gatewayv1.HTTPRouteFilter
	Asides   []*Backend // where filters send beside: RequestMirror and ExternalAuth, in their order
	Backends []*Backend
	Request  time.Duration // timeouts.request, 0 for none
	Backend  time.Duration // timeouts.backendRequest, 0 for none
	Retry    *spec.Retry   // nil for none
	Session  *spec.Session // nil for none
	Broken   string        // set: the rule cannot be used for this reason, its requests get 500
}

// Backend is one backendRef of a rule.
type Backend struct {
	Service  types.NamespacedName
	Port     int32
	Weight   int32
	UDP      bool              // the Service port is of UDP
	Outside  bool              // Service is the name of an XBackend
	External *external.Backend // what that is; nil: it cannot be used
	Protocol *string           // the Service port's appProtocol
	Filters  []gatewayv1.HTTPRouteFilter
	Asides   []*Backend           // where filters send beside: RequestMirror and ExternalAuth, in their order
	TLS      *backendtls.Settings // nil: reached in the clear
	Traffic  *spec.Traffic        // of the XBackendTrafficPolicy there; nil: none
	Client   *Client              // what is shown to it over TLS, whatever the Gateway shows; nil: what that does
	// Reason and Broken are set when the reference cannot be used: its share of
	// the requests gets 500.
	Reason gatewayv1.RouteConditionReason
	Broken string
}
