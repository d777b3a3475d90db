//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// pod is a ready pod of gatehouse at this machine's address. No kubelet runs it.
func (w *World) pod() {
	w.t.Helper()
	ServiceAccount(w.t) // which makes the namespace
	no := false
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.Labels = w.Namespace, "gatehouse-system", map[string]string{"world": w.Namespace}
	pod.Spec = corev1.PodSpec{Containers: []corev1.Container{{Name: "gatehouse", Image: "gatehouse"}}, AutomountServiceAccountToken: &no, ServiceAccountName: "gatehouse"}
	if err := w.Client.Create(context.Background(), pod); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		now := int64(0)
		if err := w.Client.Delete(context.Background(), pod, &client.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			w.t.Error(err)
		}
	})
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, machine(w.t)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := w.Client.Status().Update(context.Background(), pod); err != nil {
		w.t.Fatal(err)
	}
}

// service waits until the Service of a Gateway is as want says: a problem, or "".
func (w *World) service(gateway string, want func(*corev1.Service) string) *corev1.Service {
	w.t.Helper()
	s := &corev1.Service{}
	eventually(w.t, 20*time.Second, func() string {
		if err := w.Client.Get(context.Background(), client.ObjectKey{Namespace: w.Namespace, Name: gateway + "-gatehouse"}, s); err != nil {
			return err.Error()
		}
		return want(s)
	})
	return s
}

func ofType(want corev1.ServiceType) func(*corev1.Service) string {
	return func(s *corev1.Service) string {
		if s.Spec.Type != want {
			return fmt.Sprintf("the Service is of type %s, want %s", s.Spec.Type, want)
		}
		return ""
	}
}

func ofClass(want string) func(*corev1.Service) string {
	return func(s *corev1.Service) string {
		if class := s.Spec.LoadBalancerClass; class == nil && want != "" || class != nil && *class != want || s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			return fmt.Sprintf("the Service is of type %s and class %v, want %q", s.Spec.Type, class, want)
		}
		return ""
	}
}

func gatewayWith(name, spec string) string {
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " + name + ", namespace: NS}\nspec:\n  gatewayClassName: NS\n" + spec
}

func parameters(spec string) string {
	return "apiVersion: gatehouse.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: p, namespace: NS}\nspec: {service: {" + spec + "}}\n"
}

const (
	onPort   = "  listeners: [{name: http, protocol: HTTP, port: PORT}]\n"
	withP    = "  infrastructure: {parametersRef: {group: gatehouse.dev, kind: GatewayParameters, name: p}}\n"
	progress = 20 * time.Second
)

// TestServices follows the Service of a Gateway through what GatewayParameters can
// make of it, against the rules of a real API server. The Gateway serves all the
// time, at the target port it had first.
func TestServices(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.pod()
	w.Run("--gateways=service", "--pod-selector=world="+w.Namespace).WaitReady()
	s := w.service("edge", ofType(corev1.ServiceTypeLoadBalancer))
	target := s.Spec.Ports[0].TargetPort.IntVal
	serves := func(when string) {
		t.Helper()
		eventually(t, progress, func() string {
			if status, _, text := ask(fresh, fmt.Sprintf("http://127.0.0.1:%d/a", target)); status != http.StatusOK {
				return fmt.Sprintf("%s: port %d answers %d %s", when, target, status, text)
			}
			return ""
		})
		for _, p := range w.service("edge", func(*corev1.Service) string { return "" }).Spec.Ports {
			if got := p.TargetPort.IntVal; int(p.Port) == w.Port && got != target {
				t.Fatalf("%s: the target port is %d, was %d", when, got, target)
			}
		}
	}
	serves("at first")
	var parts discoveryv1.EndpointSliceList
	if err := w.Client.List(context.Background(), &parts, client.InNamespace(w.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: s.Name}); err != nil {
		t.Fatal(err)
	}
	if len(parts.Items) != 1 || len(parts.Items[0].Endpoints) != 1 || parts.Items[0].Endpoints[0].Addresses[0] != machine(t) || *parts.Items[0].Ports[0].Port != target {
		t.Errorf("the slices are %+v", parts.Items)
	}
	programmed := func(reason string) *gatewayv1.Gateway {
		t.Helper()
		gw := &gatewayv1.Gateway{}
		eventually(t, progress, func() string {
			if c := condition(Get(w, "edge", gw).Status.Conditions, "Programmed"); c.Reason != reason {
				return fmt.Sprintf("Programmed=%s %s: %s, want %s", c.Status, c.Reason, c.Message, reason)
			}
			return ""
		})
		return gw
	}
	programmed("AddressNotAssigned")
	Change(w, s.Name, s, func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.80"}}
	}, w.status)
	if gw := programmed("Programmed"); len(gw.Status.Addresses) != 1 || gw.Status.Addresses[0].Value != "192.0.2.80" {
		t.Errorf("addresses %v", gw.Status.Addresses)
	}

	w.Apply(parameters("loadBalancerClass: example.com/a, externalTrafficPolicy: Local, loadBalancerSourceRanges: [192.0.2.0/24]"), gatewayWith("edge", withP+onPort))
	nodePort := w.service("edge", ofClass("example.com/a")).Spec.Ports[0].NodePort
	w.Apply(parameters("loadBalancerClass: example.com/b"))
	if s := w.service("edge", ofClass("example.com/b")); s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster || len(s.Spec.LoadBalancerSourceRanges) > 0 || s.Spec.Ports[0].NodePort != nodePort {
		t.Errorf("node port %d before, now %+v", nodePort, s.Spec)
	}
	serves("of another class")
	w.Apply(parameters("type: NodePort, sessionAffinity: ClientIP, nodePorts: [{port: PORT, nodePort: 31999}]"))
	if s := w.service("edge", ofType(corev1.ServiceTypeNodePort)); s.Spec.Ports[0].NodePort != 31999 || s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		t.Errorf("%+v", s.Spec)
	}
	w.Apply(parameters("type: ClusterIP"))
	if s := w.service("edge", ofType(corev1.ServiceTypeClusterIP)); s.Spec.Ports[0].NodePort != 0 || s.Spec.SessionAffinity != corev1.ServiceAffinityNone {
		t.Errorf("%+v", s.Spec)
	}
	if gw := programmed("Programmed"); len(gw.Status.Addresses) != 1 || gw.Status.Addresses[0].Value != s.Spec.ClusterIP {
		t.Errorf("addresses %v", gw.Status.Addresses)
	}
	serves("at a cluster IP")

	// What this cluster does not have, and what is taken already.
	w.Apply(parameters("ipFamilyPolicy: RequireDualStack"))
	gw := programmed("NoResources")
	if c := condition(gw.Status.Conditions, "Programmed"); !strings.Contains(c.Message, "spec.ipFamilyPolicy") || !strings.Contains(c.Message, "what was set up before goes on serving") {
		t.Errorf("message %q", c.Message)
	}
	w.expectEvent("edge", "NoResources")
	serves("refused by the API server")
	w.Apply(parameters("type: NodePort, nodePorts: [{port: PORT, nodePort: 31998}]"))
	programmed("AddressNotAssigned")
	w.Apply(gatewayWith("other", withP+onPort))
	eventually(t, progress, func() string {
		c := condition(Get(w, "other", &gatewayv1.Gateway{}).Status.Conditions, "Programmed")
		if c.Reason != "NoResources" || !strings.Contains(c.Message, "provided port is already allocated") {
			return fmt.Sprintf("Programmed=%s %s: %s", c.Status, c.Reason, c.Message)
		}
		return ""
	})

	// Parameters that go.
	if err := w.Client.Delete(context.Background(), Get(w, "p", &v1alpha1.GatewayParameters{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, progress, func() string {
		if c := condition(Get(w, "edge", gw).Status.Conditions, "Accepted"); c.Reason != "InvalidParameters" {
			return c.Reason + " " + c.Message
		}
		return ""
	})
	w.expectEvent("edge", "InvalidParameters")
	serves("without its parameters")
	if s := w.service("edge", ofType(corev1.ServiceTypeNodePort)); s.Spec.Ports[0].NodePort != 31998 {
		t.Errorf("node port %d", s.Spec.Ports[0].NodePort)
	}
	w.Apply(gatewayWith("edge", onPort), gatewayWith("other", onPort))
	w.service("edge", ofType(corev1.ServiceTypeLoadBalancer))
	serves("on its own again")

	// Two Gateways with the same port: neither has the other's routes.
	other := w.service("other", ofType(corev1.ServiceTypeLoadBalancer)).Spec.Ports[0].TargetPort.IntVal
	eventually(t, progress, func() string {
		if status, _, text := ask(fresh, fmt.Sprintf("http://127.0.0.1:%d/a", other)); other == target || status != http.StatusNotFound {
			return fmt.Sprintf("port %d answers %d %s", other, status, text)
		}
		return ""
	})

	// A port comes, and the one that stays serves on.
	w.Apply(gatewayWith("edge", "  listeners: [{name: http, protocol: HTTP, port: PORT}, {name: more, protocol: HTTP, port: PORT2}]\n"))
	w.service("edge", func(s *corev1.Service) string {
		if len(s.Spec.Ports) != 2 {
			return fmt.Sprintf("ports %v", s.Spec.Ports)
		}
		return ""
	})
	w.Apply(gatewayWith("edge", strings.Replace(onPort, "name: http", "name: alone", 1)))
	serves("with one port again")
}

// TestServiceOfHTTP3 has the Service carry UDP beside TCP while a listener speaks
// HTTP/3, and only then.
func TestServiceOfHTTP3(t *testing.T) {
	w := NewWorld(t, base)
	chain, key, err := cert.GenerateSelfSignedCertKey("one.example", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": chain, "tls.key": key}}
	secret.Namespace, secret.Name = w.Namespace, "one"
	if err := w.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.pod()
	listeners := func(option string) string {
		return "  listeners: [{name: https, protocol: HTTPS, port: PORT, tls: {certificateRefs: [{name: one}]" + option + "}}]\n"
	}
	ports := func(want ...corev1.Protocol) func(*corev1.Service) string {
		return func(s *corev1.Service) string {
			var got []corev1.Protocol
			for _, p := range s.Spec.Ports {
				if int(p.Port) != w.Port {
					return fmt.Sprintf("port %d, not %d", p.Port, w.Port)
				}
				got = append(got, p.Protocol)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Sprintf("the Service carries %v, want %v", got, want)
			}
			return ""
		}
	}
	w.Apply(gatewayWith("edge", listeners("")))
	w.Run("--gateways=service", "--pod-selector=world="+w.Namespace).WaitReady()
	w.service("edge", ports(corev1.ProtocolTCP))
	w.Apply(gatewayWith("edge", listeners(", options: {gatehouse.dev/http3: Enabled}")))
	w.service("edge", ports(corev1.ProtocolTCP, corev1.ProtocolUDP))
	w.Apply(gatewayWith("edge", listeners("")))
	w.service("edge", ports(corev1.ProtocolTCP))
}
