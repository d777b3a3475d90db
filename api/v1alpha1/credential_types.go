package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// BackendCredential is what the gateway says of itself to the backend, in one header.
//
// +kubebuilder:validation:XValidation:rule="(has(self.static) ? 1 : 0) + (has(self.jwt) ? 1 : 0) + (has(self.clientCredentials) ? 1 : 0) + (has(self.tokenExchange) ? 1 : 0) == 1",message="set exactly one of static, jwt, clientCredentials and tokenExchange"
type BackendCredential struct {
	// when narrows the credential: all must be true for it to be set. Without it the header is left out.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	ForwardedToken `json:",inline"`

	// static is a value that a Secret holds.
	//
	// +optional
	Static *StaticCredential `json:"static,omitempty"`

	// jwt is a token that the gateway signs (RFC 7519), with ES256. Its public keys are at /jwks of the admin address.
	//
	// +optional
	JWT *BackendJWT `json:"jwt,omitempty"`

	// clientCredentials is an access token that the gateway gets for itself (RFC 6749, section 4.4).
	//
	// +optional
	ClientCredentials *ClientCredentials `json:"clientCredentials,omitempty"`

	// tokenExchange is an access token that the gateway gets in exchange for the caller's (RFC 8693). The caller has one if a jwt method has let
	// them in, or an oidc method.
	//
	// +optional
	TokenExchange *TokenExchange `json:"tokenExchange,omitempty"`
}

// StaticCredential is a value that a Secret holds.
type StaticCredential struct {
	// secretRef names the key of a Secret whose value is sent.
	//
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// BackendJWT is what a token that the gateway signs says.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ttl) || (duration(self.ttl) >= duration('10s') && duration(self.ttl) <= duration('1h'))",message="ttl is 10s to 1h"
type BackendJWT struct {
	// issuer is the name of this gateway that backends go by (iss).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer"`

	// audiences are the backends that the token is for (aud).
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences"`

	// ttl of a token, from "10s" to "1h". It is used by several requests of the same caller. Default: 5m.
	//
	// +optional
	TTL *gatewayv1.Duration `json:"ttl,omitempty"`

	// subject computes who the token is about (sub). Default: auth.subject.
	//
	// +optional
	Subject *Expression `json:"subject,omitempty"`

	// claims are what else the token says, each computed; one that comes to null or is missing is left out.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) >= 1 && size(name) <= 128)",message="a claim's name has 1 to 128 characters"
	// +kubebuilder:validation:XValidation:rule="self.all(name, !(name in ['iss', 'aud', 'sub', 'exp', 'iat', 'nbf']))",message="the gateway itself sets this claim; choose another name"
	Claims map[string]Expression `json:"claims,omitempty"`
}

// SecretKeyReference names one key of a Secret.
type SecretKeyReference struct {
	SecretReference `json:",inline"`

	// key whose value is read.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// ClientCredentials gets access tokens for the gateway itself. A token is kept until it is about to run out, and used until then if the
// endpoint is down.
type ClientCredentials struct {
	TokenEndpoint `json:",inline"`
}

// TokenExchange gets access tokens in exchange for callers' tokens. One is kept until it, or the caller's, is about to run out.
type TokenExchange struct {
	TokenEndpoint `json:",inline"`

	// subjectTokenType is what the caller's token is. Default: urn:ietf:params:oauth:token-type:access_token.
	//
	// +optional
	// +kubebuilder:default="urn:ietf:params:oauth:token-type:access_token"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	SubjectTokenType string `json:"subjectTokenType,omitempty"`

	// requestedTokenType is what the backend takes. Default: what the endpoint gives.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	RequestedTokenType *string `json:"requestedTokenType,omitempty"`
}

// TokenEndpoint says where tokens come from, and what they are to be for.
type TokenEndpoint struct {
	// tokenURL is the token endpoint, http or https.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	TokenURL string `json:"tokenURL"`

	// clientID by which the endpoint knows this gateway.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientID"`

	// clientSecretRef names the Secret whose key client-secret holds the client secret.
	//
	// +required
	ClientSecretRef SecretReference `json:"clientSecretRef"`

	// clientAuthentication is Basic (default) or Post.
	//
	// +optional
	// +kubebuilder:default=Basic
	ClientAuthentication ClientAuthentication `json:"clientAuthentication,omitempty"`

	// scopes asked for.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5b\x5d-\x7e]+$`
	Scopes []string `json:"scopes,omitempty"`

	// audiences are the names of those the token is for (audience).
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences,omitempty"`

	// resources are the URIs of what the token is for (resource, RFC 8707).
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Resources []string `json:"resources,omitempty"`

	// timeout of one call, from "1ms" to "1m". Default: 5s.
	//
	// +optional
	Timeout *gatewayv1.Duration `json:"timeout,omitempty"`
}
