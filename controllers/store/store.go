// Package store holds the last known objects of the cluster, or of a folder of
// manifests, and says what changed.
//
// The pipeline calls Apply and Delete with what watch sees; graph, and the
// packages it asks, read through a Reader, which remembers what it was asked so
// that a result can be kept for exactly as long as nothing it came from changed.
// It calls nothing: no client, no clock, no logger.
//
// A Store belongs to one goroutine. The objects it hands out are shared: nobody
// writes to them. It is as large as the cluster and no larger: what is deleted
// leaves no trace.
package store

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// Kind is the kind of an object, as the API spells it.
type Kind string

// The kinds a Store holds. EndpointSlices go past it, by controllers/endpoints.
const (
	GatewayClass         Kind = "GatewayClass"
	Gateway              Kind = "Gateway"
	ListenerSet          Kind = "ListenerSet"
	HTTPRoute            Kind = "HTTPRoute"
	GRPCRoute            Kind = "GRPCRoute"
	TLSRoute             Kind = "TLSRoute"
	TCPRoute             Kind = "TCPRoute"
	UDPRoute             Kind = "UDPRoute"
	BackendTLSPolicy     Kind = "BackendTLSPolicy"
	BackendTrafficPolicy Kind = "XBackendTrafficPolicy"
	ReferenceGrant       Kind = "ReferenceGrant"
	Service              Kind = "Service"
	Secret               Kind = "Secret"
	ConfigMap            Kind = "ConfigMap"
	Namespace            Kind = "Namespace"
	XBackend             Kind = "XBackend"
	Ingress              Kind = "Ingress"
	IngressClass         Kind = "IngressClass"
	AuthPolicy           Kind = v1alpha1.KindAuthPolicy
	ValidationPolicy     Kind = v1alpha1.KindValidationPolicy
	GatewayParameters    Kind = v1alpha1.KindGatewayParameters
)

// Store is the last known objects. Use New.
type Store struct {
	// GiveWay is called every few microseconds of work by whoever walks all objects of
	// a kind; New makes it do nothing. Results do not depend on it.
	GiveWay func()

	clock     uint64 // ticks with every change that matters
	classes   *shelf[*gatewayv1.GatewayClass]
	gateways  *shelf[*gatewayv1.Gateway]
	sets      *shelf[*gatewayv1.ListenerSet]
	routes    *shelf[*gatewayv1.HTTPRoute]
	grpcs     *shelf[*gatewayv1.GRPCRoute]
	streams   streams
	ingresses ingresses
	grants    *shelf[*gatewayv1.ReferenceGrant]
	direct    direct
	core      core
	ours      ours
	shelves   map[Kind]keeper
}

// core is the kinds of the core group.
type core struct {
	services   *shelf[*corev1.Service]
	secrets    *shelf[*corev1.Secret]
	configs    *shelf[*corev1.ConfigMap]
	namespaces *shelf[*corev1.Namespace]
}

func newCore() core {
	return core{
		services:   newShelf(sameService, nil),
		secrets:    newShelf(sameSecret, byLabel),
		configs:    newShelf(sameConfig, nil),
		namespaces: newShelf(sameNamespace, nil),
	}
}

// keeper is a shelf of any type.
type keeper interface {
	remove(types.NamespacedName, uint64) bool
	tick(*key) *uint64 // of the last change of what is there now; nil for what is not
	last() uint64
}

// New returns an empty Store.
func New() *Store {
	s := &Store{
		GiveWay:   func() {},
		classes:   newShelf(sameClass, listed),
		gateways:  newShelf(sameGateway, byScope),
		sets:      newShelf(sameListenerSet, listed),
		routes:    newShelf(sameRoute, listed),
		grpcs:     newShelf(sameGRPC, listed),
		streams:   newStreams(),
		ingresses: newIngresses(),
		grants:    newShelf(sameGrant, byNamespace),
		direct:    newDirect(),
		core:      newCore(),
		ours:      newOurs(),
	}
	s.shelves = map[Kind]keeper{
		GatewayClass: s.classes, Gateway: s.gateways, ListenerSet: s.sets, HTTPRoute: s.routes, GRPCRoute: s.grpcs, ReferenceGrant: s.grants,
		Service: s.core.services, Secret: s.core.secrets, ConfigMap: s.core.configs, Namespace: s.core.namespaces,
		TLSRoute: s.streams.tls, TCPRoute: s.streams.tcp, UDPRoute: s.streams.udp, BackendTLSPolicy: s.direct.tls, BackendTrafficPolicy: s.direct.traffic, XBackend: s.direct.outside,
		Ingress: s.ingresses.objects, IngressClass: s.ingresses.classes,
		AuthPolicy: s.ours.auth, ValidationPolicy: s.ours.validation, GatewayParameters: s.ours.parameters,
	}
	return s
}

// Apply takes an object that was added or updated. It returns false when nothing
// that matters changed: then only parts no decision rests on, such as the
// status, differ from what the store had, or the kind is not one it holds.
func (s *Store) Apply(obj metav1.Object) bool {
	tick := s.clock + 1
	changed := false
	switch o := obj.(type) {
	case *gatewayv1.GatewayClass:
		changed = s.classes.put(o, tick)
	case *gatewayv1.Gateway:
		changed = s.gateways.put(o, tick)
	case *gatewayv1.ListenerSet:
		changed = s.sets.put(o, tick)
	case *gatewayv1.HTTPRoute:
		changed = s.routes.put(o, tick)
	case *gatewayv1.GRPCRoute:
		changed = s.grpcs.put(o, tick)
	case *gatewayv1.ReferenceGrant:
		changed = s.grants.put(o, tick)
	case *gatewayv1beta1.ReferenceGrant:
		changed = s.grants.put((*gatewayv1.ReferenceGrant)(o), tick)
	case *corev1.Service:
		changed = s.core.services.put(o, tick)
	case *corev1.Secret:
		changed = s.core.secrets.put(o, tick)
	case *corev1.ConfigMap:
		changed = s.core.configs.put(o, tick)
	case *corev1.Namespace:
		changed = s.core.namespaces.put(o, tick)
	default:
		changed = s.streams.put(o, tick) || s.ingresses.put(o, tick) || s.direct.put(o, tick) || s.ours.put(o, tick)
	}
	if changed {
		s.clock = tick
	}
	return changed
}

// Delete forgets an object. It returns false when the store did not have it.
func (s *Store) Delete(kind Kind, name types.NamespacedName) bool {
	held, known := s.shelves[kind]
	if !known || !held.remove(name, s.clock+1) {
		return false
	}
	s.clock++
	return true
}

// Clock is a number that differs after every change that matters, and only then.
func (s *Store) Clock() uint64 { return s.clock }
