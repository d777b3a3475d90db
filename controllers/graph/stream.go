package graph

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Stream is a TLSRoute, TCPRoute or UDPRoute with what it resolved to.
type Stream struct {
	Kind     gatewayv1.Kind
	Object   metav1.Object
	Parents  []*Parent  // one per parentRef to a Gateway of ours, in the spec's order
	Backends []*Backend // of its one rule
	Broken   string     // set: the route cannot be used for this reason, its connections are refused
}

// Name is the route's namespace and name.
func (s *Stream) Name() types.NamespacedName { return nameOf(s.Object) }

// StreamKey names a Stream.
type StreamKey struct {
	Kind gatewayv1.Kind
	types.NamespacedName
}

// Key names the route.
func (s *Stream) Key() StreamKey { return StreamKey{s.Kind, s.Name()} }

// readStream reads the route that is named. It is there: the store lists it.
func readStream(r *store.Reader, key StreamKey) spec.Stream {
	switch key.Kind {
	case spec.KindTLSRoute:
		return spec.TLSRoute(r.TLSRoute(key.NamespacedName))
	case spec.KindTCPRoute:
		return spec.TCPRoute(r.TCPRoute(key.NamespacedName))
	}
	return spec.UDPRoute(r.UDPRoute(key.NamespacedName))
}

// streamObjects lists the routes of every kind that is relayed, each kind by
// namespace, then name.
func streamObjects(all *store.Reader) (out []spec.Stream) {
	for _, o := range all.TCPRoutes() {
		out = append(out, spec.TCPRoute(o))
	}
	for _, o := range all.TLSRoutes() {
		out = append(out, spec.TLSRoute(o))
	}
	for _, o := range all.UDPRoutes() {
		out = append(out, spec.UDPRoute(o))
	}
	return out
}

// buildStreams builds the Streams, and finds those that have nothing of ours but
// an old status.
func (b *Builder) buildStreams(all *store.Reader, g *Graph) (stale []ObjectKey) {
	compute := b.stream
	for _, s := range streamObjects(all) {
		key := StreamKey{s.Kind, nameOf(s.Object)}
		if node := b.streams.Get(b.store, key, compute); node != nil {
			g.Streams = append(g.Streams, node)
		} else if slices.ContainsFunc(s.Status.Parents, func(p gatewayv1.RouteParentStatus) bool { return p.ControllerName == b.config.Controller }) {
			stale = append(stale, ObjectKey{Kind: string(s.Kind), NamespacedName: key.NamespacedName})
		}
	}
	return stale
}

// stream is nil for a route none of whose parentRefs leads to a Gateway of ours.
func (b *Builder) stream(r *store.Reader, key StreamKey) *Stream {
	read := readStream(r, key)
	var node *Stream
	var rules outcome
	for _, p := range b.parents(r, read.Object, read.Common) {
		if node == nil {
			node, rules = resolveStream(r, read)
			if read.Kind == spec.KindTLSRoute {
				b.secureBackends(r, node.Backends)
			}
		}
		node.Parents = append(node.Parents, attach(r, applicant{read.Kind, read.Object, read.Hostnames}, p, rules))
	}
	return node
}

func resolveStream(r *store.Reader, read spec.Stream) (*Stream, outcome) {
	node := &Stream{Kind: read.Kind, Object: read.Object}
	rules := outcome{
		refused:  read.Broken,
		resolved: yes(gatewayv1.RouteConditionResolvedRefs, gatewayv1.RouteReasonResolvedRefs, "all references are resolved"),
	}
	if read.Broken != nil {
		node.Broken = read.Broken.Text
	}
	var unresolved []*spec.Problem
	for i := range read.Backends {
		backend, p := streamBackend(r, read, i)
		if p != nil {
			unresolved = append(unresolved, p)
		}
		node.Backends = append(node.Backends, backend)
	}
	if all := spec.Sentences(unresolved); all != nil {
		rules.resolved = no(gatewayv1.RouteConditionResolvedRefs, all.Reason, all.Text)
	}
	return node, rules
}

// streamBackend resolves one backendRef. One that cannot be resolved keeps its
// weight: its share of the connections is refused.
func streamBackend(r *store.Reader, read spec.Stream, index int) (*Backend, *spec.Problem) {
	ref := &read.Backends[index]
	out := newBackend(read.Object.GetNamespace(), ref)
	out.UDP = read.Kind == spec.KindUDPRoute
	p := streamService(r, read, out, ref, backendField(0, index))
	out.breaks(p)
	return out, p
}

func streamService(r *store.Reader, read spec.Stream, out *Backend, ref *gatewayv1.BackendRef, field string) *spec.Problem {
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != kindService {
		return spec.Problemf(gatewayv1.RouteReasonInvalidKind, "%s: is not supported; name a Service of the core group", field)
	}
	service, p := out.service(r, read.Kind, read.Object.GetNamespace(), field)
	if p != nil {
		return p
	}
	var has []string
	for _, p := range service.Spec.Ports {
		if out.UDP == (p.Protocol == corev1.ProtocolUDP) && p.Protocol != corev1.ProtocolSCTP {
			has = append(has, strconv.Itoa(int(p.Port)))
		}
	}
	if want := strconv.Itoa(int(out.Port)); !slices.Contains(has, want) {
		return spec.Problemf(gatewayv1.RouteReasonBackendNotFound, "%s.port: Service %s has no %s port %s; it has %s",
			field, out.Service, transport(out.UDP), want, spec.List(has))
	}
	return nil
}

func transport(udp bool) corev1.Protocol {
	if udp {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}
