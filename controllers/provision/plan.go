package provision

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// Input is all that a Plan depends on.
type Input struct {
	Controller gatewayv1.GatewayController
	Gateways   []*graph.Gateway
	Services   []*corev1.Service // those labelled as ours, and whatever else has the name of one that is wanted
	Slices     []*discoveryv1.EndpointSlice
	Pods       []*corev1.Pod // of gatehouse
	// Reserved is what the last Plan allocated: Services may not show it yet.
	Reserved map[Port]uint16
}

// Port is one port of the Service of a Gateway.
type Port struct {
	Service types.NamespacedName
	graph.ServicePort
}

// Plan is what has to be written for the cluster to be as it should.
type Plan struct {
	Create, Update []client.Object // Services ahead of slices
	Delete         []client.Object // slices nobody needs, and Services that have to be made again
	// Orphans are Services and slices that no Gateway of ours wants. Their Gateway
	// is gone, or another controller's, or its class has not been seen yet.
	Orphans  []client.Object
	Reserved map[Port]uint16
	Full     []Port // there was no target port left for these
}

// Make plans. It changes none of its input.
func Make(in Input) Plan {
	m := maker{
		in:       in,
		services: map[types.NamespacedName]*corev1.Service{},
		slices:   map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
		plan:     Plan{Reserved: map[Port]uint16{}},
	}
	for _, s := range in.Services {
		m.services[nameOf(s)] = s
	}
	for _, s := range in.Slices {
		of := types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
		m.slices[of] = append(m.slices[of], s)
	}
	m.allocate()
	for _, gw := range in.Gateways {
		if gw.Service != nil && !m.foreign(gw) {
			m.gateway(gw)
		}
	}
	m.orphans()
	return m.plan
}

type maker struct {
	in       Input
	services map[types.NamespacedName]*corev1.Service
	slices   map[types.NamespacedName][]*discoveryv1.EndpointSlice // by Service
	plan     Plan
}

// foreign says whether somebody else's Service has the name.
func (m *maker) foreign(gw *graph.Gateway) bool {
	have := m.services[gw.Service.Name]
	return have != nil && !graph.OwnService(gw.Object, have)
}

func (m *maker) gateway(gw *graph.Gateway) {
	have := m.services[gw.Service.Name]
	switch {
	case have == nil && gw.Service.Parameters == nil: // how to make it is not known
		return
	case have != nil && anew(have, gw.Service): // what it records is reserved for the next
		if have.DeletionTimestamp == nil {
			m.plan.Delete = append(m.plan.Delete, have)
		}
		return
	}
	want := m.service(gw, have)
	if len(want.Spec.Ports) == 0 { // the range is full
		return
	}
	if have == nil {
		m.plan.Create = append(m.plan.Create, want)
	} else if !equality.Semantic.DeepEqual(have, want) {
		m.plan.Update = append(m.plan.Update, want)
	}
	there := m.slices[gw.Service.Name]
	for _, slice := range m.endpoints(gw, want) {
		i := slices.IndexFunc(there, func(s *discoveryv1.EndpointSlice) bool { return s.Name == slice.Name })
		if i < 0 {
			m.plan.Create = append(m.plan.Create, slice)
			continue
		}
		if next := renew(there[i], slice); !equality.Semantic.DeepEqual(there[i], next) {
			m.plan.Update = append(m.plan.Update, next)
		}
		there = slices.Delete(slices.Clone(there), i, i+1)
	}
	for _, spare := range there {
		m.plan.Delete = append(m.plan.Delete, spare)
	}
}

// orphans finds what is left over. A Gateway that cannot be accepted as it is
// keeps what it had.
func (m *maker) orphans() {
	kept := map[types.NamespacedName]bool{}
	for _, gw := range m.in.Gateways {
		kept[graph.ServiceName(nameOf(gw.Object))] = true
	}
	for _, s := range m.in.Services {
		if !kept[nameOf(s)] && m.ours(s) {
			m.plan.Orphans = append(m.plan.Orphans, s)
		}
	}
	for _, s := range m.in.Slices {
		if !kept[types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}] && m.ours(s) {
			m.plan.Orphans = append(m.plan.Orphans, s)
		}
	}
}

func (m *maker) ours(o metav1.Object) bool {
	return o.GetAnnotations()[controlledBy] == string(m.in.Controller)
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// older orders Services by age, then by name.
func older(a, b *corev1.Service) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
