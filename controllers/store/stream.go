package store

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// streams are the routes whose connections are relayed.
type streams struct {
	tls *shelf[*gatewayv1.TLSRoute]
	tcp *shelf[*gatewayv1.TCPRoute]
	udp *shelf[*gatewayv1.UDPRoute]
}

func newStreams() streams {
	return streams{
		tls: newShelf(func(a, b *gatewayv1.TLSRoute) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
		tcp: newShelf(func(a, b *gatewayv1.TCPRoute) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
		udp: newShelf(func(a, b *gatewayv1.UDPRoute) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }, listed),
	}
}

func (s *streams) put(obj metav1.Object, tick uint64) bool {
	switch o := obj.(type) {
	case *gatewayv1.TLSRoute:
		return s.tls.put(o, tick)
	case *gatewayv1.TCPRoute:
		return s.tcp.put(o, tick)
	case *gatewayv1.UDPRoute:
		return s.udp.put(o, tick)
	}
	return false
}

// TLSRoute returns the route of that name.
func (r *Reader) TLSRoute(name types.NamespacedName) *gatewayv1.TLSRoute {
	return get(r, r.store.streams.tls, name)
}

// TLSRoutes returns all routes of that kind.
func (r *Reader) TLSRoutes() []*gatewayv1.TLSRoute { return all(r, r.store.streams.tls, everything) }

// TCPRoute returns the route of that name.
func (r *Reader) TCPRoute(name types.NamespacedName) *gatewayv1.TCPRoute {
	return get(r, r.store.streams.tcp, name)
}

// TCPRoutes returns all routes of that kind.
func (r *Reader) TCPRoutes() []*gatewayv1.TCPRoute { return all(r, r.store.streams.tcp, everything) }

// UDPRoute returns the route of that name.
func (r *Reader) UDPRoute(name types.NamespacedName) *gatewayv1.UDPRoute {
	return get(r, r.store.streams.udp, name)
}

// UDPRoutes returns all routes of that kind.
func (r *Reader) UDPRoutes() []*gatewayv1.UDPRoute { return all(r, r.store.streams.udp, everything) }
