package provision

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// propagated names the annotation that lists what was taken from
// spec.infrastructure and from GatewayParameters: labels, annotations and fields
// of the spec. What goes there goes here too (GEP-1867); what others have set
// stays.
const propagated = v1alpha1.GroupName + "/propagated"

// The words of that list.
const (
	labelWord      = "label:"
	annotationWord = "annotation:"
	fieldWord      = "spec:"
)

// fieldsOf are the fields of the spec of a Service that were taken from
// GatewayParameters.
func fieldsOf(o metav1.Object) map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(o.GetAnnotations()[propagated]) {
		if field, ok := strings.CutPrefix(word, fieldWord); ok {
			out[field] = true
		}
	}
	return out
}

// propagate sets the labels and annotations of an object of a Gateway's (GEP-1762,
// GEP-1867), of a Service with what its parameters say and which fields they set.
func (m *maker) propagate(o metav1.Object, gw *graph.Gateway, parameters *v1alpha1.ServiceParameters, fields []string) {
	labels, annotations := maps.Clone(o.GetLabels()), maps.Clone(o.GetAnnotations())
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	for word := range strings.FieldsSeq(annotations[propagated]) {
		if key, ok := strings.CutPrefix(word, labelWord); ok {
			delete(labels, key)
		} else if key, ok := strings.CutPrefix(word, annotationWord); ok {
			delete(annotations, key)
		}
	}
	delete(annotations, propagated)
	var words []string
	for _, field := range fields {
		words = append(words, fieldWord+field)
	}
	if parameters != nil {
		words = append(words, take(labels, parameters.Labels, labelWord)...)
		words = append(words, take(annotations, parameters.Annotations, annotationWord)...)
	}
	if infra := gw.Object.Spec.Infrastructure; infra != nil {
		words = append(words, take(labels, infra.Labels, labelWord)...)
		words = append(words, take(annotations, infra.Annotations, annotationWord)...)
	}
	if len(words) > 0 {
		slices.Sort(words)
		annotations[propagated] = strings.Join(slices.Compact(words), " ")
	}
	if class, derived := spec.DerivedPart(gw.Object.Name); derived {
		labels[ingressClass] = graph.LabelValue(class)
	} else {
		labels[gatewayv1.GatewayNameLabelKey] = graph.LabelValue(gw.Object.Name)
	}
	labels[store.ManagedBy] = store.Manager
	annotations[controlledBy] = string(m.in.Controller)
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}

// take copies labels or annotations, and returns the words for them.
func take[K, V ~string](to map[string]string, from map[K]V, word string) (words []string) {
	for k, v := range from {
		to[string(k)] = string(v)
		words = append(words, word+string(k))
	}
	return words
}
