package status

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

const controller = "gatehouse.dev/gateway"

func cond(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "m", ObservedGeneration: 2}
}

func named(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// edge is a Gateway with two listeners, a route on both and a policy on it.
func edge() *picture {
	gw := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "gw", Generation: 2}}
	listener := func(name gatewayv1.SectionName) *graph.Listener {
		return &graph.Listener{
			Key: graph.ListenerKey{Gateway: named("web", "gw"), Listener: name}, Spec: &gatewayv1.Listener{Name: name}, Serves: true,
			SupportedKinds: []gatewayv1.RouteGroupKind{{Kind: "HTTPRoute"}},
			Conditions:     []metav1.Condition{cond("Accepted", "True", "Accepted"), cond("Programmed", "True", "Programmed")},
		}
	}
	address := gatewayv1.GatewayStatusAddress{Value: "192.0.2.1"}
	g := &graph.Graph{
		Classes: []*graph.Class{{Object: &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "c", Generation: 2}}, Conditions: []metav1.Condition{cond("Accepted", "True", "Accepted")}}},
		Gateways: []*graph.Gateway{{
			Object: gw, Listeners: []*graph.Listener{listener("a"), listener("b")}, Addresses: []gatewayv1.GatewayStatusAddress{address},
			Conditions: []metav1.Condition{cond("Accepted", "True", "Accepted"), cond("Programmed", "True", "Programmed")},
		}},
		Routes: []*graph.Route{{
			Object: &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "r", Generation: 2}},
			Parents: []*graph.Parent{{
				Ref: gatewayv1.ParentReference{Name: "gw"}, Gateway: named("web", "gw"),
				Conditions: []metav1.Condition{cond("Accepted", "True", "Accepted"), cond("ResolvedRefs", "True", "ResolvedRefs")},
			}},
		}},
		Attached: map[graph.ListenerKey]int32{{Gateway: named("web", "gw"), Listener: "a"}: 3},
		Stale:    []graph.ObjectKey{{Kind: "HTTPRoute", NamespacedName: named("shop", "old")}},
	}
	return &picture{g, &attach.Policies{
		All: []*attach.Policy{{
			Key: attach.PolicyKey{Kind: "AuthPolicy", NamespacedName: named("shop", "p")}, Generation: 2,
			Ancestors: []*attach.Ancestor{
				{Gateway: named("web", "gw"), Conditions: []metav1.Condition{cond("Accepted", "True", "Accepted"), cond("Programmed", "True", "Programmed")}},
				{Missing: attach.TargetKey{Kind: "HTTPRoute", NamespacedName: named("shop", "gone"), Section: "s"}, Conditions: []metav1.Condition{cond("Accepted", "False", "TargetNotFound")}},
			},
		}},
	}}
}

// text writes a Desired in a line.
func text(d Desired) string {
	var b strings.Builder
	conditions := func(list []metav1.Condition) {
		for _, c := range list {
			fmt.Fprintf(&b, " %s=%s/%s", c.Type, c.Status, c.Reason)
		}
	}
	fmt.Fprintf(&b, "%s %s gen=%d", d.Key.Kind, d.Key.NamespacedName, d.Generation)
	if d.Class != nil {
		conditions(d.Class.Conditions)
		fmt.Fprintf(&b, " features=%v", len(d.Class.SupportedFeatures) > 0)
	}
	if d.Gateway != nil {
		conditions(d.Gateway.Conditions)
		fmt.Fprintf(&b, " addresses=%d", len(d.Gateway.Addresses))
		for _, l := range d.Gateway.Listeners {
			fmt.Fprintf(&b, " | %s routes=%d kinds=%d", l.Name, l.AttachedRoutes, len(l.SupportedKinds))
			conditions(l.Conditions)
		}
	}
	for _, p := range d.Parents {
		fmt.Fprintf(&b, " | %s %s", p.ControllerName, p.ParentRef.Name)
		conditions(p.Conditions)
	}
	for _, a := range d.Ancestors {
		fmt.Fprintf(&b, " | %s %s %s", a.ControllerName, *a.AncestorRef.Kind, a.AncestorRef.Name)
		if a.AncestorRef.SectionName != nil {
			fmt.Fprintf(&b, "#%s", *a.AncestorRef.SectionName)
		}
		conditions(a.Conditions)
	}
	return b.String()
}

// project is all that the statuses of g should say.
func project(g *picture, a Applied) (out []Desired) {
	p := projection{*g, a, controller}
	p.each(func(d Desired, _ source) { out = append(out, d) }, func(Key, source) bool { return false })
	return out
}

func TestProject(t *testing.T) {
	f := func(name string, edit func(*picture), a Applied, want string) {
		t.Helper()
		g := edge()
		if edit != nil {
			edit(g)
		}
		var got []string
		for _, d := range project(g, a) {
			if strings.HasPrefix(want, d.Key.Kind+" "+d.Key.String()+" ") {
				got = append(got, text(d))
			}
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n"), want)
		}
	}
	applied := Applied{Generation: 1}
	f("class", nil, applied, "GatewayClass /c gen=2 Accepted=True/Accepted features=true")
	const listeners = " addresses=1 | a routes=3 kinds=1 Accepted=True/Accepted Programmed=True/Programmed | b routes=0 kinds=1 Accepted=True/Accepted Programmed=True/Programmed"
	f("gateway", nil, applied, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed"+listeners)
	f("nothing applied", nil, Applied{}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=Unknown/Pending addresses=1"+
		" | a routes=3 kinds=1 Accepted=True/Accepted Programmed=Unknown/Pending | b routes=0 kinds=1 Accepted=True/Accepted Programmed=Unknown/Pending")
	f("one not bound", nil, Applied{Generation: 1, BindErrors: map[string]BindError{"web/gw/b": {Text: "in use"}}}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed addresses=1"+
		" | a routes=3 kinds=1 Accepted=True/Accepted Programmed=True/Programmed | b routes=0 kinds=1 Accepted=True/Accepted Programmed=False/Invalid")
	f("one without its port", nil, Applied{Generation: 1, BindErrors: map[string]BindError{"web/gw/b": {Text: "in use", Port: true}}}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed addresses=1"+
		" | a routes=3 kinds=1 Accepted=True/Accepted Programmed=True/Programmed | b routes=0 kinds=1 Accepted=True/Accepted Programmed=False/PortUnavailable")
	none := Applied{Generation: 1, BindErrors: map[string]BindError{"web/gw/a": {Text: "in use"}, "web/gw/b": {Text: "in use"}}}
	const bothFailed = " addresses=1 | a routes=3 kinds=1 Accepted=True/Accepted Programmed=False/Invalid | b routes=0 kinds=1 Accepted=True/Accepted Programmed=False/Invalid"
	f("none bound", nil, none, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=False/Invalid"+bothFailed)
	f("none bound at an address", func(g *picture) {
		g.graph.Gateways[0].Object.Spec.Addresses = []gatewayv1.GatewaySpecAddress{{Value: "192.0.2.1"}}
	}, none,
		"Gateway web/gw gen=2 Accepted=True/Accepted Programmed=False/AddressNotUsable"+strings.Replace(bothFailed, "addresses=1", "addresses=0", 1))
	f("refused", nil, Applied{Generation: 1, Refused: "no"}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=False/Invalid"+bothFailed)
	f("what the graph refused", func(g *picture) {
		g.graph.Gateways[0].Listeners[1].Serves = false
		g.graph.Gateways[0].Listeners[1].Conditions = []metav1.Condition{cond("Accepted", "False", "PortUnavailable"), cond("Programmed", "False", "Invalid")}
	}, Applied{}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=Unknown/Pending addresses=1"+
		" | a routes=3 kinds=1 Accepted=True/Accepted Programmed=Unknown/Pending | b routes=0 kinds=1 Accepted=False/PortUnavailable Programmed=False/Invalid")
	f("another's bind error", nil, Applied{Generation: 1, BindErrors: map[string]BindError{"web/other/a": {Text: "in use"}}}, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed"+listeners)

	service := func(g *picture) { g.graph.Gateways[0].Service = &graph.Service{Name: named("web", "gw-gatehouse")} }
	f("a Service that is refused", service, Applied{Generation: 1, Services: map[types.NamespacedName]string{named("web", "gw-gatehouse"): "port taken"}},
		"Gateway web/gw gen=2 Accepted=True/Accepted Programmed=False/NoResources"+listeners)
	f("another's", service, Applied{Generation: 1, Services: map[types.NamespacedName]string{named("web", "other"): "port taken"}},
		"Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed"+listeners)

	f("route", nil, applied, "HTTPRoute shop/r gen=2 | gatehouse.dev/gateway gw Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs")
	f("stale", nil, applied, "HTTPRoute shop/old gen=0")
	f("policy", nil, applied, "AuthPolicy shop/p gen=2 | gatehouse.dev/gateway Gateway gw Accepted=True/Accepted Programmed=True/Programmed"+
		" | gatehouse.dev/gateway HTTPRoute gone#s Accepted=False/TargetNotFound")

	affected := func(kind string, name types.NamespacedName, section gatewayv1.SectionName, policies ...string) func(*picture) {
		return func(g *picture) {
			g.policies.Affected = map[attach.TargetKey][]attach.PolicyKey{}
			for _, p := range policies {
				at := attach.TargetKey{Kind: kind, NamespacedName: name, Section: section}
				g.policies.Affected[at] = append(g.policies.Affected[at], attach.PolicyKey{Kind: p, NamespacedName: named("shop", "p")})
			}
		}
	}
	const auth, check = " gatehouse.dev/AuthPolicyAffected=True/PolicyAffected", " gatehouse.dev/ValidationPolicyAffected=True/PolicyAffected"
	f("affected route", affected("HTTPRoute", named("shop", "r"), "", "AuthPolicy", "ValidationPolicy"), applied,
		"HTTPRoute shop/r gen=2 | gatehouse.dev/gateway gw Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs"+auth+check)
	f("affected gateway", affected("Gateway", named("web", "gw"), "", "AuthPolicy"), applied, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed"+auth+listeners)
	f("affected listener", affected("Gateway", named("web", "gw"), "b", "ValidationPolicy"), applied, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed"+listeners+check)
	f("unreported", func(g *picture) {
		g.policies.Unreported = map[types.NamespacedName][]attach.PolicyKey{named("web", "gw"): {{Kind: "AuthPolicy", NamespacedName: named("shop", "p")}}}
	}, applied, "Gateway web/gw gen=2 Accepted=True/Accepted Programmed=True/Programmed gatehouse.dev/PolicyUnreported=True/AncestorLimitReached"+listeners)
}

func TestProjectLeavesTheGraphAlone(t *testing.T) {
	g := edge()
	project(g, Applied{})
	for _, c := range append(g.graph.Gateways[0].Conditions, g.graph.Gateways[0].Listeners[0].Conditions...) {
		if c.Status != metav1.ConditionTrue {
			t.Errorf("%s became %s in the graph", c.Type, c.Status)
		}
	}
}

func TestFeaturesAreSortedAndKnown(t *testing.T) {
	got := supportedFeatures()
	if !slices.IsSortedFunc(got, func(a, b gatewayv1.SupportedFeature) int { return strings.Compare(string(a.Name), string(b.Name)) }) {
		t.Errorf("not sorted: %v", got)
	}
	if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) > 64 {
		t.Errorf("%d features, some twice or too many: %v", len(got), got)
	}
}

func TestManyNames(t *testing.T) {
	var policies []attach.PolicyKey
	for i := range 20 {
		policies = append(policies, attach.PolicyKey{Kind: "AuthPolicy", NamespacedName: named("a", fmt.Sprint(i))})
	}
	if got := keys(policies); !strings.HasSuffix(got, "AuthPolicy a/7, 12 more") {
		t.Errorf("got %q", got)
	}
}
