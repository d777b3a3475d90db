package provision

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

func settings(t *testing.T, text string) *v1alpha1.ServiceParameters {
	t.Helper()
	p := &v1alpha1.ServiceParameters{}
	if err := yaml.UnmarshalStrict([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// only is the one Service of the world.
func (w *world) only(t *testing.T) *corev1.Service {
	t.Helper()
	if len(w.in.Services) != 1 {
		t.Fatalf("%d Services: %s", len(w.in.Services), w)
	}
	return w.in.Services[0]
}

// rest steps until there is nothing to do.
func (w *world) rest(t *testing.T) {
	t.Helper()
	for range 5 {
		if p := w.step(); len(p.Create)+len(p.Update)+len(p.Delete) == 0 {
			return
		}
	}
	t.Fatalf("it does not come to rest: %s", w)
}

// TestSettings goes from one set of parameters to the next: what they no longer
// speak of goes back, what others have set stays, and the targets stay throughout.
func TestSettings(t *testing.T) {
	gw := gateway("one", 80, 443)
	w := newWorld(gw)
	w.rest(t)
	http, https := w.target("one", 80), w.target("one", 443)
	f := func(name, text, want string) *corev1.ServiceSpec {
		t.Helper()
		gw.Service.Parameters = settings(t, text)
		w.rest(t)
		s := w.only(t)
		if w.target("one", 80) != http || w.target("one", 443) != https {
			t.Errorf("%s: the targets move: %s", name, w)
		}
		got := s.Spec.DeepCopy()
		got.Ports = nil
		text2, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		wanted := &corev1.ServiceSpec{}
		if err := yaml.UnmarshalStrict([]byte(want), wanted); err != nil {
			t.Fatal(err)
		}
		if text3, _ := yaml.Marshal(wanted); string(text2) != string(text3) {
			t.Errorf("%s: got %s, want %s", name, text2, text3)
		}
		return &s.Spec
	}
	f("nothing", "{}", "{type: LoadBalancer, ipFamilyPolicy: PreferDualStack}")
	f("all", `{loadBalancerClass: a, externalTrafficPolicy: Local, internalTrafficPolicy: Local, sessionAffinity: ClientIP, ipFamilyPolicy: SingleStack,
		ipFamilies: [IPv4], loadBalancerSourceRanges: [192.0.2.0/24]}`,
		`{type: LoadBalancer, loadBalancerClass: a, externalTrafficPolicy: Local, internalTrafficPolicy: Local, sessionAffinity: ClientIP, ipFamilyPolicy: SingleStack,
		ipFamilies: [IPv4], loadBalancerSourceRanges: [192.0.2.0/24]}`)
	w.only(t).Spec.HealthCheckNodePort = 31000
	w.only(t).Spec.Ports[0].NodePort = 30080
	s := f("another class", "{loadBalancerClass: b, externalTrafficPolicy: Local}",
		`{type: LoadBalancer, loadBalancerClass: b, externalTrafficPolicy: Local, internalTrafficPolicy: Cluster, sessionAffinity: None, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]}`)
	if s.Ports[0].NodePort != 30080 {
		t.Errorf("the node port is gone on the way: %v", s.Ports)
	}
	s = f("no class", "{}", `{type: LoadBalancer, externalTrafficPolicy: Cluster, internalTrafficPolicy: Cluster, sessionAffinity: None, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]}`)
	class, yes := "cloud.example/mutated", true
	s.LoadBalancerClass, s.AllocateLoadBalancerNodePorts, s.SessionAffinity = &class, &yes, corev1.ServiceAffinityClientIP
	f("what others set", "{}", `{type: LoadBalancer, loadBalancerClass: cloud.example/mutated, allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster, internalTrafficPolicy: Cluster,
		sessionAffinity: ClientIP, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]}`)
	s = f("NodePort", "{type: NodePort, nodePorts: [{port: 443, nodePort: 30443}], sessionAffinity: None}",
		`{type: NodePort, externalTrafficPolicy: Cluster, internalTrafficPolicy: Cluster, sessionAffinity: None, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]}`)
	if s.Ports[0].NodePort != 30080 || s.Ports[1].NodePort != 30443 {
		t.Errorf("node ports %v", s.Ports)
	}
	s = f("ClusterIP", "{type: ClusterIP}", `{type: ClusterIP, internalTrafficPolicy: Cluster, sessionAffinity: None, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]}`)
	if s.Ports[0].NodePort != 0 || s.Ports[1].NodePort != 0 {
		t.Errorf("node ports %v", s.Ports)
	}
	s.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} // as the API server adds one
	f("a second family", "{type: ClusterIP, ipFamilies: [IPv4]}", `{type: ClusterIP, internalTrafficPolicy: Cluster, sessionAffinity: None, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4, IPv6]}`)
}

// TestAnotherFirstFamily makes the Service anew, with the targets it had.
func TestAnotherFirstFamily(t *testing.T) {
	gw := gateway("one", 80)
	gw.Service.Parameters = settings(t, "{ipFamilies: [IPv4]}")
	w := newWorld(gw)
	w.rest(t)
	target := w.target("one", 80)
	gw.Service.Parameters = settings(t, "{ipFamilies: [IPv6, IPv4]}")
	p := w.step()
	if len(p.Delete) != 1 || len(w.in.Services) != 0 {
		t.Fatalf("the Service is not deleted: %s", w)
	}
	w.in.Reserved = p.Reserved // as the Writer hands it on
	w.rest(t)
	if s := w.only(t); w.target("one", 80) != target || s.Spec.IPFamilies[0] != corev1.IPv6Protocol {
		t.Errorf("%d, was %d: %v", w.target("one", 80), target, s.Spec.IPFamilies)
	}
}

// TestLostParameters: while they cannot be found the Service stays as it is, but
// its ports and endpoints go on; a Gateway without a Service has to wait.
func TestLostParameters(t *testing.T) {
	gw := gateway("one", 80, 443)
	gw.Service.Parameters = settings(t, `{type: NodePort, labels: {team: x}, externalTrafficPolicy: Local}`)
	w := newWorld(gw)
	w.rest(t)
	target := w.target("one", 443)
	gw.Service.Parameters = nil
	gw.Service.Ports = []graph.ServicePort{{Port: 443, Protocol: corev1.ProtocolTCP}, {Port: 8443, Protocol: corev1.ProtocolTCP}}
	w.in.Pods = []*corev1.Pod{pod("b", "10.0.0.2")}
	w.rest(t)
	s := w.only(t)
	if s.Spec.Type != corev1.ServiceTypeNodePort || s.Labels["team"] != "x" || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		t.Errorf("%v %v", s.Labels, s.Spec)
	}
	if w.target("one", 443) != target || w.target("one", 8443) == 0 || w.in.Slices[0].Endpoints[0].Addresses[0] != "10.0.0.2" {
		t.Errorf("%s", w)
	}
	gw.Service.Parameters = settings(t, "{}")
	w.rest(t)
	if s := w.only(t); s.Spec.Type != corev1.ServiceTypeLoadBalancer || s.Labels["team"] != "" || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster {
		t.Errorf("%v %v", s.Labels, s.Spec)
	}
	fresh := gateway("two", 80)
	fresh.Service.Parameters = nil
	w = newWorld(fresh)
	if p := w.step(); len(p.Create) != 0 {
		t.Errorf("made without parameters: %s", w)
	}
}

// TestLabelsOfParameters: those of spec.infrastructure count before them, and
// slices have none of them.
func TestLabelsOfParameters(t *testing.T) {
	gw := gateway("one", 80)
	gw.Service.Parameters = settings(t, `{labels: {team: x, tier: edge}, annotations: {example.com/a: "y"}}`)
	gw.Object.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{Labels: map[gatewayv1.LabelKey]gatewayv1.LabelValue{"team": "z"}}
	w := newWorld(gw)
	w.rest(t)
	s := w.only(t)
	if s.Labels["team"] != "z" || s.Labels["tier"] != "edge" || s.Annotations["example.com/a"] != "y" || w.in.Slices[0].Labels["tier"] != "" {
		t.Errorf("%v %v %v", s.Labels, s.Annotations, w.in.Slices[0].Labels)
	}
	gw.Service.Parameters, gw.Object.Spec.Infrastructure = settings(t, "{}"), nil
	w.rest(t)
	if s := w.only(t); s.Labels["team"]+s.Labels["tier"]+s.Annotations["example.com/a"]+s.Annotations[propagated] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
}
