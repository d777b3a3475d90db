package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

const controller = "gatehouse.dev/gateway-controller"

// gateway is a Gateway node that needs TCP ports.
func gateway(namespace string, ports ...int32) *graph.Gateway {
	gw := &graph.Gateway{Object: &gatewayv1.Gateway{}}
	gw.Object.Name, gw.Object.Namespace, gw.Object.UID = "web", namespace, types.UID("uid-"+namespace)
	gw.Service = &graph.Service{Name: graph.ServiceName(nameOf(gw.Object)), Parameters: &v1alpha1.ServiceParameters{}}
	for _, p := range ports {
		gw.Service.Ports = append(gw.Service.Ports, graph.ServicePort{Port: p, Protocol: corev1.ProtocolTCP})
	}
	return gw
}

func pod(name, ip string, state ...string) *corev1.Pod {
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID, p.Spec.NodeName = name, "gatehouse-system", types.UID("uid-"+name), "n1"
	p.Status.Phase, p.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: ip}}
	ready := corev1.ConditionTrue
	if slices.Contains(state, "unready") {
		ready = corev1.ConditionFalse
	}
	if slices.Contains(state, "terminating") {
		p.DeletionTimestamp = &metav1.Time{Time: time.Unix(9, 0)}
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return p
}

// world is what the cluster would hold after the plans made so far.
type world struct {
	in    Input
	clock int64
}

func newWorld(gateways ...*graph.Gateway) *world {
	return &world{in: Input{Controller: controller, Gateways: gateways, Pods: []*corev1.Pod{pod("a", "10.0.0.1")}}}
}

// step plans and carries the plan out.
func (w *world) step() Plan {
	p := Make(w.in)
	for _, o := range slices.Concat(p.Create, p.Update, p.Delete) {
		w.in.Services = slices.DeleteFunc(w.in.Services, func(s *corev1.Service) bool { return client.Object(s) == o || sameObject(s, o) })
		w.in.Slices = slices.DeleteFunc(w.in.Slices, func(s *discoveryv1.EndpointSlice) bool { return sameObject(s, o) })
	}
	for _, o := range slices.Concat(p.Create, p.Update) {
		switch o := o.(type) {
		case *corev1.Service:
			if o.CreationTimestamp.IsZero() {
				w.clock++
				o.CreationTimestamp = metav1.NewTime(time.Unix(w.clock, 0))
			}
			w.in.Services = append(w.in.Services, o)
		case *discoveryv1.EndpointSlice:
			w.in.Slices = append(w.in.Slices, o)
		}
	}
	return p
}

func sameObject(a, b client.Object) bool {
	return fmt.Sprintf("%T %s", a, nameOf(a)) == fmt.Sprintf("%T %s", b, nameOf(b))
}

// String lists objects as "namespace/name port>target … | endpoints".
func (w *world) String() string {
	var out []string
	for _, s := range w.in.Services {
		line := nameOf(s).String()
		for _, p := range s.Spec.Ports {
			line += fmt.Sprintf(" %s>%d", p.Name, p.TargetPort.IntVal)
		}
		out = append(out, line)
	}
	for _, s := range w.in.Slices {
		line := nameOf(s).String()
		for _, p := range s.Ports {
			line += fmt.Sprintf(" %s>%d", *p.Name, *p.Port)
		}
		for _, e := range s.Endpoints {
			line += " " + e.Addresses[0]
			if !*e.Conditions.Ready {
				line += "!"
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func (w *world) target(namespace string, port int32) int32 {
	for _, s := range w.in.Services {
		for _, p := range s.Spec.Ports {
			if s.Namespace == namespace && p.Port == port {
				return p.TargetPort.IntVal
			}
		}
	}
	return 0
}

func TestEveryGatewayHasItsOwnTargets(t *testing.T) {
	w := newWorld(gateway("one", 80, 443), gateway("two", 80))
	if p := w.step(); len(p.Create) != 4 || len(p.Update)+len(p.Delete)+len(p.Orphans) != 0 {
		t.Fatalf("%d created: %s", len(p.Create), w)
	}
	seen := map[int32]bool{w.target("one", 80): true, w.target("one", 443): true, w.target("two", 80): true}
	if len(seen) != 3 || seen[0] {
		t.Errorf("the targets are not apart: %s", w)
	}
	if p := w.step(); len(p.Create)+len(p.Update)+len(p.Delete)+len(p.Orphans) != 0 {
		t.Errorf("what is as it should be is written again: %+v", p)
	}
}

func TestPortsThatStayKeepTheirTargets(t *testing.T) {
	w := newWorld(gateway("one", 80, 443))
	w.step()
	was := w.target("one", 443)
	w.in.Services[0].Spec.Ports[1].NodePort = 30443
	w.in.Gateways = []*graph.Gateway{gateway("one", 443, 8080)}
	if p := w.step(); len(p.Update) != 2 || len(p.Create)+len(p.Delete) != 0 {
		t.Errorf("%d updates", len(p.Update))
	}
	if w.target("one", 443) != was || w.target("one", 80) != 0 || w.target("one", 8080) == 0 || w.in.Services[0].Spec.Ports[0].NodePort != 30443 {
		t.Errorf("443 was at %d: %s", was, w)
	}
}

func TestTargetsAreThoseRecorded(t *testing.T) {
	w := newWorld(gateway("one", 80), gateway("two", 80))
	w.step()
	first, second := w.target("one", 80), w.target("two", 80)
	w.in.Reserved = nil // a new leader
	w.step()
	if w.target("one", 80) != first || w.target("two", 80) != second {
		t.Errorf("a new leader moves targets: %s", w)
	}
	for _, s := range w.in.Services { // somebody writes the other's number
		if s.Namespace == "two" {
			s.Spec.Ports[0].TargetPort.IntVal = first
		}
	}
	w.step()
	if w.target("one", 80) != first || w.target("two", 80) == first {
		t.Errorf("the older Service keeps its target: %s", w)
	}
	w.in.Services[0].Spec.Ports[0].TargetPort.IntVal = 22
	w.step()
	if got := w.in.Services[0].Spec.Ports[0].TargetPort.IntVal; got < graph.FirstTarget {
		t.Errorf("target %d is none of ours", got)
	}
}

func TestReservedTargetsBridgeAStaleCache(t *testing.T) {
	in := Input{Controller: controller, Gateways: []*graph.Gateway{gateway("one", 80)}}
	port := Port{in.Gateways[0].Service.Name, in.Gateways[0].Service.Ports[0]}
	in.Reserved = map[Port]uint16{port: 20777}
	if p := Make(in); p.Reserved[port] != 20777 {
		t.Errorf("reserved %v", p.Reserved)
	}
}

func TestNoTargetIsLeft(t *testing.T) {
	var ports []int32
	for p := range int32(graph.LastTarget - graph.FirstTarget + 2) {
		ports = append(ports, p+1)
	}
	p := Make(Input{Gateways: []*graph.Gateway{gateway("one", ports...)}})
	if len(p.Full) != 1 || len(p.Create[0].(*corev1.Service).Spec.Ports) != len(ports)-1 {
		t.Errorf("%d ports have no target", len(p.Full))
	}
}

func TestEndpointsAreThePodsThatServe(t *testing.T) {
	w := newWorld(gateway("one", 80))
	f := func(name, want string, pods ...*corev1.Pod) {
		t.Helper()
		w.in.Pods = pods
		w.step()
		var got []string
		for _, s := range w.in.Slices {
			for _, e := range s.Endpoints {
				got = append(got, fmt.Sprintf("%s/%t/%t", e.Addresses[0], *e.Conditions.Ready, *e.Conditions.Terminating))
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	}
	f("ready", "10.0.0.1/true/false 10.0.0.2/true/false", pod("b", "10.0.0.2"), pod("a", "10.0.0.1"))
	f("one is on its way out", "10.0.0.1/false/true 10.0.0.2/true/false", pod("a", "10.0.0.1", "terminating"), pod("b", "10.0.0.2"))
	f("it fails its probes meanwhile", "10.0.0.1/false/true 10.0.0.2/true/false", pod("a", "10.0.0.1", "terminating", "unready"), pod("b", "10.0.0.2"))
	ended := pod("a", "10.0.0.1", "terminating", "unready")
	ended.Status.Phase = corev1.PodSucceeded
	f("it has ended", "10.0.0.2/true/false", ended, pod("b", "10.0.0.2"))
	f("one is not ready", "10.0.0.2/true/false", pod("a", "10.0.0.1", "unready"), pod("b", "10.0.0.2"))
	f("nor was it before it is told to end", "10.0.0.2/true/false", pod("a", "10.0.0.1", "terminating", "unready"), pod("b", "10.0.0.2"))
	f("both families", "10.0.0.1/true/false 2001:db8::1/true/false", pod("a", "10.0.0.1"), pod("b", "2001:db8::1"))
	f("one family is gone", "10.0.0.1/true/false", pod("a", "10.0.0.1"))
	f("none", "")
}

func TestOthersServicesAreLeftAlone(t *testing.T) {
	w := newWorld(gateway("one", 80))
	w.step()
	w.in.Services[0].Labels = nil // somebody else's of that name
	w.in.Slices = nil
	if p := Make(w.in); len(p.Create)+len(p.Update)+len(p.Delete)+len(p.Orphans) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWhatNoGatewayWants(t *testing.T) {
	w := newWorld(gateway("one", 80), gateway("two", 80))
	w.step()
	w.in.Gateways = w.in.Gateways[:1]
	if p := Make(w.in); len(p.Orphans) != 2 || p.Orphans[0].GetNamespace() != "two" {
		t.Errorf("gone: %v", p.Orphans)
	}
	w.in.Controller = "example.com/other"
	if p := Make(w.in); len(p.Orphans) != 0 {
		t.Errorf("another installation's: %v", p.Orphans)
	}
	w.in.Controller = controller
	refused := gateway("two")
	refused.Service = nil
	w.in.Gateways = append(w.in.Gateways, refused)
	if p := Make(w.in); len(p.Orphans)+len(p.Update)+len(p.Delete) != 0 {
		t.Errorf("not accepted as it is: %+v", p)
	}
}

func TestInfrastructureComesAndGoes(t *testing.T) {
	gw := gateway("one", 80)
	w := newWorld(gw)
	f := func(name, want string, infra *gatewayv1.GatewayInfrastructure) {
		t.Helper()
		gw.Object.Spec.Infrastructure = infra
		w.step()
		for _, o := range []client.Object{w.in.Services[0], w.in.Slices[0]} {
			got := fmt.Sprintf("%s %s", o.GetLabels()["team"], o.GetAnnotations()["example.com/a"])
			if got != want || o.GetLabels()["app.kubernetes.io/managed-by"] != "gatehouse" || o.GetLabels()[gatewayv1.GatewayNameLabelKey] != "web" {
				t.Errorf("%s: %T: got %q, want %q: %v", name, o, got, want, o.GetLabels())
			}
		}
	}
	f("none", " ", nil)
	w.in.Services[0].Annotations["cloud.example/added"] = "x"
	f("both", "x y", &gatewayv1.GatewayInfrastructure{
		Labels:      map[gatewayv1.LabelKey]gatewayv1.LabelValue{"team": "x", "app.kubernetes.io/managed-by": "me"},
		Annotations: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"example.com/a": "y"},
	})
	f("changed", "z ", &gatewayv1.GatewayInfrastructure{Labels: map[gatewayv1.LabelKey]gatewayv1.LabelValue{"team": "z"}})
	f("gone", " ", nil)
	if w.in.Services[0].Annotations["cloud.example/added"] != "x" {
		t.Errorf("what others add stays: %v", w.in.Services[0].Annotations)
	}
}
