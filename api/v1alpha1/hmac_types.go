package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// HMACKey is the key of a Secret under which HMACAuthentication looks for what both sides share: 32 bytes or more.
const HMACKey = "hmacKey"

// HMACAuthentication accepts requests that are signed with a key both sides share (RFC 9421, algorithm hmac-sha256).
type HMACAuthentication struct {
	// selector chooses the Secrets of one namespace that hold the keys.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector would take every Secret of the namespace; name at least one label"
	Selector metav1.LabelSelector `json:"selector"`

	// namespace of the Secrets. In another than the policy's own, those count which a ReferenceGrant there lets AuthPolicies of the
	// policy's namespace use. Default: the policy's own.
	//
	// +optional
	Namespace *gatewayv1.Namespace `json:"namespace,omitempty"`

	// components that a signature must cover: @method, @authority, @scheme, @target-uri, @request-target, @path, @query and names of
	// header fields. Default: @method, @authority, @path and @query. Of a request with content it must always cover content-digest
	// (RFC 9530), which is compared with the content.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.all(c, c in ['@method', '@authority', '@scheme', '@target-uri', '@request-target', '@path', '@query'] || c.matches('^[a-z0-9!#$%&*+.^_|~-]+$'))",message="a component is @method, @authority, @scheme, @target-uri, @request-target, @path, @query or the name of a header field in lower case"
	Components []string `json:"components,omitempty"`

	// maxAge of a signature, by its parameter created: a request that somebody has overheard can be sent again for so long. At most 1h.
	// Default: 5m.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="maxAge is 1s to 1h"
	MaxAge *gatewayv1.Duration `json:"maxAge,omitempty"`

	// maxBodyBytes of content, which is held in memory until its digest has been compared; 413 beyond. At most 16 MiB. Default: 1 MiB.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16777216
	MaxBodyBytes *int64 `json:"maxBodyBytes,omitempty"`
}
