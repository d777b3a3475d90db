package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "gatehouse.dev"

// Kinds of this package, as targetRefs, conditions and messages spell them.
const (
	KindAuthPolicy        = "AuthPolicy"
	KindGatewayParameters = "GatewayParameters"
	KindValidationPolicy  = "ValidationPolicy"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(addKnownTypes)
	return builder.AddToScheme(scheme)
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&AuthPolicy{}, &AuthPolicyList{},
		&GatewayParameters{}, &GatewayParametersList{},
		&ValidationPolicy{}, &ValidationPolicyList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
