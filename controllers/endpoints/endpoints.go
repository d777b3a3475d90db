// Package endpoints turns EndpointSlices into the addresses of backends, past
// store, graph and compile: pods come and go far more often than routes do, and
// no table needs building for it.
//
// The pipeline tells a Tracker of slices and Services and hands what it reports
// as changed to the proxy. The package calls nothing; it is pure, and as large as
// the cluster's Services and slices are.
//
// A slice names the port of its Service by name and holds the number pods
// listen on, whether targetPort was a name or a number. So a headless Service
// works like any other as long as it has ports; a selectorless one by the slices
// its owner writes. A pod of a dual-stack Service stands in a slice of each family: it
// is one endpoint, at the address of the Service's first family, as for a client that
// was given the Service's first address. One of type ExternalName has no addresses, whatever slices bear
// its name. Host names in slices (addressType FQDN) are not addresses and are left
// out, as is what is neither TCP nor UDP.
package endpoints

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Tracker knows every Service and slice it was told of. Use NewTracker. It
// belongs to one goroutine.
type Tracker struct {
	services map[types.NamespacedName]*service
	owner    map[types.NamespacedName]types.NamespacedName // of slices: their Service
	backends map[string][]table.Endpoint
	dirty    map[types.NamespacedName]bool // Services to look at again
	changed  map[string]bool               // backends not yet reported
}

// service is what is known of one Service; either part may come first.
type service struct {
	ports  map[port]string         // to name
	first  discoveryv1.AddressType // of its families
	slices map[string]*discoveryv1.EndpointSlice
}

// port is a port of a Service: TCP and UDP may have the same number.
type port struct {
	number int32
	udp    bool
}

func portOf(number int32, protocol corev1.Protocol) (p port, relayed bool) {
	switch protocol {
	case "", corev1.ProtocolTCP:
		return port{number, false}, true
	case corev1.ProtocolUDP:
		return port{number, true}, true
	}
	return port{}, false
}

// NewTracker returns a Tracker that knows nothing.
func NewTracker() *Tracker {
	return &Tracker{
		services: map[types.NamespacedName]*service{},
		owner:    map[types.NamespacedName]types.NamespacedName{},
		backends: map[string][]table.Endpoint{},
		dirty:    map[types.NamespacedName]bool{},
		changed:  map[string]bool{},
	}
}

// Apply takes a slice that was added or updated. Nobody may write to it
// afterwards.
func (t *Tracker) Apply(s *discoveryv1.EndpointSlice) {
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	owner := types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
	if before, ok := t.owner[name]; ok && before != owner {
		t.Delete(s)
	}
	if owner.Name == "" {
		return
	}
	t.owner[name] = owner
	t.service(owner).slices[s.Name] = s
	t.dirty[owner] = true
}

// Delete forgets a slice.
func (t *Tracker) Delete(s *discoveryv1.EndpointSlice) {
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	owner, ok := t.owner[name]
	if !ok {
		return
	}
	delete(t.owner, name)
	delete(t.services[owner].slices, s.Name)
	t.dirty[owner] = true
}

// Service takes a Service that was added, updated or deleted, for its ports.
// Objects of other kinds are ignored.
func (t *Tracker) Service(o metav1.Object, deleted bool) {
	s, ok := o.(*corev1.Service)
	if !ok {
		return
	}
	name := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	ports := map[port]string{}
	if !deleted && s.Spec.Type != corev1.ServiceTypeExternalName {
		for _, p := range s.Spec.Ports {
			if at, relayed := portOf(p.Port, p.Protocol); relayed {
				ports[at] = p.Name
			}
		}
	}
	known := t.service(name)
	for at := range known.ports { // what is no longer a port has no addresses
		if _, still := ports[at]; !still {
			t.set(backendID(name, at), nil)
		}
	}
	known.ports, known.first = ports, discoveryv1.AddressTypeIPv4
	if len(s.Spec.IPFamilies) > 0 && s.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		known.first = discoveryv1.AddressTypeIPv6
	}
	t.dirty[name] = true
}

// Endpoints returns the addresses of a backend, in order; none for one that is
// not known. The slice is shared: nobody writes to it.
func (t *Tracker) Endpoints(backend string) []table.Endpoint {
	t.refresh()
	return t.backends[backend]
}

// Changed returns the backends whose addresses differ from what the last call
// returned, with their addresses; none where a backend has gone.
func (t *Tracker) Changed() map[string][]table.Endpoint {
	t.refresh()
	out := make(map[string][]table.Endpoint, len(t.changed))
	for id := range t.changed {
		out[id] = t.backends[id]
	}
	clear(t.changed)
	return out
}

func (t *Tracker) service(name types.NamespacedName) *service {
	s := t.services[name]
	if s == nil {
		s = &service{slices: map[string]*discoveryv1.EndpointSlice{}}
		t.services[name] = s
	}
	return s
}

func (t *Tracker) refresh() {
	for name := range t.dirty {
		s := t.services[name]
		for at, portName := range s.ports {
			t.set(backendID(name, at), s.endpoints(portName, at.udp))
		}
		if len(s.ports) == 0 && len(s.slices) == 0 {
			delete(t.services, name)
		}
	}
	clear(t.dirty)
}

func (t *Tracker) set(id string, eps []table.Endpoint) {
	if slices.Equal(t.backends[id], eps) {
		return
	}
	t.changed[id] = true
	if t.backends[id] = eps; len(eps) == 0 {
		delete(t.backends, id)
	}
}

// endpoint is one as a slice has it.
type endpoint struct {
	table.Endpoint
	pod    types.UID // or whatever else it is; "" if nobody says
	second bool      // of the family that is not the Service's first
}

// better orders endpoints: ready before draining, then the first family before the other.
func better(a, b endpoint) int {
	return cmp.Or(compareBool(a.Draining, b.Draining), compareBool(a.second, b.second))
}

// endpoints merges what the slices say of one port. An address that stands in
// several is ready if it is in one of them.
func (s *service) endpoints(port string, udp bool) (out []table.Endpoint) {
	all := s.all(port, udp)
	best := map[types.UID]endpoint{} // of the pods
	for _, e := range all {
		if was, ok := best[e.pod]; !ok || better(e, was) < 0 {
			best[e.pod] = e
		}
	}
	for _, e := range all {
		if e.pod == "" || e.second == best[e.pod].second {
			out = append(out, e.Endpoint)
		}
	}
	slices.SortFunc(out, func(a, b table.Endpoint) int { // ready before draining
		return cmp.Or(a.Address.Compare(b.Address), compareBool(a.Draining, b.Draining))
	})
	return slices.CompactFunc(out, func(a, b table.Endpoint) bool { return a.Address == b.Address })
}

// all is every endpoint that the slices have of one port.
func (s *service) all(port string, udp bool) (out []endpoint) {
	for _, slice := range s.slices {
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		number, ok := portNumber(slice, port, udp)
		if !ok {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			use, draining := state(&e.Conditions)
			if !use {
				continue
			}
			for _, a := range e.Addresses {
				if addr, err := netip.ParseAddr(a); err == nil {
					at := table.Endpoint{Address: netip.AddrPortFrom(addr.Unmap(), number), Draining: draining}
					out = append(out, endpoint{at, pod(e), slice.AddressType != s.first})
				}
			}
		}
	}
	return out
}

// pod is what an endpoint is, by what its slice refers to.
func pod(e *discoveryv1.Endpoint) types.UID {
	if e.TargetRef == nil {
		return ""
	}
	return e.TargetRef.UID
}

// portNumber finds a Service port by its name. A port without a number means
// every port, which nothing can be sent to.
func portNumber(s *discoveryv1.EndpointSlice, name string, udp bool) (uint16, bool) {
	for _, p := range s.Ports {
		sameName := p.Name == nil && name == "" || p.Name != nil && *p.Name == name
		var protocol corev1.Protocol
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		at, relayed := portOf(0, protocol)
		if sameName && relayed && at.udp == udp && p.Port != nil && *p.Port > 0 && *p.Port < 1<<16 {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// state reads an endpoint's conditions: ready ones are used; one that is on its
// way out but still serves is used when nothing else is left (KEP-1669).
func state(c *discoveryv1.EndpointConditions) (use, draining bool) {
	ready := c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	terminating := c.Terminating != nil && *c.Terminating
	switch {
	case ready && !terminating:
		return true, false
	case serving && terminating:
		return true, true
	}
	return ready, false
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func backendID(name types.NamespacedName, at port) string {
	id := name.Namespace + "/" + name.Name + ":" + strconv.Itoa(int(at.number))
	if at.udp {
		id += "/udp"
	}
	return id
}
