package provision

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// propagated names the annotation that lists the labels and annotations taken
// from spec.infrastructure, so that those which go there go here too (GEP-1867).
const propagated = v1alpha1.GroupName + "/propagated"

// controlledBy names the annotation with the controllerName that keeps an object:
// there may be several installations in one cluster.
const controlledBy = v1alpha1.GroupName + "/controller"

// service is the Service of a Gateway: what there is with our part of it as it
// should be. What others have added stays.
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
	m.propagate(want, gw)
	want.Spec.Type = corev1.ServiceTypeLoadBalancer
	want.Spec.Selector = nil
	want.Spec.LoadBalancerIP = need.Address
	want.Spec.Ports = m.ports(need, want.Spec.Ports)
	return want
}

// ports keeps what the API server has added to a port, such as its node port.
func (m *maker) ports(need *graph.Service, have []corev1.ServicePort) (out []corev1.ServicePort) {
	for _, p := range need.Ports {
		target := m.plan.Reserved[Port{need.Name, p}]
		if target == 0 {
			continue
		}
		port := corev1.ServicePort{Port: p.Port, Protocol: p.Protocol}
		for i := range have {
			if was, _ := graph.TargetPort(&have[i]); was == p {
				port = have[i]
			}
		}
		port.Name, port.TargetPort = portName(p), intstr.FromInt32(int32(target))
		out = append(out, port)
	}
	return out
}

// owners makes the API server delete what is a Gateway's with it.
func owners(gw *graph.Gateway) []metav1.OwnerReference {
	controller := true
	return []metav1.OwnerReference{{
		APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway", Name: gw.Object.Name, UID: gw.Object.UID, Controller: &controller,
	}}
}

// propagate sets the labels and annotations of an object of a Gateway's (GEP-1762, GEP-1867).
func (m *maker) propagate(o metav1.Object, gw *graph.Gateway) {
	labels, annotations := maps.Clone(o.GetLabels()), maps.Clone(o.GetAnnotations())
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	for word := range strings.FieldsSeq(annotations[propagated]) {
		if key, ok := strings.CutPrefix(word, "label:"); ok {
			delete(labels, key)
		} else if key, ok := strings.CutPrefix(word, "annotation:"); ok {
			delete(annotations, key)
		}
	}
	delete(annotations, propagated)
	var keys []string
	if infra := gw.Object.Spec.Infrastructure; infra != nil {
		for k, v := range infra.Labels {
			labels[string(k)] = string(v)
			keys = append(keys, "label:"+string(k))
		}
		for k, v := range infra.Annotations {
			annotations[string(k)] = string(v)
			keys = append(keys, "annotation:"+string(k))
		}
	}
	if len(keys) > 0 {
		slices.Sort(keys)
		annotations[propagated] = strings.Join(keys, " ")
	}
	labels[gatewayv1.GatewayNameLabelKey] = graph.LabelValue(gw.Object.Name)
	labels[store.ManagedBy] = store.Manager
	annotations[controlledBy] = string(m.in.Controller)
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}
