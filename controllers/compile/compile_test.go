package compile

import (
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// cluster is a store with the pipeline behind it.
type cluster struct {
	t *testing.T
	s *store.Store
	b *graph.Builder
	a *attach.Builder
	c *Compiler
}

func read[T any](t *testing.T, text string) *T {
	t.Helper()
	obj := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// load puts one object into a store.
func load[T any, O interface {
	*T
	metav1.Object
}](s *store.Store, text string) error {
	obj := O(new(T))
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		return err
	}
	s.Apply(obj)
	return nil
}

func (c *cluster) apply(objects ...metav1.Object) *table.Table {
	for _, o := range objects {
		c.s.Apply(o)
	}
	return c.c.Compile(c.b.Build(c.s), c.a.Build(c.s, c.b.Build(c.s)))
}

const (
	classText   = `{metadata: {name: gatehouse}, spec: {controllerName: gatehouse.dev/gateway}}`
	gatewayText = `{metadata: {name: web, namespace: shop}, spec: {gatewayClassName: gatehouse, listeners: [
		{name: http, port: 80, protocol: HTTP}, {name: alt, port: 81, protocol: HTTP, hostname: alt.example}]}}`
	serviceText = `{metadata: {name: api, namespace: shop}, spec: {ports: [{port: 80}, {port: 81}]}}`
	keyText     = `{metadata: {name: bob, namespace: shop, labels: {app: orders}}, data: {apiKey: Ym9i}}`
	policyText  = `{metadata: {name: keys, namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: a}],
		rules: {authentication: {partners: {apiKey: {selector: {matchLabels: {app: orders}}}},
			staff: {jwt: {issuer: "https://issuer.example", audiences: [a]}}}}}}`
)

func routeText(name, port string) string {
	return `{metadata: {name: ` + name + `, namespace: shop}, spec: {parentRefs: [{name: web, sectionName: http}], hostnames: [` + name + `.example], rules: [
		{matches: [{path: {type: PathPrefix, value: /one}}, {path: {type: PathPrefix, value: /two}}], backendRefs: [{name: api, port: ` + port + `}]},
		{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: api, port: 80}]}]}}`
}

func newCluster(t *testing.T) (*cluster, *table.Table) {
	c := &cluster{t, store.New(), graph.NewBuilder(graph.Config{Controller: "gatehouse.dev/gateway"}), attach.NewBuilder(attach.Config{Controller: "gatehouse.dev/gateway"}), New()}
	return c, c.apply(read[gatewayv1.GatewayClass](t, classText), read[gatewayv1.Gateway](t, gatewayText), read[corev1.Service](t, serviceText),
		read[gatewayv1.HTTPRoute](t, routeText("a", "80")), read[gatewayv1.HTTPRoute](t, routeText("b", "80")),
		read[corev1.Secret](t, keyText), read[v1alpha1.AuthPolicy](t, policyText))
}

// parts are the pieces of a table whose identity counts.
type parts struct {
	http, alt  *table.Listener
	a, b       *table.Host
	actA, actB []*table.Action
	auth       *table.Auth
	backends   []*table.Backend
	keySets    []*table.KeySet
}

func partsOf(t *testing.T, tbl *table.Table) parts {
	t.Helper()
	if len(tbl.Listeners) != 2 || len(tbl.Listeners[0].Hosts) != 2 {
		t.Fatalf("another table than expected:\n%s", tbl.Text())
	}
	p := parts{http: tbl.Listeners[0], alt: tbl.Listeners[1], backends: tbl.Backends, keySets: tbl.KeySets}
	p.a, p.b = p.http.Hosts[0], p.http.Hosts[1]
	for _, r := range p.a.Rules {
		p.actA = append(p.actA, r.Action)
	}
	for _, r := range p.b.Rules {
		p.actB = append(p.actB, r.Action)
	}
	p.auth = p.actA[0].Auth
	return p
}

func TestSharing(t *testing.T) {
	_, tbl := newCluster(t)
	p := partsOf(t, tbl)
	if p.actA[0] != p.actA[1] || p.actA[0] == p.actA[2] {
		t.Error("the matches of one rule, and only they, must share an Action")
	}
	if p.auth == nil || p.actA[2].Auth != p.auth || p.actB[0].Auth != nil {
		t.Errorf("rules under one policy must share an Auth, others have none:\n%s", tbl.Text())
	}
	if len(p.auth.Methods[0].APIKeys.Keys) != 1 || len(p.keySets) != 1 {
		t.Errorf("keys and key sets:\n%s", tbl.Text())
	}
}

// After each change only what it touches is new.
func TestIdentity(t *testing.T) {
	c, tbl := newCluster(t)
	was := partsOf(t, tbl)
	after := func(what string, o metav1.Object, changed ...string) {
		t.Helper()
		is := partsOf(t, c.apply(o))
		expect := func(part string, same bool) {
			t.Helper()
			if same == slices.Contains(changed, part) {
				t.Errorf("%s: %s: same pointer is %v", what, part, same)
			}
		}
		expect("http", was.http == is.http)
		expect("alt", was.alt == is.alt)
		expect("host a", was.a == is.a)
		expect("host b", was.b == is.b)
		expect("rule a 0", was.actA[0] == is.actA[0])
		expect("rule a 1", was.actA[2] == is.actA[2])
		expect("rules b", slices.Equal(was.actB, is.actB))
		expect("auth", was.auth == is.auth)
		expect("backends", slices.Equal(was.backends, is.backends))
		expect("key sets", slices.Equal(was.keySets, is.keySets))
		was = is
	}
	after("nothing", read[corev1.Service](t, serviceText))
	after("route b", read[gatewayv1.HTTPRoute](t, routeText("b", "81")), "http", "host b", "rules b", "backends")
	after("a Secret", read[corev1.Secret](t, `{metadata: {name: bob, namespace: shop, labels: {app: orders}}, data: {apiKey: YWxpY2U=}}`),
		"http", "host a", "rule a 0", "rule a 1", "auth")
	after("a Secret of others", read[corev1.Secret](t, `{metadata: {name: eve, namespace: shop, labels: {app: other}}, data: {apiKey: YWxpY2U=}}`))
	broad := read[v1alpha1.AuthPolicy](t, `{metadata: {name: alt, namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web, sectionName: alt}], rules: {authentication: {x: {anonymous: {}}}}}}`)
	after("a policy that reaches no route", broad)
	after("a policy on route b", read[v1alpha1.AuthPolicy](t, `{metadata: {name: b, namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: b}], rules: {authentication: {x: {anonymous: {}}}}}}`),
		"http", "host b", "rules b")
	after("protocol", read[corev1.Service](t, `{metadata: {name: api, namespace: shop}, spec: {ports: [{port: 80, appProtocol: kubernetes.io/h2c}, {port: 81}]}}`),
		"http", "host a", "host b", "rule a 0", "rule a 1", "rules b", "backends")
}

// TestIncremental puts routes in and takes them away at random, with hosts they share and
// parents that lead to one listener twice: every table must be the one that a
// Compiler makes which has seen nothing before.
func TestIncremental(t *testing.T) {
	c, _ := newCluster(t)
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 300 {
		name := string(rune('a' + random.IntN(8)))
		route := read[gatewayv1.HTTPRoute](t, routeText(name, "80"))
		route.Spec.Hostnames = nil
		for range random.IntN(4) {
			route.Spec.Hostnames = append(route.Spec.Hostnames, []gatewayv1.Hostname{"x.example", "*.example", "alt.example", "y.example"}[random.IntN(4)])
		}
		if random.IntN(2) == 0 {
			route.Spec.ParentRefs = append(route.Spec.ParentRefs, gatewayv1.ParentReference{Name: "web"})
		}
		if random.IntN(3) == 0 {
			route.Spec.Rules = route.Spec.Rules[:random.IntN(2)]
		}
		c.s.Delete(store.HTTPRoute, named(route))
		var got *table.Table
		if random.IntN(3) == 0 {
			got = c.apply()
		} else {
			got = c.apply(route)
		}
		g := c.b.Build(c.s)
		if want := New().Compile(g, c.a.Build(c.s, g)).Text(); got.Text() != want {
			t.Fatalf("step %d, route %s: got\n%s\nwant\n%s", step, name, got.Text(), want)
		}
	}
}

// A Compiler forgets what is gone.
func TestForgets(t *testing.T) {
	c, _ := newCluster(t)
	for _, name := range []string{"a", "b"} {
		o := read[gatewayv1.HTTPRoute](t, routeText(name, "80"))
		c.s.Delete(store.HTTPRoute, named(o))
	}
	c.apply()
	c.apply(read[corev1.Service](t, `{metadata: {name: x, namespace: shop}}`))
	c.apply(read[corev1.Service](t, `{metadata: {name: y, namespace: shop}}`))
	n := len(c.c.routes.byName) + len(c.c.routes.order) + len(c.c.hosts.byName) + len(c.c.hosts.lists) + len(c.c.backends.Now) + len(c.c.backends.Last) + c.c.policies.Len()
	if n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestHostOrder(t *testing.T) {
	names := []string{"*", "*.example.com", "*.a.example.com", "b.example.com", "a.example.com", "*.b.example.com"}
	slices.SortFunc(names, compareHostnames)
	if want := []string{"a.example.com", "b.example.com", "*.a.example.com", "*.b.example.com", "*.example.com", "*"}; !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

func named(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
