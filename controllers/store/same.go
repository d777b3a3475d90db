package store

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// sameVersion is true of two readings of one version of an object. Objects from
// manifests have no resourceVersion; they are compared by content.
func sameVersion(a, b metav1.Object) bool {
	return a.GetResourceVersion() != "" && a.GetResourceVersion() == b.GetResourceVersion() && a.GetUID() == b.GetUID()
}

// sameHead compares what decisions rest on beside the spec: the generation is
// reported in conditions, the age settles ties.
func sameHead(a, b metav1.Object) bool {
	was, is := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	return a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() && was.Equal(&is)
}

// sameSpec is true when the API server says by the generation that the spec is
// the same, or when it is.
func sameSpec(a, b metav1.Object, was, is any) bool {
	return sameVersion(a, b) || sameHead(a, b) && (a.GetGeneration() != 0 && a.GetUID() != "" || equality.Semantic.DeepEqual(was, is))
}

func sameClass(a, b *gatewayv1.GatewayClass) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }
func sameGateway(a, b *gatewayv1.Gateway) bool    { return sameSpec(a, b, &a.Spec, &b.Spec) }
func sameListenerSet(a, b *gatewayv1.ListenerSet) bool {
	return sameSpec(a, b, &a.Spec, &b.Spec)
}
func sameRoute(a, b *gatewayv1.HTTPRoute) bool { return sameSpec(a, b, &a.Spec, &b.Spec) }
func sameGRPC(a, b *gatewayv1.GRPCRoute) bool  { return sameSpec(a, b, &a.Spec, &b.Spec) }
func sameGrant(a, b *gatewayv1.ReferenceGrant) bool {
	return sameSpec(a, b, &a.Spec, &b.Spec)
}

// ManagedBy is the label, and Manager its value, of what the controllers keep in
// the cluster themselves.
const (
	ManagedBy = "app.kubernetes.io/managed-by"
	Manager   = "gatehouse"
)

// sameService compares what a route asks of a Service: that it is there, and its
// ports; and of one that is our own whose it is, and its addresses.
func sameService(a, b *corev1.Service) bool {
	return sameVersion(a, b) || a.Spec.Type == b.Spec.Type && equality.Semantic.DeepEqual(a.Spec.Ports, b.Spec.Ports) && sameOwned(a, b)
}

func sameOwned(a, b *corev1.Service) bool {
	if a.Labels[ManagedBy] != Manager && b.Labels[ManagedBy] != Manager {
		return true
	}
	return a.Labels[ManagedBy] == b.Labels[ManagedBy] && equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) &&
		slices.Equal(a.Spec.ClusterIPs, b.Spec.ClusterIPs) && equality.Semantic.DeepEqual(a.Status.LoadBalancer, b.Status.LoadBalancer)
}

func sameSecret(a, b *corev1.Secret) bool {
	return sameVersion(a, b) || a.Type == b.Type && maps.Equal(a.Labels, b.Labels) &&
		maps.Equal(a.Annotations, b.Annotations) && equality.Semantic.DeepEqual(a.Data, b.Data) && maps.Equal(a.StringData, b.StringData)
}

func sameConfig(a, b *corev1.ConfigMap) bool {
	return sameVersion(a, b) || maps.Equal(a.Data, b.Data) && equality.Semantic.DeepEqual(a.BinaryData, b.BinaryData)
}

func sameNamespace(a, b *corev1.Namespace) bool {
	return sameVersion(a, b) || maps.Equal(a.Labels, b.Labels)
}

// The lists objects stand in.

const everything = "all"

func listed[T any](T) []string { return []string{everything} }

func namespaceList(namespace string) string { return "namespace " + namespace }

func byNamespace(o *gatewayv1.ReferenceGrant) []string {
	return []string{namespaceList(o.Namespace)}
}

func scopeList(scope gatewayv1.GatewayDefaultScope) string { return "default " + string(scope) }

// byScope lists default Gateways apart too.
func byScope(o *gatewayv1.Gateway) []string {
	if o.Spec.DefaultScope == "" {
		return []string{everything}
	}
	return []string{everything, scopeList(o.Spec.DefaultScope)}
}

func labelList(namespace, label, value string) string {
	return "label " + namespace + " " + label + "=" + value
}

func byLabel(o *corev1.Secret) []string {
	in := make([]string, 0, len(o.Labels)+1)
	in = append(in, namespaceList(o.Namespace))
	for label, value := range o.Labels {
		in = append(in, labelList(o.Namespace, label, value))
	}
	return in
}

func targetList(namespace string, kind gatewayv1.Kind, name gatewayv1.ObjectName) string {
	return "target " + namespace + " " + string(kind) + " " + string(name)
}
