//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ingresses are an IngressClass of the World's, an Ingress of it that is well, one that is not, and one of another class.
const ingresses = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: NS}
spec: {controller: CONTROLLER-ingress}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: NS}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: well, namespace: NS}
spec:
  ingressClassName: NS
  rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken, namespace: NS}
spec:
  ingressClassName: NS
  rules: [{host: b.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: elsewhere, namespace: NS}
spec: {ingressClassName: another, defaultBackend: {service: {name: api, port: {number: 80}}}}
`

// TestIngressStatus proves that the Ingresses of a class share one Service, which goes with the class, get its addresses, and are told
// of their faults in Events.
func TestIngressStatus(t *testing.T) {
	w := NewWorld(t, ingresses)
	class := &networkingv1.IngressClass{}
	class.Name = w.Namespace
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(w.Client.Delete(context.Background(), class)); err != nil {
			t.Error(err)
		}
	})
	w.Run("--gateways=service", "--namespace=gatehouse-system", "--ingress-controller-name="+w.controller+"-ingress").WaitReady()
	service, at := &corev1.Service{}, types.NamespacedName{Namespace: "gatehouse-system", Name: "gatehouse-ingress-" + w.Namespace}
	eventually(t, 20*time.Second, func() string {
		if err := w.Client.Get(context.Background(), at, service); err != nil {
			return err.Error()
		}
		return ""
	})
	t.Cleanup(func() { // there is no garbage collector here
		if err := client.IgnoreNotFound(w.Client.Delete(context.Background(), service)); err != nil {
			t.Error(err)
		}
	})
	if o := service.OwnerReferences; len(o) != 1 || o[0].Kind != "IngressClass" || o[0].Name != w.Namespace || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		t.Errorf("%+v", service)
	}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.com"}}
	if err := w.Client.Status().Update(context.Background(), service); err != nil {
		t.Fatal(err)
	}
	addresses := func(name string) string {
		return fmt.Sprint(Get(w, name, &networkingv1.Ingress{}).Status.LoadBalancer.Ingress)
	}
	want := fmt.Sprint([]networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.com"}})
	eventually(t, 20*time.Second, func() string {
		if got := addresses("well") + addresses("broken"); got != want+want {
			return got
		}
		return ""
	})
	if got := addresses("elsewhere"); got != "[]" {
		t.Errorf("an Ingress of another class got %s", got)
	}
	w.expectEvent("broken", "BackendNotFound")
	// One that moves to another class loses what was written.
	Change(w, "well", &networkingv1.Ingress{}, func(i *networkingv1.Ingress) { i.Spec.IngressClassName = &[]string{"another"}[0] }, w.spec)
	eventually(t, 20*time.Second, func() string {
		if got := addresses("well"); got != "[]" {
			return got
		}
		return ""
	})
}
