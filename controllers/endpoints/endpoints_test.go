package endpoints

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// text prints what changed, by backend.
func text(t *Tracker) string {
	var out []string
	for id, eps := range t.Changed() {
		s := id
		for _, e := range eps {
			s += " " + e.Address.String()
			if e.Draining {
				s += "(draining)"
			}
		}
		if !slices.Equal(t.Endpoints(id), eps) {
			s += " but Endpoints differs"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func api(ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}, Spec: corev1.ServiceSpec{Ports: ports}}
}

// slice reads a slice of shop/api; body is its ports and endpoints in YAML.
func slice(t *testing.T, name, body string) *discoveryv1.EndpointSlice {
	t.Helper()
	s := &discoveryv1.EndpointSlice{}
	head := fmt.Sprintf("metadata: {namespace: shop, name: %s, labels: {kubernetes.io/service-name: api}}\n", name)
	if err := yaml.UnmarshalStrict([]byte(head+body), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConditions(t *testing.T) {
	is := func(conditions, want string) {
		t.Helper()
		tr := NewTracker()
		tr.Service(api(corev1.ServicePort{Port: 80}), false)
		tr.Apply(slice(t, "a", "addressType: IPv4\nports: [{port: 8080}]\nendpoints: [{addresses: [192.0.2.1], conditions: {"+conditions+"}}]\n"))
		if got := text(tr); got != strings.TrimSpace(want) {
			t.Errorf("{%s}: got %q, want %q", conditions, got, want)
		}
	}
	const ready, draining = "shop/api:80 192.0.2.1:8080", "shop/api:80 192.0.2.1:8080(draining)"
	is("", ready)
	is("ready: true", ready)
	is("ready: true, serving: true, terminating: false", ready)
	is("ready: false", "")
	is("ready: false, serving: true", "")
	is("ready: false, serving: false, terminating: true", "")
	is("ready: false, serving: true, terminating: true", draining)
	is("ready: true, serving: true, terminating: true", draining)
	is("ready: true, serving: false, terminating: true", ready) // publishNotReadyAddresses
}

func TestPorts(t *testing.T) {
	tr := NewTracker()
	tr.Apply(slice(t, "a", `
addressType: IPv4
ports: [{name: web, port: 8080}, {name: admin, port: 9090}, {name: dns, port: 53, protocol: UDP}, {name: all}]
endpoints: [{addresses: [192.0.2.1]}]
`))
	if got := text(tr); got != "" {
		t.Errorf("a slice without its Service: %q", got)
	}
	tr.Service(api(corev1.ServicePort{Name: "web", Port: 80}, corev1.ServicePort{Name: "admin", Port: 81},
		corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, corev1.ServicePort{Name: "all", Port: 82},
		corev1.ServicePort{Name: "none", Port: 83}, corev1.ServicePort{Name: "web", Port: 84, Protocol: corev1.ProtocolSCTP}), false)
	if got, want := text(tr), "shop/api:53/udp 192.0.2.1:53; shop/api:80 192.0.2.1:8080; shop/api:81 192.0.2.1:9090"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tr.Service(api(corev1.ServicePort{Name: "web", Port: 8000}), false)
	if got, want := text(tr), "shop/api:53/udp; shop/api:80; shop/api:8000 192.0.2.1:8080; shop/api:81"; got != want {
		t.Errorf("other ports: got %q, want %q", got, want)
	}
	external := api(corev1.ServicePort{Name: "web", Port: 8000})
	external.Spec.Type = corev1.ServiceTypeExternalName
	tr.Service(external, false)
	if got, want := text(tr), "shop/api:8000"; got != want {
		t.Errorf("ExternalName: got %q, want %q", got, want)
	}
	tr.Service(&corev1.Pod{}, false)
	if got := text(tr); got != "" {
		t.Errorf("a Pod: %q", got)
	}
}

func TestSlices(t *testing.T) {
	tr := NewTracker()
	tr.Service(api(corev1.ServicePort{Port: 80}), false)
	a := slice(t, "a", `
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [192.0.2.9]}, {addresses: [192.0.2.1], conditions: {ready: false, serving: true, terminating: true}}, {addresses: [nonsense]}]
`)
	tr.Apply(a)
	if got, want := text(tr), "shop/api:80 192.0.2.1:8080(draining) 192.0.2.9:8080"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tr.Apply(slice(t, "b", "addressType: IPv6\nports: [{port: 8080}]\nendpoints: [{addresses: ['2001:db8::1']}]\n"))
	tr.Apply(slice(t, "c", "addressType: IPv4\nports: [{port: 9090}]\nendpoints: [{addresses: [192.0.2.9]}]\n"))
	tr.Apply(slice(t, "d", "addressType: FQDN\nports: [{port: 8080}]\nendpoints: [{addresses: [a.example]}]\n"))
	tr.Apply(slice(t, "e", "addressType: IPv4\nports: [{port: 8080}]\nendpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.9]}]\n"))
	if got, want := text(tr), "shop/api:80 192.0.2.1:8080 192.0.2.9:8080 192.0.2.9:9090 [2001:db8::1]:8080"; got != want {
		t.Errorf("merged: got %q, want %q", got, want)
	}
	tr.Apply(a.DeepCopy())
	if got := text(tr); got != "" {
		t.Errorf("the same again is reported: %q", got)
	}
	moved := a.DeepCopy()
	moved.Labels[discoveryv1.LabelServiceName] = "other"
	tr.Apply(moved)
	for _, name := range []string{"b", "c"} {
		tr.Delete(slice(t, name, ""))
	}
	if got, want := text(tr), "shop/api:80 192.0.2.1:8080 192.0.2.9:8080"; got != want {
		t.Errorf("moved: got %q, want %q", got, want)
	}
	unlabelled := slice(t, "e", "")
	unlabelled.Labels = nil
	tr.Apply(unlabelled)
	tr.Delete(unlabelled)
	if got, want := text(tr), "shop/api:80"; got != want {
		t.Errorf("unlabelled: got %q, want %q", got, want)
	}
}

// What is deleted leaves no trace.
// A pod of a dual-stack Service is one endpoint.
func TestFamilies(t *testing.T) {
	const (
		four  = "addressType: IPv4\nports: [{port: 8080}]\nendpoints: "
		six   = "addressType: IPv6\nports: [{port: 8080}]\nendpoints: "
		aFour = "{addresses: [192.0.2.1], targetRef: {kind: Pod, name: a, uid: a}}"
		bFour = "{addresses: [192.0.2.2], targetRef: {kind: Pod, name: b, uid: b}}"
		aSix  = "{addresses: ['2001:db8::1'], targetRef: {kind: Pod, name: a, uid: a}}"
		bSix  = "{addresses: ['2001:db8::2'], targetRef: {kind: Pod, name: b, uid: b}}"
	)
	f := func(name string, families []corev1.IPFamily, first, second, want string) {
		t.Helper()
		tr := NewTracker()
		s := api(corev1.ServicePort{Port: 80})
		s.Spec.IPFamilies = families
		tr.Service(s, false)
		tr.Apply(slice(t, "four", first))
		tr.Apply(slice(t, "six", second))
		if got := text(tr); got != "shop/api:80 "+want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	both, other := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}, []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	f("IPv4 first", both, four+"["+aFour+", "+bFour+"]", six+"["+aSix+", "+bSix+"]", "192.0.2.1:8080 192.0.2.2:8080")
	f("IPv6 first", other, four+"["+aFour+", "+bFour+"]", six+"["+aSix+", "+bSix+"]", "[2001:db8::1]:8080 [2001:db8::2]:8080")
	f("nobody says", nil, four+"["+aFour+"]", six+"["+aSix+"]", "192.0.2.1:8080")
	f("a slice that comes later", both, four+"["+aFour+"]", six+"["+aSix+", "+bSix+"]", "192.0.2.1:8080 [2001:db8::2]:8080")
	f("one that is behind", both, four+"[{addresses: [192.0.2.1], targetRef: {uid: a}, conditions: {ready: false, serving: true, terminating: true}}]", six+"["+aSix+"]",
		"[2001:db8::1]:8080")
	f("one that is not ready in one", both, four+"[{addresses: [192.0.2.1], targetRef: {uid: a}, conditions: {ready: false}}]", six+"["+aSix+"]", "[2001:db8::1]:8080")
	f("whose they are nobody says", both, four+"[{addresses: [192.0.2.1]}]", six+"[{addresses: ['2001:db8::1']}]", "192.0.2.1:8080 [2001:db8::1]:8080")
	f("two addresses of one family", both, four+"[{addresses: [192.0.2.1], targetRef: {uid: a}}, {addresses: [192.0.2.3], targetRef: {uid: a}}]", six+"["+aSix+"]",
		"192.0.2.1:8080 192.0.2.3:8080")
}

func TestForgets(t *testing.T) {
	tr := NewTracker()
	s, a := api(corev1.ServicePort{Port: 80}), slice(t, "a", "addressType: IPv4\nports: [{port: 8080}]\nendpoints: [{addresses: [192.0.2.1]}]\n")
	tr.Service(s, false)
	tr.Apply(a)
	tr.Changed()
	tr.Delete(a)
	tr.Service(s, true)
	if got, want := text(tr), "shop/api:80"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(tr.services) + len(tr.owner) + len(tr.backends) + len(tr.dirty) + len(tr.changed); n != 0 {
		t.Errorf("%d entries are left: %+v", n, tr)
	}
}
