package store

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// direct are the policies that attach to Services and merge with nothing
// (GEP-713, "Direct policy attachment").
type direct struct {
	tls     *shelf[*gatewayv1.BackendTLSPolicy]
	traffic *shelf[*gatewayxv1alpha1.XBackendTrafficPolicy]
	outside *shelf[*gatewayxv1alpha1.XBackend]
}

func newDirect() direct {
	return direct{
		tls: newShelf(func(a, b *gatewayv1.BackendTLSPolicy) bool { return sameSpec(a, b, &a.Spec, &b.Spec) },
			func(o *gatewayv1.BackendTLSPolicy) []string {
				var in []string
				for _, ref := range o.Spec.TargetRefs {
					in = append(in, targetList(o.Namespace, ref.Kind, ref.Name))
				}
				return targetLists(in)
			}),
		traffic: newShelf(func(a, b *gatewayxv1alpha1.XBackendTrafficPolicy) bool { return sameSpec(a, b, &a.Spec, &b.Spec) },
			func(o *gatewayxv1alpha1.XBackendTrafficPolicy) []string {
				var in []string
				for _, ref := range o.Spec.TargetRefs {
					in = append(in, targetList(o.Namespace, ref.Kind, ref.Name))
				}
				return targetLists(in)
			}),
		outside: newShelf(func(a, b *gatewayxv1alpha1.XBackend) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
	}
}

// targetLists are the lists that a policy stands in, once each.
func targetLists(targets []string) []string {
	slices.Sort(targets)
	return append(slices.Compact(targets), everything)
}

func (d *direct) put(obj metav1.Object, tick uint64) bool {
	switch o := obj.(type) {
	case *gatewayxv1alpha1.XBackend:
		return d.outside.put(o, tick)
	case *gatewayv1.BackendTLSPolicy:
		return d.tls.put(o, tick)
	case *gatewayxv1alpha1.XBackendTrafficPolicy:
		return d.traffic.put(o, tick)
	}
	return false
}

// serviceList has the policies that target a Service, or ports of it.
func serviceList(service types.NamespacedName) string {
	return targetList(service.Namespace, gatewayv1.Kind(Service), gatewayv1.ObjectName(service.Name))
}

// BackendTLSPolicy returns the policy of that name.
func (r *Reader) BackendTLSPolicy(name types.NamespacedName) *gatewayv1.BackendTLSPolicy {
	return get(r, r.store.direct.tls, name)
}

// BackendTLSPolicies returns all BackendTLSPolicies.
func (r *Reader) BackendTLSPolicies() []*gatewayv1.BackendTLSPolicy {
	return all(r, r.store.direct.tls, everything)
}

// BackendTLSPoliciesOn returns the BackendTLSPolicies that target a Service, or
// ports of it.
func (r *Reader) BackendTLSPoliciesOn(service types.NamespacedName) []*gatewayv1.BackendTLSPolicy {
	return all(r, r.store.direct.tls, serviceList(service))
}

// BackendTrafficPolicies returns all XBackendTrafficPolicies.
func (r *Reader) BackendTrafficPolicies() []*gatewayxv1alpha1.XBackendTrafficPolicy {
	return all(r, r.store.direct.traffic, everything)
}

// BackendTrafficPoliciesOn returns the XBackendTrafficPolicies that target a Service.
func (r *Reader) BackendTrafficPoliciesOn(service types.NamespacedName) []*gatewayxv1alpha1.XBackendTrafficPolicy {
	return all(r, r.store.direct.traffic, serviceList(service))
}

// XBackend returns the XBackend of that name.
func (r *Reader) XBackend(name types.NamespacedName) *gatewayxv1alpha1.XBackend {
	return get(r, r.store.direct.outside, name)
}

// XBackends returns all XBackends.
func (r *Reader) XBackends() []*gatewayxv1alpha1.XBackend {
	return all(r, r.store.direct.outside, everything)
}
