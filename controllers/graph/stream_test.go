package graph

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/test/difference"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the one stream to run; 0 for the usual ones")

// TestIncrementalIsFull feeds random streams of objects to one Builder and asks
// after each step whether a Builder that sees the store for the first time finds
// the same, and whether the routes that the step does not touch are the same
// pointers as before.
func TestIncrementalIsFull(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	const steps = 400
	for _, seed := range seeds {
		st := newStream(t, seed)
		s, b := store.New(), NewBuilder(Config{Controller: controller, Addresses: []string{"192.0.2.1"}, Services: seed%2 == 0})
		for i := range steps {
			before := routePointers(b)
			what := st.step(s)
			got := b.Build(s)
			full := NewBuilder(b.config).Build(s)
			if !reflect.DeepEqual(got, full) {
				t.Fatalf("-seed %d step %d, %s: incremental differs from full %s\n%s", seed, i, what, difference.Between(got, full), text(full))
			}
			if again := b.Build(s); again != got {
				t.Fatalf("-seed %d step %d: a second Build of the same store is another Graph", seed, i)
			}
			for name, was := range before {
				if is, ok := b.routes.Last(name); what.spares(name) && ok && is != was {
					t.Fatalf("-seed %d step %d, %s: route %s was made again", seed, i, what, name)
				}
			}
		}
	}
}

func routePointers(b *Builder) map[types.NamespacedName]*Route {
	out := map[types.NamespacedName]*Route{}
	if b.last != nil {
		for _, r := range b.last.Routes {
			out[nameOf(r.Object)] = r
		}
	}
	return out
}

// step is one change: an object that was applied or deleted.
type step struct {
	kind store.Kind
	name types.NamespacedName
	gone bool
}

func (st step) String() string { return fmt.Sprintf("%s %s gone=%v", st.kind, st.name, st.gone) }

// spares says of which routes it is plain that a change does not touch them.
func (st step) spares(route types.NamespacedName) bool {
	switch st.kind {
	case store.HTTPRoute:
		return st.name != route
	case store.Secret, store.ConfigMap:
		return true
	}
	return false
}

type stream struct {
	r       *rand.Rand
	secrets []map[string][]byte
}

func newStream(t *testing.T, seed uint64) *stream {
	st := &stream{r: rand.New(rand.NewPCG(seed, seed))}
	for range 2 {
		chain, key := keyPEM(t, "example.com")
		st.secrets = append(st.secrets, map[string][]byte{"tls.crt": chain, "tls.key": key})
	}
	st.secrets = append(st.secrets, map[string][]byte{"tls.crt": []byte("junk"), "tls.key": []byte("junk")}, nil)
	return st
}

func pick[T any](st *stream, from ...T) T { return from[st.r.IntN(len(from))] }
func (st *stream) chance(percent int) bool {
	return st.r.IntN(100) < percent
}
func (st *stream) namespace() string { return pick(st, "a", "b") }
func ptr[T any](v T) *T              { return &v }

func (st *stream) meta(namespace string, names ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: pick(st, names...), CreationTimestamp: metav1.NewTime(time.Unix(int64(st.r.IntN(3)), 0))}
}

// ageless is meta for the kinds whose age nothing rests on.
func (st *stream) ageless(namespace string, names ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: pick(st, names...)}
}

func (st *stream) step(s *store.Store) step {
	kind, obj := st.object()
	out := step{kind, nameOf(obj), st.chance(20)}
	if out.gone {
		s.Delete(kind, out.name)
	} else {
		s.Apply(obj)
	}
	return out
}

func (st *stream) object() (store.Kind, metav1.Object) {
	labels := pick(st, nil, map[string]string{"edge": "yes"}, map[string]string{"edge": "no"})
	switch n := st.r.IntN(100); {
	case n < 5:
		class := &gatewayv1.GatewayClass{ObjectMeta: st.meta("", "one", "two")}
		class.Spec.ControllerName = pick[gatewayv1.GatewayController](st, controller, controller, "example.com/other")
		if st.chance(10) {
			class.Spec.ParametersRef = &gatewayv1.ParametersReference{
				Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "p", Namespace: ptr(gatewayv1.Namespace(st.namespace())),
			}
		}
		return store.GatewayClass, class
	case n < 25:
		return store.Gateway, st.gateway()
	case n < 33:
		return store.ListenerSet, st.listenerSet()
	case n < 60:
		return store.HTTPRoute, st.route()
	case n < 68:
		grant := &gatewayv1.ReferenceGrant{ObjectMeta: st.meta(st.namespace(), "g", "h")}
		grant.Spec.From = []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: pick[gatewayv1.Kind](st, "Gateway", "HTTPRoute"), Namespace: gatewayv1.Namespace(st.namespace())}}
		grant.Spec.To = []gatewayv1.ReferenceGrantTo{{Kind: pick[gatewayv1.Kind](st, "Secret", "Service"), Name: pick(st, nil, ptr[gatewayv1.ObjectName]("s"))}}
		return store.ReferenceGrant, grant
	case n < 76:
		service := &corev1.Service{ObjectMeta: st.ageless(st.namespace(), "s", "t")}
		service.Spec.Ports = []corev1.ServicePort{{Port: pick[int32](st, 80, 81), AppProtocol: pick(st, nil, ptr("https"), ptr("kubernetes.io/h2c"))}}
		return store.Service, service
	case n < 84:
		secret := &corev1.Secret{ObjectMeta: st.ageless(st.namespace(), "s", "t"), Type: pick(st, corev1.SecretTypeTLS, corev1.SecretTypeTLS, corev1.SecretTypeOpaque), Data: pick(st, st.secrets...)}
		secret.Labels = labels
		return store.Secret, secret
	case n < 88:
		ns := &corev1.Namespace{ObjectMeta: st.ageless("", "a", "b")}
		ns.Labels = labels
		return store.Namespace, ns
	case n < 91:
		parameters := &v1alpha1.GatewayParameters{ObjectMeta: st.meta(st.namespace(), "p")}
		parameters.Spec.Service.Type = pick(st, "", corev1.ServiceTypeNodePort)
		parameters.Spec.Service.LoadBalancerClass = pick(st, nil, ptr("a"))
		parameters.Spec.Clients.Limits.MaxConnections = pick(st, nil, ptr[int32](5), ptr[int32](0))
		parameters.Spec.Clients.Ports = pick(st, nil, []v1alpha1.PortParameters{{Port: 80}})
		return store.GatewayParameters, parameters
	case n < 95:
		service := &corev1.Service{ObjectMeta: st.ageless(st.namespace(), "gw-gatehouse", "hw-gatehouse")}
		service.Labels = map[string]string{store.ManagedBy: store.Manager}
		service.OwnerReferences = []metav1.OwnerReference{{Kind: "Gateway", Name: service.Name[:2]}}
		service.Spec.ClusterIPs = pick(st, nil, []string{"10.0.0.1"})
		service.Spec.Ports = []corev1.ServicePort{
			{Port: 80, TargetPort: intstr.FromInt32(pick[int32](st, 20000, 20001))}, {Port: 81, TargetPort: intstr.FromInt32(pick[int32](st, 20002, 1))},
		}
		return store.Service, service
	}
	return store.ConfigMap, &corev1.ConfigMap{ObjectMeta: st.ageless(st.namespace(), "c"), Data: map[string]string{"k": pick(st, "{}", "[", "")}}
}

func (st *stream) gateway() *gatewayv1.Gateway {
	gw := &gatewayv1.Gateway{ObjectMeta: st.meta(st.namespace(), "gw", "hw")}
	gw.Spec.GatewayClassName = pick[gatewayv1.ObjectName](st, "one", "one", "two")
	if st.chance(15) {
		gw.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{
			Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "p",
		}}
	}
	gw.Spec.DefaultScope = pick(st, "", "", gatewayv1.GatewayDefaultScopeAll, gatewayv1.GatewayDefaultScopeNone)
	if from := pick(st, gatewayv1.NamespacesFromNone, gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSame); from != gatewayv1.NamespacesFromNone {
		gw.Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: &from}}
	}
	if st.chance(15) {
		gw.Spec.Addresses = []gatewayv1.GatewaySpecAddress{{Type: pick(st, nil, ptr(gatewayv1.HostnameAddressType)), Value: pick(st, "192.0.2.1", "192.0.2.2", "x", "")}}
	}
	for _, name := range []gatewayv1.SectionName{"l", "m", "n"}[:1+st.r.IntN(3)] {
		l := gatewayv1.Listener{
			Name: name, Port: pick[int32](st, 80, 81, 443), Protocol: pick[gatewayv1.ProtocolType](st, "HTTP", "HTTP", "HTTPS", "TCP"),
			Hostname: pick(st, nil, ptr[gatewayv1.Hostname]("*.example"), ptr[gatewayv1.Hostname]("a.example")),
		}
		l.AllowedRoutes = &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{
			From:     pick(st, nil, ptr(gatewayv1.NamespacesFromAll), ptr(gatewayv1.NamespacesFromSelector)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"edge": "yes"}},
		}}
		if st.chance(10) {
			l.AllowedRoutes.Kinds = []gatewayv1.RouteGroupKind{{Kind: pick[gatewayv1.Kind](st, "HTTPRoute", "TCPRoute")}}
		}
		if l.Protocol == gatewayv1.HTTPSProtocolType {
			l.TLS = &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: pick[gatewayv1.ObjectName](st, "s", "t"), Namespace: st.maybeNamespace()}}}
		}
		gw.Spec.Listeners = append(gw.Spec.Listeners, l)
	}
	return gw
}

func (st *stream) listenerSet() *gatewayv1.ListenerSet {
	set := &gatewayv1.ListenerSet{ObjectMeta: st.meta(st.namespace(), "set", "tes")}
	set.Spec.ParentRef.Name, set.Spec.ParentRef.Namespace = pick[gatewayv1.ObjectName](st, "gw", "hw"), st.maybeNamespace()
	for i := range st.gateway().Spec.Listeners {
		set.Spec.Listeners = append(set.Spec.Listeners, gatewayv1.ListenerEntry(st.gateway().Spec.Listeners[0]))
		set.Spec.Listeners[i].Name = []gatewayv1.SectionName{"l", "m", "n"}[i]
	}
	return set
}

func (st *stream) maybeNamespace() *gatewayv1.Namespace {
	return pick(st, nil, nil, ptr[gatewayv1.Namespace]("a"), ptr[gatewayv1.Namespace]("b"))
}

func (st *stream) route() *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{ObjectMeta: st.meta(st.namespace(), "r1", "r2", "r3", "r4", "r5")}
	route.Spec.UseDefaultGateways = pick(st, "", "", gatewayv1.GatewayDefaultScopeAll, gatewayv1.GatewayDefaultScopeNone)
	for range 1 + st.r.IntN(2) {
		route.Spec.ParentRefs = append(route.Spec.ParentRefs, gatewayv1.ParentReference{
			Name: pick[gatewayv1.ObjectName](st, "gw", "hw", "none"), Namespace: st.maybeNamespace(),
			SectionName: pick(st, nil, nil, ptr[gatewayv1.SectionName]("l"), ptr[gatewayv1.SectionName]("m")),
		})
	}
	if ref := &route.Spec.ParentRefs[0]; st.chance(30) {
		ref.Kind, ref.Name = ptr[gatewayv1.Kind]("ListenerSet"), pick[gatewayv1.ObjectName](st, "set", "tes")
	}
	route.Spec.Hostnames = pick(st, nil, []gatewayv1.Hostname{"a.example", "b.example"}, []gatewayv1.Hostname{"x.test"})
	for i := range 1 + st.r.IntN(3) {
		rule := gatewayv1.HTTPRouteRule{Name: pick(st, nil, ptr(gatewayv1.SectionName(fmt.Sprintf("rule%d", i))))}
		rule.Matches = pick(st, nil, []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr(gatewayv1.PathMatchRegularExpression), Value: ptr(pick(st, "/a.*", "["))}}})
		rule.Filters = pick(st, nil, nil, []gatewayv1.HTTPRouteFilter{{Type: "CORS"}})
		for range st.r.IntN(3) {
			ref := gatewayv1.HTTPBackendRef{}
			ref.Name, ref.Namespace, ref.Port = pick[gatewayv1.ObjectName](st, "s", "t", "u"), st.maybeNamespace(), pick(st, nil, ptr[int32](80), ptr[int32](80))
			rule.BackendRefs = append(rule.BackendRefs, ref)
		}
		route.Spec.Rules = append(route.Spec.Rules, rule)
	}
	return route
}
