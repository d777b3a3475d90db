package graph

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/params"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// The target ports: below the node ports (30000 on) and the ports clients are
// given (32768 on), above what programs commonly listen on.
const (
	FirstTarget = 20000
	LastTarget  = 29999
)

// Service is the Service a Gateway needs, to be reached at.
type Service struct {
	Name    types.NamespacedName
	Ports   []ServicePort // those its listeners ask for, by protocol, then number
	Address string        // the IP address that spec.addresses asks for; "" for any
	// Parameters settle the rest of it. They are nil while they cannot be found:
	// then a Service that is there stays as it is, and one that is not has to wait.
	Parameters *v1alpha1.ServiceParameters
}

// ServicePort is a port at which callers reach a Gateway.
type ServicePort struct {
	Port     int32
	Protocol corev1.Protocol // TCP or UDP
}

// TargetPort reads a port of one of our Services and the target port it records,
// 0 if that is none we could have allocated.
func TargetPort(p *corev1.ServicePort) (ServicePort, uint16) {
	port := ServicePort{p.Port, cmp.Or(p.Protocol, corev1.ProtocolTCP)}
	if t := p.TargetPort.IntVal; t >= FirstTarget && t <= LastTarget {
		return port, uint16(t)
	}
	return port, 0
}

// ServiceName is the name of the Service of a Gateway: <gateway>-gatehouse, or
// the like where that is no name for a Service; gatehouse-ingress-<class> for the
// Gateway of the Ingresses of a class.
func ServiceName(gateway types.NamespacedName) types.NamespacedName {
	name := gateway.Name + "-" + store.Manager
	if class, derived := spec.DerivedPart(gateway.Name); derived {
		gateway.Name = spec.OwnerName(gateway.Name) + "-" + class
		name = store.Manager + "-" + gateway.Name
	}
	if len(validation.IsDNS1035Label(name)) > 0 {
		name = store.Manager + "-" + strings.ReplaceAll(gateway.Name, ".", "-")
		name = strings.TrimRight(name[:min(len(name), 54)], "-") + "-" + hash(gateway.Name)
	}
	return types.NamespacedName{Namespace: gateway.Namespace, Name: name}
}

// LabelValue is a name as the value of a label, which has less room (GEP-1762).
func LabelValue(name string) string {
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	return strings.TrimRight(name[:54], "-.") + "-" + hash(name)
}

// hash tells names apart that had to be cut: eight digits.
func hash(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes all
	return fmt.Sprintf("%08x", h.Sum32())
}

// OwnService says whether a Service is the one kept for a Gateway.
func OwnService(gw *gatewayv1.Gateway, s *corev1.Service) bool {
	kind, name := store.Gateway, gw.Name
	if class, derived := spec.DerivedPart(name); derived {
		kind, name = store.IngressClass, class
	}
	return s.Labels[store.ManagedBy] == store.Manager && slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Kind == string(kind) && o.Name == name && o.UID == gw.UID
	})
}

// way is how callers get to a Gateway.
type way struct {
	bind      string                           // IP its listeners bind; "" for all
	targets   map[ServicePort]uint16           // to bind, by port
	direct    bool                             // every listener binds its own port
	addresses []gatewayv1.GatewayStatusAddress //
	unusable  *spec.Problem                    // no listener can be bound
	away      *spec.Problem                    // the listeners serve, but callers do not get there
}

// refused finds what keeps a Gateway from being accepted.
func (b *Builder) refused(obj *gatewayv1.Gateway) *spec.Problem {
	if p := spec.Gateway(obj); p != nil || b.config.Services {
		return p
	}
	return spec.HostAddresses(obj)
}

// way is the one the configuration says.
func (b *Builder) way(r *store.Reader, obj *gatewayv1.Gateway, lost string) way {
	if b.config.Services {
		return b.serviceWay(r, obj, lost)
	}
	return b.hostWay(obj)
}

// lead puts a listener that can serve at the end of the way, and says whether it
// does serve there.
func (w way) lead(l *Listener) metav1.Condition {
	l.Address, l.Target, l.TargetUDP = w.bind, w.targets[ServicePort{l.Spec.Port, spec.Transport(l.Spec.Protocol)}], w.targets[ServicePort{l.Spec.Port, corev1.ProtocolUDP}]
	if l.Serves && !w.direct && l.Target == 0 {
		l.Serves = false
		return no(gatewayv1.ListenerConditionProgrammed, gatewayv1.ListenerReasonPending, "the Service of the Gateway does not have the port yet")
	}
	return listenerProgrammed(l.Serves)
}

// pending finds that there are listeners that could serve, and that callers do
// not get to any yet.
func pending(listeners []*Listener) *spec.Problem {
	usable := slices.ContainsFunc(listeners, func(l *Listener) bool { return l.usable })
	if usable && !serving(listeners) {
		return spec.Problemf(gatewayv1.GatewayReasonPending, "the Gateway waits for its Service")
	}
	return nil
}

func serving(listeners []*Listener) bool {
	return slices.ContainsFunc(listeners, func(l *Listener) bool { return l.Serves })
}

// hostWay is through the addresses of the machine.
func (b *Builder) hostWay(obj *gatewayv1.Gateway) way {
	address, unusable := spec.BindAddress(obj)
	return way{bind: address, direct: true, unusable: unusable, addresses: b.addresses(address)}
}

// serviceWay is through the Gateway's own Service, on the target ports that are
// recorded there. Of those, lost names the ones an older Service has.
func (b *Builder) serviceWay(r *store.Reader, obj *gatewayv1.Gateway, lost string) way {
	w := way{targets: map[ServicePort]uint16{}}
	name := ServiceName(nameOf(obj))
	s := r.Service(name)
	switch {
	case s == nil:
		return w
	case !OwnService(obj, s):
		w.unusable = spec.Problemf(gatewayv1.GatewayReasonPending, "Service %s is in the place of the Gateway's own; rename or delete it", name)
		return w
	}
	for i := range s.Spec.Ports {
		if port, target := TargetPort(&s.Spec.Ports[i]); target != 0 && !slices.Contains(strings.Fields(lost), strconv.Itoa(int(target))) {
			w.targets[port] = target
		}
	}
	values := b.serviceAddresses(s)
	w.addresses = statusAddresses(values)
	w.away = spec.Assigned(obj, s.Spec.Type, values)
	return w
}

// serviceAddresses are where a Service is reached.
func (b *Builder) serviceAddresses(s *corev1.Service) (values []string) {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, "":
		return slices.DeleteFunc(slices.Clone(s.Spec.ClusterIPs), func(ip string) bool { return ip == corev1.ClusterIPNone })
	case corev1.ServiceTypeNodePort:
		return b.config.Addresses
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if value := cmp.Or(in.IP, in.Hostname); value != "" {
			values = append(values, value)
		}
	}
	return values
}

// needs is the Service a Gateway asks for; nil if it has no listener to reach.
func needs(obj *gatewayv1.Gateway, listeners []*Listener, found params.Found) *Service {
	s := &Service{Name: ServiceName(nameOf(obj)), Address: spec.WantedIP(obj)}
	if found.Problem() == nil {
		s.Parameters = &found.Service
	}
	for _, l := range listeners {
		if spec.Speaks(l.Spec.Protocol) {
			s.Ports = append(s.Ports, ServicePort{l.Spec.Port, spec.Transport(l.Spec.Protocol)})
		}
		if spec.HTTP3(l.Spec) {
			s.Ports = append(s.Ports, ServicePort{l.Spec.Port, corev1.ProtocolUDP})
		}
	}
	if len(s.Ports) == 0 {
		return nil
	}
	slices.SortFunc(s.Ports, func(a, b ServicePort) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	s.Ports = slices.Compact(s.Ports)
	return s
}

// claimTargets finds the Gateways whose Service records a target port that an
// older Service has, whoever wrote it there, and says which: a Gateway never
// serves on the port of another.
func (b *Builder) claimTargets(r *store.Reader, _ struct{}) map[types.NamespacedName]string {
	type claim struct {
		gateway types.NamespacedName
		service *corev1.Service
	}
	var claims []claim
	for _, gw := range r.Gateways() {
		if b.ours(r, gw) == nil {
			continue
		}
		if s := r.Service(ServiceName(nameOf(gw))); s != nil && OwnService(gw, s) {
			claims = append(claims, claim{nameOf(gw), s})
		}
	}
	slices.SortFunc(claims, func(x, y claim) int { return older(x.service, y.service) })
	held, lost := map[uint16]bool{}, map[types.NamespacedName]string{}
	for _, c := range claims {
		for i := range c.service.Spec.Ports {
			_, target := TargetPort(&c.service.Spec.Ports[i])
			switch {
			case target == 0:
			case held[target]:
				lost[c.gateway] += " " + strconv.Itoa(int(target))
			default:
				held[target] = true
			}
		}
	}
	return lost
}

func statusAddresses(values []string) (out []gatewayv1.GatewayStatusAddress) {
	for _, value := range values[:min(len(values), maxAddresses)] {
		kind := gatewayv1.HostnameAddressType
		if _, err := netip.ParseAddr(value); err == nil {
			kind = gatewayv1.IPAddressType
		}
		out = append(out, gatewayv1.GatewayStatusAddress{Type: &kind, Value: value})
	}
	return out
}
