package store

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// ours are the objects of the kinds of our own group.
type ours struct {
	auth       *shelf[*v1alpha1.AuthPolicy]
	validation *shelf[*v1alpha1.ValidationPolicy]
	parameters *shelf[*v1alpha1.GatewayParameters]
}

func newOurs() ours {
	return ours{
		auth:       newShelf(func(a, b *v1alpha1.AuthPolicy) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
		validation: newShelf(func(a, b *v1alpha1.ValidationPolicy) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
		parameters: newShelf(func(a, b *v1alpha1.GatewayParameters) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, nil),
	}
}

func (s *ours) put(obj metav1.Object, tick uint64) bool {
	switch o := obj.(type) {
	case *v1alpha1.AuthPolicy:
		return s.auth.put(o, tick)
	case *v1alpha1.ValidationPolicy:
		return s.validation.put(o, tick)
	case *v1alpha1.GatewayParameters:
		return s.parameters.put(o, tick)
	}
	return false
}

// AuthPolicy returns the policy of that name.
func (r *Reader) AuthPolicy(name types.NamespacedName) *v1alpha1.AuthPolicy {
	return get(r, r.store.ours.auth, name)
}

// AuthPolicies returns all AuthPolicies.
func (r *Reader) AuthPolicies() []*v1alpha1.AuthPolicy {
	return all(r, r.store.ours.auth, everything)
}

// ValidationPolicy returns the policy of that name.
func (r *Reader) ValidationPolicy(name types.NamespacedName) *v1alpha1.ValidationPolicy {
	return get(r, r.store.ours.validation, name)
}

// ValidationPolicies returns all ValidationPolicies.
func (r *Reader) ValidationPolicies() []*v1alpha1.ValidationPolicy {
	return all(r, r.store.ours.validation, everything)
}

// GatewayParameters returns the object of that name.
func (r *Reader) GatewayParameters(name types.NamespacedName) *v1alpha1.GatewayParameters {
	return get(r, r.store.ours.parameters, name)
}
