package provision

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// controlledBy names the annotation with the controllerName that keeps an object:
// there may be several installations in one cluster.
const controlledBy = v1alpha1.GroupName + "/controller"

// ingressClass labels what is kept for the Ingresses of a class.
const ingressClass = v1alpha1.GroupName + "/ingress-class"

// service is the Service of a Gateway: what there is with our part of it as it
// should be. What others have added stays. While the parameters cannot be found,
// our part is the ports alone.
func (m *maker) service(gw *graph.Gateway, have *corev1.Service) *corev1.Service {
	want := &corev1.Service{}
	if have != nil {
		want = have.DeepCopy()
	} else {
		both := corev1.IPFamilyPolicyPreferDualStack
		want.Spec.IPFamilyPolicy = &both
	}
	need := gw.Service
	want.Name, want.Namespace = need.Name.Name, need.Name.Namespace
	want.OwnerReferences = owners(gw)
	want.Spec.Selector = nil
	if need.Parameters != nil {
		fields := settle(&want.Spec, need, fieldsOf(want))
		m.propagate(want, gw, need.Parameters, fields)
	}
	want.Spec.Ports = m.ports(need, want.Spec)
	return want
}

// ports keeps what the API server has added to a port, such as its node port.
func (m *maker) ports(need *graph.Service, have corev1.ServiceSpec) (out []corev1.ServicePort) {
	for _, p := range need.Ports {
		target := m.plan.Reserved[Port{need.Name, p}]
		if target == 0 {
			continue
		}
		port := corev1.ServicePort{Port: p.Port, Protocol: p.Protocol}
		for i := range have.Ports {
			if was, _ := graph.TargetPort(&have.Ports[i]); was == p {
				port = have.Ports[i]
			}
		}
		port.Name, port.TargetPort = portName(p), intstr.FromInt32(int32(target))
		switch {
		case have.Type == corev1.ServiceTypeClusterIP:
			port.NodePort = 0
		case need.Parameters != nil:
			port.NodePort = nodePort(p, need.Parameters.NodePorts, port.NodePort)
		}
		out = append(out, port)
	}
	return out
}

// nodePort is the fixed node port of a port, or the one it has.
func nodePort(p graph.ServicePort, fixed []v1alpha1.NodePort, has int32) int32 {
	for _, f := range fixed {
		if f.Port == p.Port && cmp.Or(f.Protocol, corev1.ProtocolTCP) == p.Protocol {
			return f.NodePort
		}
	}
	return has
}

// owners makes the API server delete what is a Gateway's with it.
func owners(gw *graph.Gateway) []metav1.OwnerReference {
	controller := true
	if class, derived := spec.DerivedPart(gw.Object.Name); derived { // the Gateway is in no cluster, and goes with its class
		return []metav1.OwnerReference{{
			APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: string(store.IngressClass), Name: class, UID: gw.Object.UID, Controller: &controller,
		}}
	}
	return []metav1.OwnerReference{{
		APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway", Name: gw.Object.Name, UID: gw.Object.UID, Controller: &controller,
	}}
}
