package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AuthenticationMethod is one way to prove who a caller is.
//
// +kubebuilder:validation:XValidation:rule="(has(self.jwt) ? 1 : 0) + (has(self.apiKey) ? 1 : 0) + (has(self.basic) ? 1 : 0) + (has(self.clientCertificate) ? 1 : 0) + (has(self.oidc) ? 1 : 0) + (has(self.introspection) ? 1 : 0) + (has(self.kubernetes) ? 1 : 0) + (has(self.hmac) ? 1 : 0) + (has(self.anonymous) ? 1 : 0) == 1",message="set exactly one of jwt, apiKey, basic, clientCertificate, oidc, introspection, kubernetes, hmac and anonymous"
type AuthenticationMethod struct {
	// when narrows the method: all must be true for it to be tried.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// jwt accepts a signed JSON Web Token (RFC 7519).
	//
	// +optional
	JWT *JWTAuthentication `json:"jwt,omitempty"`

	// apiKey accepts a key that a labelled Secret holds the hash of.
	//
	// +optional
	APIKey *APIKeyAuthentication `json:"apiKey,omitempty"`

	// basic accepts a name and password (RFC 7617).
	//
	// +optional
	Basic *BasicAuthentication `json:"basic,omitempty"`

	// clientCertificate accepts a TLS client certificate that the listener has verified; write {} for any.
	//
	// +optional
	ClientCertificate *ClientCertificateAuthentication `json:"clientCertificate,omitempty"`

	// oidc logs people in with an OpenID provider.
	//
	// +optional
	OIDC *OIDCAuthentication `json:"oidc,omitempty"`

	// introspection asks the authorization server that issued an access token about it (RFC 7662).
	//
	// +optional
	Introspection *IntrospectionAuthentication `json:"introspection,omitempty"`

	// kubernetes accepts tokens that the cluster's API server knows, such as those of a pod's ServiceAccount; write {} for tokens meant
	// for the API server itself.
	//
	// +optional
	Kubernetes *KubernetesAuthentication `json:"kubernetes,omitempty"`

	// hmac accepts requests that are signed with a key both sides share (RFC 9421).
	//
	// +optional
	HMAC *HMACAuthentication `json:"hmac,omitempty"`

	// anonymous accepts everybody; write {}.
	//
	// +optional
	Anonymous *AnonymousAuthentication `json:"anonymous,omitempty"`
}

// AnonymousAuthentication accepts everybody.
type AnonymousAuthentication struct{}

// AudienceCheck says whether a token must name one of the listed audiences.
//
// +kubebuilder:validation:Enum=Required;None
type AudienceCheck string

const (
	// AudienceCheckRequired refuses a token that names none of the listed audiences. It is the default.
	AudienceCheckRequired AudienceCheck = "Required"
	// AudienceCheckNone accepts a token for any audience.
	AudienceCheckNone AudienceCheck = "None"
)

// JWTAlgorithm is a signature algorithm (RFC 7518, RFC 8037). HS256, HS384 and HS512 go with secretRef, and nothing else does.
//
// +kubebuilder:validation:Enum=RS256;RS384;RS512;PS256;PS384;PS512;ES256;ES384;ES512;EdDSA;HS256;HS384;HS512
type JWTAlgorithm string

// JWTAuthentication says which tokens are good.
//
// +kubebuilder:validation:XValidation:rule="(has(self.audienceCheck) && self.audienceCheck == 'None') != (has(self.audiences) && size(self.audiences) > 0)",message="list the accepted audiences, or write audienceCheck: None to accept a token meant for any"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) ? !has(self.jwks) && has(self.algorithms) && size(self.algorithms) > 0 && self.algorithms.all(a, a.startsWith('HS')) : !has(self.algorithms) || !self.algorithms.exists(a, a.startsWith('HS'))",message="HS256, HS384 and HS512 go with secretRef and no other source of keys: set secretRef and list only them, or list none of them"
// +kubebuilder:validation:XValidation:rule="has(self.jwks) || has(self.secretRef) || self.issuer.startsWith('https://') || self.issuer.startsWith('http://')",message="keys are discovered from issuer, which must then be an https URL; or set jwks"
type JWTAuthentication struct {
	// issuer must equal the token's iss claim.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer"`

	// audiences: the token's aud claim must hold one of them.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences,omitempty"`

	// audienceCheck is Required (default), or None to accept a token meant for any audience.
	//
	// +optional
	// +kubebuilder:default=Required
	AudienceCheck AudienceCheck `json:"audienceCheck,omitempty"`

	// jwks says where the keys are. Default: where the issuer's discovery document says
	// (issuer + /.well-known/openid-configuration).
	//
	// +optional
	JWKS *JWKSSource `json:"jwks,omitempty"`

	// secretRef names a Secret of secrets that are shared with the issuer, for HS256, HS384 and HS512:
	// each entry is one, its name is the kid. Whoever knows one can make tokens; prefer public keys where the issuer has them.
	//
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`

	// algorithms the token may be signed with. Default: those its key allows, of the asymmetric ones.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=10
	Algorithms []JWTAlgorithm `json:"algorithms,omitempty"`

	// leeway is how far the clocks of issuer and gateway may differ, at most 5m. Default: 30s.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('5m')",message="leeway is at most 5m"
	Leeway *gatewayv1.Duration `json:"leeway,omitempty"`

	// from lists the places a token is looked for, in order. Default: header Authorization, scheme Bearer.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	From []CredentialSource `json:"from,omitempty"`
}

// JWKSSource is a JSON Web Key Set (RFC 7517): fetched, written out, or in a ConfigMap.
//
// +kubebuilder:validation:XValidation:rule="(has(self.uri) ? 1 : 0) + (has(self.backendRef) ? 1 : 0) + (has(self.inline) ? 1 : 0) + (has(self.configMapRef) ? 1 : 0) == 1",message="set exactly one of uri, backendRef, inline and configMapRef"
type JWKSSource struct {
	// uri the key set is fetched from, and fetched again as it ages.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	URI *string `json:"uri,omitempty"`

	// backendRef is a Service the key set is fetched from, by the gateway's own way to its endpoints.
	//
	// +optional
	BackendRef *JWKSBackend `json:"backendRef,omitempty"`

	// inline is the key set itself: {"keys": […]}, public keys only.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	Inline *apiextensionsv1.JSON `json:"inline,omitempty"`

	// configMapRef names the ConfigMap key that holds the key set.
	//
	// +optional
	ConfigMapRef *ConfigMapKeyReference `json:"configMapRef,omitempty"`
}

// JWKSBackend is where a Service has its key set. A BackendTLSPolicy of the Service is followed.
type JWKSBackend struct {
	ServicePort `json:",inline"`

	// path of the key set.
	//
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern="^/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})*$"
	Path string `json:"path"`
}

// APIKeyAuthentication says which keys are good.
type APIKeyAuthentication struct {
	// selector chooses the Secrets of one namespace that hold the keys' hashes.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector would take every Secret of the namespace; name at least one label"
	Selector metav1.LabelSelector `json:"selector"`

	// namespace of the Secrets. In another than the policy's own, those count which a ReferenceGrant there lets AuthPolicies of the
	// policy's namespace use. Default: the policy's own.
	//
	// +optional
	Namespace *gatewayv1.Namespace `json:"namespace,omitempty"`

	// from lists the places a key is looked for, in order. Default: header X-API-Key.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	From []CredentialSource `json:"from,omitempty"`
}

// HtpasswdKey is the key of a Secret under which BasicAuthentication looks for the htpasswd lines.
const HtpasswdKey = ".htpasswd"

// BasicAuthentication says which names and passwords are good.
type BasicAuthentication struct {
	// secretRef names the Secret whose key .htpasswd holds one name:hash a line.
	//
	// +required
	SecretRef SecretReference `json:"secretRef"`

	// realm the browser shows when it asks for a password. Default: gatehouse.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[\x20\x21\x23-\x5b\x5d-\x7e]*$`
	Realm string `json:"realm,omitempty"`
}

// CredentialSource is a place in the request that a credential is read from.
//
// +kubebuilder:validation:XValidation:rule="(has(self.header) ? 1 : 0) + (has(self.cookie) ? 1 : 0) + (has(self.query) ? 1 : 0) == 1",message="set exactly one of header, cookie and query"
// +kubebuilder:validation:XValidation:rule="!has(self.scheme) || has(self.header)",message="scheme goes with header only; remove it"
type CredentialSource struct {
	// header by name.
	//
	// +optional
	Header *gatewayv1.HeaderName `json:"header,omitempty"`

	// scheme that stands before the credential in the header, with one space between: Bearer.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._~+/-]+$`
	Scheme *string `json:"scheme,omitempty"`

	// cookie by name.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`
	Cookie *string `json:"cookie,omitempty"`

	// query parameter by name. Its value will stand in other people's logs; prefer a header.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Query *string `json:"query,omitempty"`
}
