// Package v1alpha1 holds the Go types of the gatehouse.dev/v1alpha1 custom resources: AuthPolicy and ValidationPolicy, which are
// inherited policies as GEP-713 means the words, and GatewayParameters. It holds their schema, their validation markers and their
// registration.
//
// Everything that reads them imports it: controllers/watch decodes into it, controllers/attach and controllers/params merge it.
// It calls nothing; it depends on the core API types, apimachinery, the apiextensions JSON type and the Gateway API types only.
//
// +kubebuilder:object:generate=true
// +groupName=gatehouse.dev
package v1alpha1
