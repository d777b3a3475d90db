package provision

import (
	"fmt"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// allocate gives each wanted port its target port, all of them different: the
// one its Service records, else the one reserved for it, else a free one. Where
// two Services record the same, the older keeps it, as graph has it too.
func (m *maker) allocate() {
	wanted := map[Port]bool{}
	var order []Port
	for _, gw := range m.in.Gateways {
		if gw.Service == nil || m.foreign(gw) {
			continue
		}
		for _, p := range gw.Service.Ports {
			port := Port{gw.Service.Name, p}
			wanted[port], order = true, append(order, port)
		}
	}
	used := map[uint16]bool{}
	take := func(port Port, target uint16) {
		if wanted[port] && target != 0 && m.plan.Reserved[port] == 0 && !used[target] {
			m.plan.Reserved[port], used[target] = target, true
		}
	}
	for _, s := range slices.SortedFunc(slices.Values(m.in.Services), older) {
		for i := range s.Spec.Ports {
			port, target := graph.TargetPort(&s.Spec.Ports[i])
			take(Port{nameOf(s), port}, target)
		}
	}
	for _, port := range order {
		take(port, m.in.Reserved[port])
	}
	for _, port := range order {
		if m.plan.Reserved[port] != 0 {
			continue
		}
		if target := free(port, used); target != 0 {
			take(port, target)
		} else {
			m.plan.Full = append(m.plan.Full, port)
		}
	}
}

// free finds a target port that is not in use, 0 if there is none. Where it
// begins to look depends on the port alone: a Service that was lost is likely to
// be given the same again, and a number that was given up is not soon another's.
func free(port Port, used map[uint16]bool) uint16 {
	const size = graph.LastTarget - graph.FirstTarget + 1
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s %s %d", port.Service, port.Protocol, port.Port) // a hash takes all
	for i := range uint32(size) {
		if target := uint16(graph.FirstTarget + (h.Sum32()+i)%size); !used[target] {
			return target
		}
	}
	return 0
}

// portName names a port in a Service and in its slices.
func portName(p graph.ServicePort) string {
	if p.Protocol == corev1.ProtocolUDP {
		return fmt.Sprintf("udp-%d", p.Port)
	}
	return fmt.Sprintf("tcp-%d", p.Port)
}
