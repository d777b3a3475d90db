package provision

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// The limits of the schema of EndpointSlice.
const (
	maxSlicePorts     = 100
	maxSliceEndpoints = 1000
)

// endpoints are the slices of a Service: one per address family that the pods
// have, or once had, and per hundred ports.
func (m *maker) endpoints(gw *graph.Gateway, service *corev1.Service) (out []*discoveryv1.EndpointSlice) {
	have := m.slices[nameOf(service)]
	before := listed(have)
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		ends := endpointsOf(m.in.Pods, family, before)
		had := slices.ContainsFunc(have, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == family })
		if len(ends) == 0 && !had {
			continue
		}
		part := 0
		for ports := range slices.Chunk(service.Spec.Ports, maxSlicePorts) {
			slice := &discoveryv1.EndpointSlice{AddressType: family, Endpoints: ends}
			slice.Namespace, slice.Name = service.Namespace, service.Name+"-"+strings.ToLower(string(family))
			if part > 0 {
				slice.Name += fmt.Sprintf("-%d", part)
			}
			part++
			slice.OwnerReferences = owners(gw)
			m.propagate(slice, gw, nil, nil)
			slice.Labels[discoveryv1.LabelServiceName] = service.Name
			slice.Labels[discoveryv1.LabelManagedBy] = v1alpha1.GroupName
			for i := range ports {
				name, protocol, number := ports[i].Name, ports[i].Protocol, ports[i].TargetPort.IntVal
				slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &number})
			}
			out = append(out, slice)
		}
	}
	return out
}

// renew puts what a slice should be into the one there is.
func renew(have, want *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	next := have.DeepCopy()
	next.OwnerReferences, next.Labels, next.Annotations = want.OwnerReferences, want.Labels, want.Annotations
	next.Endpoints, next.Ports = want.Endpoints, want.Ports
	return next
}

// listed are the pods that slices lead to.
func listed(all []*discoveryv1.EndpointSlice) map[types.UID]bool {
	out := map[types.UID]bool{}
	for _, s := range all {
		for i := range s.Endpoints {
			if ref := s.Endpoints[i].TargetRef; ref != nil {
				out[ref.UID] = true
			}
		}
	}
	return out
}

// endpointsOf are the addresses of the pods that serve, by pod name. One that is
// on its way out is not ready, but serves while nothing else does (KEP-1669). If
// it was listed it stays for as long as it runs, though it fails its probes by
// then: kube-proxy takes the way to it from the flows of UDP, and with them from
// the requests of HTTP/3 that it is still answering, once it is no longer said to
// serve.
func endpointsOf(pods []*corev1.Pod, family discoveryv1.AddressType, listed map[types.UID]bool) (out []discoveryv1.Endpoint) {
	for _, pod := range pods {
		address := addressOf(pod, family)
		leaving := pod.DeletionTimestamp != nil && listed[pod.UID]
		if address == "" || pod.Status.Phase != corev1.PodRunning || !leaving && !passesProbes(pod) {
			continue
		}
		serving, terminating := true, pod.DeletionTimestamp != nil
		ready := !terminating
		e := discoveryv1.Endpoint{
			Addresses:  []string{address},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		}
		if pod.Spec.NodeName != "" {
			node := pod.Spec.NodeName
			e.NodeName = &node
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b discoveryv1.Endpoint) int { return strings.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	return out[:min(len(out), maxSliceEndpoints)]
}

func passesProbes(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// addressOf is the pod's address of one family; "" if it has none.
func addressOf(pod *corev1.Pod, family discoveryv1.AddressType) string {
	for _, ip := range pod.Status.PodIPs {
		a, err := netip.ParseAddr(ip.IP)
		if err == nil && a.Is4() == (family == discoveryv1.AddressTypeIPv4) {
			return ip.IP
		}
	}
	return ""
}
