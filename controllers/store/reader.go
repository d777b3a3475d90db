package store

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// key names one thing that can be read: an object, or a list of objects.
type key struct {
	on   keeper
	name types.NamespacedName // of an object
	list string               // of a list
}

// read is a key, where the tick of its last change stands, and what it was; nil and 0 for
// what was not there.
type read struct {
	key     key
	tick    *uint64
	version uint64
}

// holds says whether what was read is still so. Only for what was not there is anything
// looked up.
func (r *read) holds() bool {
	if r.tick == nil {
		return r.key.on.tick(&r.key) == nil
	}
	return *r.tick == r.version
}

// Reader reads a Store and remembers what it read. Whatever was computed from a
// Reader's answers alone holds for as long as Fresh is true.
type Reader struct {
	store *Store
	reads []read
	clock uint64 // of the store, when the reads were last known to be fresh
}

// Read returns a Reader that has read nothing yet.
func (s *Store) Read() *Reader { return &Reader{store: s, clock: s.clock} }

// Fresh says whether all the Reader was told still holds. Its cost does not grow
// with the store: kinds of which nothing changed are not looked at.
func (r *Reader) Fresh() bool {
	if r.clock == r.store.clock {
		return true
	}
	for i := range r.reads {
		if k := &r.reads[i]; k.key.on.last() > r.clock && !k.holds() {
			return false
		}
	}
	r.clock = r.store.clock
	return true
}

// note remembers a read. One that is repeated is remembered once.
func (r *Reader) note(k key) {
	for i := range r.reads {
		if r.reads[i].key == k {
			return
		}
	}
	now := read{key: k, tick: k.on.tick(&k)}
	if now.tick != nil {
		now.version = *now.tick
	}
	r.reads = append(r.reads, now)
}

func get[T metav1.Object](r *Reader, from *shelf[T], name types.NamespacedName) (object T) {
	r.note(key{on: from, name: name})
	if h := from.objects[name]; h != nil {
		object = h.object
	}
	return object
}

func all[T metav1.Object](r *Reader, from *shelf[T], name string) []T {
	r.note(key{on: from, list: name})
	return from.all(name)
}

// The methods that name one object return nil when it is not there. Those that
// list return a shared slice, by namespace, then name: nobody writes to it.

// GatewayClass returns the class of that name.
func (r *Reader) GatewayClass(name string) *gatewayv1.GatewayClass {
	return get(r, r.store.classes, types.NamespacedName{Name: name})
}

// GatewayClasses returns all classes.
func (r *Reader) GatewayClasses() []*gatewayv1.GatewayClass {
	return all(r, r.store.classes, everything)
}

// Gateway returns the Gateway of that name.
func (r *Reader) Gateway(name types.NamespacedName) *gatewayv1.Gateway {
	return get(r, r.store.gateways, name)
}

// Gateways returns all Gateways.
func (r *Reader) Gateways() []*gatewayv1.Gateway {
	return all(r, r.store.gateways, everything)
}

// DefaultGateways returns the Gateways of a default scope (GEP-3793).
func (r *Reader) DefaultGateways(scope gatewayv1.GatewayDefaultScope) []*gatewayv1.Gateway {
	return all(r, r.store.gateways, scopeList(scope))
}

// ListenerSet returns the ListenerSet of that name.
func (r *Reader) ListenerSet(name types.NamespacedName) *gatewayv1.ListenerSet {
	return get(r, r.store.sets, name)
}

// ListenerSets returns all ListenerSets.
func (r *Reader) ListenerSets() []*gatewayv1.ListenerSet {
	return all(r, r.store.sets, everything)
}

// HTTPRoute returns the route of that name.
func (r *Reader) HTTPRoute(name types.NamespacedName) *gatewayv1.HTTPRoute {
	return get(r, r.store.routes, name)
}

// HTTPRoutes returns all routes.
func (r *Reader) HTTPRoutes() []*gatewayv1.HTTPRoute {
	return all(r, r.store.routes, everything)
}

// GRPCRoute returns the route of that name.
func (r *Reader) GRPCRoute(name types.NamespacedName) *gatewayv1.GRPCRoute {
	return get(r, r.store.grpcs, name)
}

// GRPCRoutes returns all routes of that kind.
func (r *Reader) GRPCRoutes() []*gatewayv1.GRPCRoute {
	return all(r, r.store.grpcs, everything)
}

// ReferenceGrants returns the grants of one namespace.
func (r *Reader) ReferenceGrants(namespace string) []*gatewayv1.ReferenceGrant {
	return all(r, r.store.grants, namespaceList(namespace))
}

// Service returns the Service of that name.
func (r *Reader) Service(name types.NamespacedName) *corev1.Service {
	return get(r, r.store.core.services, name)
}

// Secret returns the Secret of that name.
func (r *Reader) Secret(name types.NamespacedName) *corev1.Secret {
	return get(r, r.store.core.secrets, name)
}

// Secrets returns the Secrets of a namespace that a selector takes, in a slice of
// the caller's own. A change of a Secret is noticed if it has, or had, the first
// label that the selector asks to equal a value; of any Secret of the namespace
// if it asks for none.
func (r *Reader) Secrets(namespace string, selector labels.Selector) (out []*corev1.Secret) {
	from := namespaceList(namespace)
	wants, selectable := selector.Requirements()
	if !selectable {
		return nil
	}
	for _, want := range wants {
		if value, exact := selector.RequiresExactMatch(want.Key()); exact {
			from = labelList(namespace, want.Key(), value)
			break
		}
	}
	for _, secret := range all(r, r.store.core.secrets, from) {
		if selector.Matches(labels.Set(secret.Labels)) {
			out = append(out, secret)
		}
	}
	return out
}

// ConfigMap returns the ConfigMap of that name.
func (r *Reader) ConfigMap(name types.NamespacedName) *corev1.ConfigMap {
	return get(r, r.store.core.configs, name)
}

// Namespace returns the Namespace of that name.
func (r *Reader) Namespace(name string) *corev1.Namespace {
	return get(r, r.store.core.namespaces, types.NamespacedName{Name: name})
}
