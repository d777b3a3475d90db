package graph

import (
	"cmp"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Config is what a Builder knows beside the objects.
type Config struct {
	// Controller is the controllerName of the GatewayClasses that are ours.
	Controller gatewayv1.GatewayController
	// Services says that each Gateway has a Service of its own in front of it,
	// whose addresses it is reached at and which records the ports its listeners
	// bind. Otherwise Gateways share the addresses and ports of the machine.
	Services bool
	// Ingress is the spec.controller of the IngressClasses that are ours, "" for
	// none; Namespace is where the Gateways stand that their Ingresses share.
	Ingress   string
	Namespace string
	// Addresses are where the machine is reached: IP addresses or host names,
	// reported for the Gateways that ask for no address.
	Addresses []string
	// Bundle is the gateway.networking.k8s.io/bundle-version annotation of the
	// installed CRDs; empty where none are installed, as with manifests.
	Bundle string
}

// Builder builds Graphs, and keeps what did not change from one to the next. It
// belongs to one goroutine.
type Builder struct {
	config   Config
	store    *store.Store // what last was made of
	last     *Graph       // of the store at clock
	clock    uint64
	classes  store.Memo[string, *Class]
	claims   store.Memo[struct{}, map[types.NamespacedName]*taken]
	lost     store.Memo[struct{}, map[types.NamespacedName]string]
	gateways store.Memo[gatewayInput, *Gateway]
	read
	routes  store.Memo[types.NamespacedName, *Route]
	grpcs   store.Memo[types.NamespacedName, *Route]
	streams store.Memo[StreamKey, *Stream]
	ingress *ingress.Translator
	// ingresses are those of the last Graph, by what the translation made of them.
	ingresses map[*Ingress]*Ingress
	settled   map[*Route]*Route // the routes that lost a host to one of the other kind, as they stand without it
}

// read is what other objects say, read once for all that refer to them.
type read struct {
	certs store.Memo[types.NamespacedName, keyPair]
	tls   store.Memo[types.NamespacedName, *backendtls.Settings]
}

// NewBuilder returns a Builder that has built nothing yet.
func NewBuilder(config Config) *Builder {
	return &Builder{config: config, ingress: ingress.New(ingress.Config{
		Controller: config.Ingress, Gateways: config.Controller, Namespace: config.Namespace,
	})}
}

// Build resolves the objects of a store. It does again only what the changes
// since the last Build of that store touch, and shares the rest with the Graph
// before; a store that did not change gives the same Graph.
func (b *Builder) Build(s *store.Store) *Graph {
	if b.last != nil && b.store == s && b.clock == s.Clock() {
		return b.last
	}
	b.store = s
	ingresses := b.ingress.Translate(s) // the store has them as Gateways and routes from here on
	g := &Graph{}
	all := s.Read()
	b.buildClasses(all, g)
	b.buildGateways(all, g)
	b.buildRoutes(all, g)
	stale := b.buildStreams(all, g)
	b.buildIngresses(ingresses, g)
	g.Attached = attached(g, b.last)
	g.Stale = append(b.stale(all, g), stale...)
	b.sweep(s)
	b.last, b.clock = g, s.Clock()
	return g
}

func (b *Builder) buildClasses(all *store.Reader, g *Graph) {
	compute := b.class
	for _, class := range all.GatewayClasses() {
		if c := b.classes.Get(b.store, class.Name, compute); c != nil {
			g.Classes = append(g.Classes, c)
		}
	}
}

func (b *Builder) buildGateways(all *store.Reader, g *Graph) {
	var claims map[types.NamespacedName]*taken
	var lost map[types.NamespacedName]string
	if b.config.Services {
		lost = b.lost.Get(b.store, struct{}{}, b.claimTargets)
	} else {
		claims = b.claims.Get(b.store, struct{}{}, b.claim)
	}
	compute := b.gateway
	for _, gw := range all.Gateways() {
		name := nameOf(gw)
		if node := b.gateways.Get(b.store, gatewayInput{name, claims[name], lost[name]}, compute); node != nil {
			g.Gateways = append(g.Gateways, node)
		}
	}
}

func (b *Builder) buildRoutes(all *store.Reader, g *Graph) {
	objects := all.HTTPRoutes()
	g.Routes = make([]*Route, 0, len(objects))
	compute := b.httpRoute
	for _, route := range objects {
		if node := b.routes.Get(b.store, nameOf(route), compute); node != nil {
			g.Routes = append(g.Routes, node)
		}
	}
	https := len(g.Routes)
	compute = b.grpcRoute
	for _, route := range all.GRPCRoutes() {
		if node := b.grpcs.Get(b.store, nameOf(route), compute); node != nil {
			g.Routes = append(g.Routes, node)
		}
	}
	b.settle(g.Routes, https)
}

// attached counts the routes of each listener: those accepted there, once each,
// whether or not the listener serves. It looks at the routes that differ from those of the
// Graph before, if there is one.
func attached(g, before *Graph) map[ListenerKey]int32 {
	count := map[ListenerKey]int32{}
	if before == nil {
		before = &Graph{}
	}
	maps.Copy(count, before.Attached)
	differences(before.Routes, g.Routes, func(r *Route) types.NamespacedName { return nameOf(r.Object) }, func(r *Route, by int32) { countAttached(count, r.Parents, by) })
	differences(before.Streams, g.Streams, (*Stream).Name, func(s *Stream, by int32) { countAttached(count, s.Parents, by) })
	maps.DeleteFunc(count, func(_ ListenerKey, n int32) bool { return n == 0 })
	return count
}

// differences visits the nodes that went, by -1, and those that came, by 1. Where lists are not in
// order of name, nodes that stayed may be visited too, as often by 1 as by -1.
func differences[T comparable](before, now []T, name func(T) types.NamespacedName, visit func(T, int32)) {
	for len(before) > 0 || len(now) > 0 {
		switch {
		case len(before) > 0 && len(now) > 0 && before[0] == now[0]:
			before, now = before[1:], now[1:]
		case len(now) == 0 || len(before) > 0 && compareNames(name(before[0]), name(now[0])) <= 0:
			visit(before[0], -1)
			before = before[1:]
		default:
			visit(now[0], 1)
			now = now[1:]
		}
	}
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func countAttached(count map[ListenerKey]int32, parents []*Parent, by int32) {
	for i, parent := range parents {
		if !holds(parent.Conditions, string(gatewayv1.RouteConditionAccepted)) {
			continue
		}
		for _, at := range parent.Attached {
			if !attachedBefore(parents[:i], at.Listener) {
				count[at.Listener] += by
			}
		}
	}
}

func attachedBefore(parents []*Parent, listener ListenerKey) bool {
	for _, parent := range parents {
		for _, at := range parent.Attached {
			if at.Listener == listener {
				return holds(parent.Conditions, string(gatewayv1.RouteConditionAccepted))
			}
		}
	}
	return false
}

// stale finds the routes with nothing of ours to say about them whose status
// still has entries of ours.
func (b *Builder) stale(all *store.Reader, g *Graph) (out []ObjectKey) {
	https := slices.IndexFunc(g.Routes, func(r *Route) bool { return r.Kind() == spec.KindGRPCRoute })
	if https < 0 {
		https = len(g.Routes)
	}
	visit := func(kind store.Kind, route metav1.Object, status []gatewayv1.RouteParentStatus) {
		if slices.ContainsFunc(status, func(p gatewayv1.RouteParentStatus) bool { return p.ControllerName == b.config.Controller }) {
			out = append(out, ObjectKey{Kind: string(kind), NamespacedName: nameOf(route)})
		}
	}
	walkRest(all.HTTPRoutes(), g.Routes[:https], func(route *gatewayv1.HTTPRoute) { visit(store.HTTPRoute, route, route.Status.Parents) })
	walkRest(all.GRPCRoutes(), g.Routes[https:], func(route *gatewayv1.GRPCRoute) { visit(store.GRPCRoute, route, route.Status.Parents) })
	return out
}

// walkRest visits the objects that no node stands for. Both are sorted alike.
func walkRest[T metav1.Object](objects []T, nodes []*Route, visit func(T)) {
	if len(objects) == len(nodes) {
		return
	}
	for _, obj := range objects {
		if len(nodes) > 0 {
			if o := nodes[0].Object; o.GetName() == obj.GetName() && o.GetNamespace() == obj.GetNamespace() {
				nodes = nodes[1:]
				continue
			}
		}
		visit(obj)
	}
}

// sweep drops what nobody asks for any more.
func (b *Builder) sweep(s *store.Store) {
	b.classes.Sweep()
	b.gateways.Sweep()
	b.routes.Sweep()
	b.streams.Sweep()
	b.grpcs.Sweep()
	// A Gateway that did not change does not ask for its certificates again.
	b.certs.Drop(func(name types.NamespacedName) bool { return s.Read().Secret(name) == nil })
	b.tls.Drop(func(name types.NamespacedName) bool { return s.Read().BackendTLSPolicy(name) == nil })
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// older orders objects by age, then by namespace and name: the way Gateway API
// settles ties.
func older(a, b metav1.Object) int {
	x, y := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	return cmp.Or(x.Compare(y.Time), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}
