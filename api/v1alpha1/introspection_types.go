package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// ClientIDKey is the key of a Secret under which IntrospectionAuthentication looks for the client's name, beside ClientSecretKey.
const ClientIDKey = "client-id"

// ClientAuthentication is how a client shows its credentials (RFC 6749, 2.3.1).
//
// +kubebuilder:validation:Enum=Basic;Post
type ClientAuthentication string

const (
	// ClientAuthenticationBasic sends them in the field Authorization. It is the default.
	ClientAuthenticationBasic ClientAuthentication = "Basic"
	// ClientAuthenticationPost sends them in the content.
	ClientAuthenticationPost ClientAuthentication = "Post"
)

// IntrospectionAuthentication accepts access tokens of which their authorization server says that they are active. While it gives no answer
// requests get 503, unless a former answer may still be used.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.backendRef) && has(self.url))",message="set at most one of backendRef and url"
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) || has(self.url) || (has(self.issuer) && (self.issuer.startsWith('https://') || self.issuer.startsWith('http://')))",message="the endpoint is discovered from issuer, which must then be an https URL; or set url or backendRef"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || has(self.backendRef)",message="path goes with backendRef; write it into url"
// +kubebuilder:validation:XValidation:rule="(has(self.audienceCheck) && self.audienceCheck == 'None') != (has(self.audiences) && size(self.audiences) > 0)",message="list the accepted audiences, or write audienceCheck: None to accept a token meant for any"
type IntrospectionAuthentication struct {
	// issuer of the tokens: an answer that names another is refused. Without url and backendRef its metadata says where the endpoint is
	// (introspection_endpoint, RFC 8414).
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer,omitempty"`

	// url of the introspection endpoint.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	URL *string `json:"url,omitempty"`

	// backendRef names a port of a Service, in the policy's namespace, that has the endpoint.
	//
	// +optional
	BackendRef *ServicePort `json:"backendRef,omitempty"`

	// path of the endpoint at backendRef. Default: /introspect.
	//
	// +optional
	Path *HTTPPath `json:"path,omitempty"`

	// clientSecretRef names the Secret whose keys client-id and client-secret hold the credentials the
	// gateway asks with.
	//
	// +required
	ClientSecretRef SecretReference `json:"clientSecretRef"`

	// clientAuthentication is Basic (default) or Post.
	//
	// +optional
	// +kubebuilder:default=Basic
	ClientAuthentication ClientAuthentication `json:"clientAuthentication,omitempty"`

	// audiences: the answer's aud must hold one of them.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences,omitempty"`

	// audienceCheck is Required (default), or None to accept a token meant for any audience. Many servers tell none.
	//
	// +optional
	// +kubebuilder:default=Required
	AudienceCheck AudienceCheck `json:"audienceCheck,omitempty"`

	// tokenTypes: the answer's token_type must be one of them, whatever the case of its letters. Default: Bearer, or none told.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	TokenTypes []string `json:"tokenTypes,omitempty"`

	// timeout of one question, from "1ms" to "1m". Default: 2s.
	//
	// +optional
	Timeout *gatewayv1.Duration `json:"timeout,omitempty"`

	// cache says for how long answers are used.
	//
	// +optional
	Cache *IntrospectionCache `json:"cache,omitempty"`

	// from lists the places a token is looked for, in order. Default: header Authorization, scheme Bearer.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	From []CredentialSource `json:"from,omitempty"`
}

// IntrospectionCache says for how long the answer that a token is active is used, which is never beyond the token's exp. That it is not is
// remembered for ten seconds.
type IntrospectionCache struct {
	// ttl is how long an answer is used without asking again, at most 1h: a token that is revoked may be used for so long. Default: 1m.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="ttl is 1s to 1h"
	TTL *gatewayv1.Duration `json:"ttl,omitempty"`

	// onError is how much longer it is used while the server gives no answer, at most 1h; 0s for not at all. Default: 5m.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="onError is at most 1h"
	OnError *gatewayv1.Duration `json:"onError,omitempty"`
}
