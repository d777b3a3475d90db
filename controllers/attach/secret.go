package attach

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
)

// finder finds the policy's Secrets.
func (d *draft) finder() keysecret.Finder {
	return keysecret.Finder{Reads: d.reads, Namespace: d.object.GetNamespace()}
}

// find looks for the Secret of a reference; nil, and broken parts, without one.
func (d *draft) find(ref v1alpha1.SecretReference) (*corev1.Secret, Parts) {
	s, missing := d.finder().Find(ref)
	if s == nil {
		return nil, Parts{Broken: missing.Text, Forbidden: missing.Forbidden}
	}
	return s, Parts{Secrets: []*corev1.Secret{s}}
}

// secret finds the Secret of a reference, which must have these keys.
func (d *draft) secret(ref v1alpha1.SecretReference, keys ...string) Parts {
	s, parts := d.find(ref)
	if s == nil {
		return parts
	}
	for _, key := range keys {
		if len(trimmed(s, key)) == 0 {
			return Parts{Broken: fmt.Sprintf("Secret %s has no key %s", d.finder().Name(ref), key)}
		}
	}
	return parts
}

// selection is the Secrets of keys that a method names by their labels.
type selection struct {
	by        *metav1.LabelSelector
	namespace *gatewayv1.Namespace
	usable    func(*corev1.Secret) error
}

// selected finds the Secrets of keys. One that holds no usable key is left out and
// named: it must not lock out the holders of all the others.
func (d *draft) selected(item, field string, want selection) {
	selector, err := metav1.LabelSelectorAsSelector(want.by)
	if err != nil {
		d.bad(field, "%v", err)
		return
	}
	if selector.Empty() {
		d.bad(field, "an empty selector would take every Secret of the namespace; name at least one label")
		return
	}
	namespace := d.finder().In(want.namespace)
	found, missing := d.finder().Select(namespace, selector)
	parts := Parts{Broken: missing.Text, Forbidden: missing.Forbidden}
	for _, s := range found {
		if err := want.usable(s); err != nil {
			d.notes = append(d.notes, fmt.Sprintf("%s: Secret %s/%s is left out: %v", item, s.Namespace, s.Name, err))
			continue
		}
		parts.Secrets = append(parts.Secrets, s)
	}
	if len(parts.Secrets) == 0 && parts.Broken == "" {
		d.notes = append(d.notes, fmt.Sprintf("%s: no Secret of namespace %s with a usable key has the labels %s, so no key is accepted", item, namespace, selector))
	}
	d.resolved[item] = parts
}
