// Package v1alpha1 holds the Go types of the gatehouse.dev/v1alpha1 custom resources, AuthPolicy and ValidationPolicy: their
// schema, their validation markers and their registration. Both are inherited policies as GEP-713 means the words.
//
// Everything that reads policies imports it: controllers/watch decodes into it, controllers/graph attaches and merges it.
// It calls nothing; it depends on apimachinery, the apiextensions JSON type and the Gateway API types only.
//
// +kubebuilder:object:generate=true
// +groupName=gatehouse.dev
package v1alpha1
