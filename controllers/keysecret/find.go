package keysecret

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/refgrant"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// secretKind is the kind that ReferenceGrants must be for.
const secretKind gatewayv1.Kind = "Secret"

// Finder finds the Secrets that an AuthPolicy of one namespace names. Those of
// another count only if a ReferenceGrant there lets such policies use them, and
// otherwise are not looked at: a policy's owner learns nothing of them.
type Finder struct {
	Reads     *store.Reader
	Namespace string
}

// Missing says why there is no Secret; its zero value is that there is one.
type Missing struct {
	Text      string
	Forbidden bool // no ReferenceGrant allows it; Text says which it takes
}

// Name is where the Secret of a reference is.
func (f Finder) Name(ref v1alpha1.SecretReference) types.NamespacedName {
	return types.NamespacedName{Namespace: f.In(ref.Namespace), Name: string(ref.Name)}
}

// In is the namespace that is named, or the policy's own.
func (f Finder) In(named *gatewayv1.Namespace) string {
	if named != nil && *named != "" {
		return string(*named)
	}
	return f.Namespace
}

// Find returns the Secret of a reference, or nil and why not.
func (f Finder) Find(ref v1alpha1.SecretReference) (*corev1.Secret, Missing) {
	name := f.Name(ref)
	if !refgrant.Allows(f.Reads, f.from(), secretKind, name) {
		return nil, f.forbidden(name.Namespace, "Secret "+name.Name, ", name: "+name.Name)
	}
	s := f.Reads.Secret(name)
	if s == nil {
		return nil, Missing{Text: fmt.Sprintf("Secret %s does not exist", name)}
	}
	return s, Missing{}
}

// Select returns the Secrets of a namespace that selector takes. Of another
// namespace those count that are granted, which may be some by their names; that
// none at all can be is what Missing says.
func (f Finder) Select(namespace string, selector labels.Selector) (found []*corev1.Secret, missing Missing) {
	if !refgrant.Any(f.Reads, f.from(), secretKind, namespace) {
		return nil, f.forbidden(namespace, "its Secrets", "")
	}
	for _, s := range f.Reads.Secrets(namespace, selector) {
		if refgrant.Allows(f.Reads, f.from(), secretKind, types.NamespacedName{Namespace: s.Namespace, Name: s.Name}) {
			found = append(found, s)
		}
	}
	return found, Missing{}
}

func (f Finder) from() gatewayv1.ReferenceGrantFrom {
	return gatewayv1.ReferenceGrantFrom{Group: v1alpha1.GroupName, Kind: v1alpha1.KindAuthPolicy, Namespace: gatewayv1.Namespace(f.Namespace)}
}

func (f Finder) forbidden(namespace, what, name string) Missing {
	from := f.from()
	return Missing{Forbidden: true, Text: fmt.Sprintf(
		"no ReferenceGrant in namespace %s lets AuthPolicies of namespace %s use %s; write one there with from: [{group: %s, kind: %s, namespace: %s}] and to: [{group: \"\", kind: %s%s}]",
		namespace, from.Namespace, what, from.Group, from.Kind, from.Namespace, secretKind, name)}
}
