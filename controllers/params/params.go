// Package params finds the GatewayParameters of a Gateway: what it names itself
// over what its class names, field by field, and what is wrong with either.
//
// graph asks it for every class and Gateway. It reads the store and calls spec
// for the form of problems.
package params

import (
	"cmp"
	"maps"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Found is what a Gateway is to be made with.
type Found struct {
	Service v1alpha1.ServiceParameters // of no meaning with a problem
	Clients v1alpha1.ClientParameters  // the same
	// OfClass and OfGateway are what is wrong with the reference of either; nil:
	// nothing.
	OfClass, OfGateway *spec.Problem
}

// Problem is what is wrong; nil for nothing.
func (f Found) Problem() *spec.Problem { return cmp.Or(f.OfClass, f.OfGateway) }

// OfClass finds what keeps a GatewayClass from being accepted.
func OfClass(r *store.Reader, class *gatewayv1.GatewayClass) *spec.Problem {
	_, p := ofClass(r, class)
	return p
}

// Of finds the parameters of a Gateway of a class.
func Of(r *store.Reader, class *gatewayv1.GatewayClass, gw *gatewayv1.Gateway) Found {
	outer, p := ofClass(r, class)
	f := Found{Service: outer.Service, Clients: overClients(&outer.Clients, &v1alpha1.ClientParameters{}), OfClass: p}
	infra := gw.Spec.Infrastructure
	if infra == nil || infra.ParametersRef == nil {
		return f
	}
	ref := infra.ParametersRef
	at := reference{"spec.infrastructure.parametersRef", ref.Group, ref.Kind, types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}}
	inner, p := at.find(r)
	if f.OfGateway = p; p != nil || f.OfClass != nil {
		return f
	}
	f.Service = over(outer.Service, inner.Service)
	f.Clients = overClients(&outer.Clients, &inner.Clients)
	if p := misplaced(inner.Service, f.Service.Type); p != nil {
		f.OfGateway = at.wrong(p)
	}
	return f
}

func ofClass(r *store.Reader, class *gatewayv1.GatewayClass) (v1alpha1.GatewayParametersSpec, *spec.Problem) {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return v1alpha1.GatewayParametersSpec{}, nil
	}
	at := reference{"spec.parametersRef", ref.Group, ref.Kind, types.NamespacedName{Name: ref.Name}}
	if ref.Namespace != nil {
		at.name.Namespace = string(*ref.Namespace)
	}
	return at.find(r)
}

// reference is a parametersRef, and where it stands.
type reference struct {
	field string
	group gatewayv1.Group
	kind  gatewayv1.Kind
	name  types.NamespacedName
}

func (at reference) find(r *store.Reader) (none v1alpha1.GatewayParametersSpec, _ *spec.Problem) {
	const reason = gatewayv1.GatewayReasonInvalidParameters // a GatewayClass's is spelt alike
	if at.group != v1alpha1.GroupName || at.kind != v1alpha1.KindGatewayParameters {
		return none, spec.Problemf(reason, "%s: %s of group %q is not supported; name a %s of group %s, or remove parametersRef",
			at.field, at.kind, at.group, v1alpha1.KindGatewayParameters, v1alpha1.GroupName)
	}
	if at.name.Namespace == "" {
		return none, spec.Problemf(reason, "%s.namespace: is missing; give the namespace of %s %s", at.field, at.kind, at.name.Name)
	}
	obj := r.GatewayParameters(at.name)
	if obj == nil {
		return none, spec.Problemf(reason, "%s.name: %s %s does not exist; create it, or name another", at.field, at.kind, at.name)
	}
	if p := cmp.Or(check(&obj.Spec.Service), checkClients(&obj.Spec.Clients)); p != nil {
		return none, at.wrong(p)
	}
	return obj.Spec, nil
}

// wrong says that a problem is in the object that is referred to.
func (at reference) wrong(p *spec.Problem) *spec.Problem {
	return spec.Problemf(p.Reason, "%s: %s %s: %s", at.field, at.kind, at.name, p.Text)
}

// over takes each field from the inner parameters where they have it. Of maps it
// takes each entry so. It leaves out what the outer ones say where that does not
// go with the type that the inner ones choose.
func over(outer, inner v1alpha1.ServiceParameters) v1alpha1.ServiceParameters {
	out := v1alpha1.ServiceParameters{
		Type:                  cmp.Or(inner.Type, outer.Type),
		LoadBalancerClass:     cmp.Or(inner.LoadBalancerClass, outer.LoadBalancerClass),
		Labels:                merged(outer.Labels, inner.Labels),
		Annotations:           merged(outer.Annotations, inner.Annotations),
		ExternalTrafficPolicy: cmp.Or(inner.ExternalTrafficPolicy, outer.ExternalTrafficPolicy),
		InternalTrafficPolicy: cmp.Or(inner.InternalTrafficPolicy, outer.InternalTrafficPolicy),
		SessionAffinity:       cmp.Or(inner.SessionAffinity, outer.SessionAffinity),
		IPFamilyPolicy:        cmp.Or(inner.IPFamilyPolicy, outer.IPFamilyPolicy),

		IPFamilies:               first(inner.IPFamilies, outer.IPFamilies),
		LoadBalancerSourceRanges: first(inner.LoadBalancerSourceRanges, outer.LoadBalancerSourceRanges),
		NodePorts:                first(inner.NodePorts, outer.NodePorts),
	}
	if !balanced(out.Type) {
		out.LoadBalancerClass, out.LoadBalancerSourceRanges = inner.LoadBalancerClass, inner.LoadBalancerSourceRanges
	}
	if !onNodes(out.Type) {
		out.ExternalTrafficPolicy, out.NodePorts = inner.ExternalTrafficPolicy, inner.NodePorts
	}
	return out
}

func merged[K ~string, V any](outer, inner map[K]V) map[K]V {
	if len(outer) == 0 {
		return inner
	}
	out := maps.Clone(outer)
	maps.Copy(out, inner)
	return out
}

func first[T any](lists ...[]T) []T {
	for _, list := range lists {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}
