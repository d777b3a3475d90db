package store

import (
	"maps"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ingresses are Ingresses, their classes, and what they were turned into.
type ingresses struct {
	objects *shelf[*networkingv1.Ingress]
	classes *shelf[*networkingv1.IngressClass]
	derived map[derivedKey]bool
}

// derivedKey names an object that was derived.
type derivedKey struct {
	kind Kind
	name types.NamespacedName
}

func newIngresses() ingresses {
	return ingresses{objects: newShelf(sameIngress, listed), classes: newShelf(sameIngressClass, listed)}
}

// Classes are chosen by annotations too, on both sides, and so is what ours says.
func sameIngress(a, b *networkingv1.Ingress) bool {
	return sameVersion(a, b) || maps.Equal(a.Annotations, b.Annotations) && sameSpec(a, b, &a.Spec, &b.Spec)
}

func sameIngressClass(a, b *networkingv1.IngressClass) bool {
	return sameVersion(a, b) || maps.Equal(a.Annotations, b.Annotations) && sameSpec(a, b, &a.Spec, &b.Spec)
}

func (i *ingresses) put(obj metav1.Object, tick uint64) bool {
	switch o := obj.(type) {
	case *networkingv1.Ingress:
		return i.objects.put(o, tick)
	case *networkingv1.IngressClass:
		return i.classes.put(o, tick)
	}
	return false
}

// Derive takes the GatewayClasses, Gateways and HTTPRoutes that other objects were
// turned into, all of them: what was derived before and is not among them is
// forgotten. Their names hold a colon, which no object of the cluster has in its
// name, and they have neither version nor generation.
func (s *Store) Derive(objects []metav1.Object) {
	now := make(map[derivedKey]bool, len(objects))
	for _, o := range objects {
		var kind Kind
		switch o.(type) {
		case *gatewayv1.GatewayClass:
			kind = GatewayClass
		case *gatewayv1.Gateway:
			kind = Gateway
		case *gatewayv1.HTTPRoute:
			kind = HTTPRoute
		default:
			continue
		}
		now[derivedKey{kind, nameOf(o)}] = true
		s.Apply(o)
	}
	for was := range s.ingresses.derived {
		if !now[was] {
			s.Delete(was.kind, was.name)
		}
	}
	s.ingresses.derived = now
}

// Ingress returns the Ingress of that name.
func (r *Reader) Ingress(name types.NamespacedName) *networkingv1.Ingress {
	return get(r, r.store.ingresses.objects, name)
}

// Ingresses returns all Ingresses.
func (r *Reader) Ingresses() []*networkingv1.Ingress {
	return all(r, r.store.ingresses.objects, everything)
}

// IngressClasses returns all classes of Ingresses.
func (r *Reader) IngressClasses() []*networkingv1.IngressClass {
	return all(r, r.store.ingresses.classes, everything)
}
