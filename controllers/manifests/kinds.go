package manifests

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// read are the kinds that are read.
var read = [...]string{
	"GatewayClass", "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "XBackendTrafficPolicy", "AuthPolicy", "ValidationPolicy", "GatewayParameters",
	"XBackend", "Ingress", "IngressClass", "Service", "EndpointSlice", "Secret", "ConfigMap", "Namespace",
}

// owned says whether a group's kinds are all meant for a gateway, so that one
// which is not read is a mistake.
func owned(group string) bool {
	return group == gatewayv1.GroupName || group == gatewayxv1alpha1.GroupName || group == v1alpha1.GroupName
}

// readAs is the version that an object is read as, and whether it is read at all. The
// versions of a Gateway API kind differ in their names only: an API server takes one for the other.
func (r *Reader) readAs(written schema.GroupVersionKind) (schema.GroupVersionKind, bool) {
	if !slices.Contains(read[:], written.Kind) {
		return written, false
	}
	as := written
	if r.schemas.text[schemaOf(written)] != nil && written.Group == gatewayv1.GroupName {
		as.Version = gatewayv1.GroupVersion.Version
	}
	return as, r.scheme.Recognizes(as)
}

// unread says which field keeps an object from being read, and why; the message is empty
// where the object is not meant for a gateway.
func (r *Reader) unread(gvk schema.GroupVersionKind) (field, message string) {
	version, kind := gvk.ToAPIVersionAndKind()
	if versions := r.scheme.VersionsForGroupKind(gvk.GroupKind()); slices.Contains(read[:], kind) && len(versions) > 0 {
		return "apiVersion", fmt.Sprintf("%s of %s is not read; write %s", kind, version, versions[0])
	}
	if meant, is := r.misgrouped(gvk); is {
		return "apiVersion", fmt.Sprintf("%s of %s is not read; did you mean %s?", kind, version, meant)
	}
	if !owned(gvk.Group) {
		return "", ""
	}
	message = fmt.Sprintf("%s of %s is not a kind Gatehouse reads", kind, version)
	for _, k := range read {
		if edits(strings.ToLower(kind), strings.ToLower(k)) <= len(k)/5 {
			return "kind", message + "; did you mean " + k + "?"
		}
	}
	return "kind", message + "; it reads " + strings.Join(read[:], ", ")
}

// misgrouped is the version that was probably meant for a kind that is read, of a group that
// is like the right one, or that only Kubernetes itself could have.
func (r *Reader) misgrouped(gvk schema.GroupVersionKind) (meant schema.GroupVersion, is bool) {
	if !slices.Contains(read[:], gvk.Kind) {
		return meant, false
	}
	for known := range r.scheme.AllKnownTypes() {
		if known.Kind != gvk.Kind || gvk.Group == known.Group {
			continue
		}
		if gvk.Group == "core" && known.Group == "" || strings.HasSuffix(gvk.Group, "k8s.io") || edits(gvk.Group, known.Group) <= 2 {
			return r.scheme.VersionsForGroupKind(known.GroupKind())[0], true
		}
	}
	return meant, false
}

// misnamed says which part of an object's name no API server takes, and why.
func misnamed(o Object) (field, message string) {
	check, form := validation.IsDNS1123Subdomain, "lower case letters, digits, - and ."
	switch o.GetObjectKind().GroupVersionKind().Kind {
	case "Namespace", "Service":
		check, form = validation.IsDNS1123Label, "lower case letters, digits and -"
	}
	if len(check(o.GetName())) > 0 {
		return "metadata.name", fmt.Sprintf("%q is no name that an API server takes; use %s", o.GetName(), form)
	}
	if ns := o.GetNamespace(); ns != "" && len(validation.IsDNS1123Label(ns)) > 0 {
		return "metadata.namespace", fmt.Sprintf("%q is no name of a namespace; use lower case letters, digits and -", ns)
	}
	return "", ""
}
