package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// BackendCredential is what the gateway says of itself to the backend, in one header.
//
// +kubebuilder:validation:XValidation:rule="(has(self.static) ? 1 : 0) + (has(self.clientCredentials) ? 1 : 0) + (has(self.tokenExchange) ? 1 : 0) == 1",message="set exactly one of static, clientCredentials and tokenExchange"
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
	// secretRef names the key of a Secret in the policy's namespace whose value is sent.
	//
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// SecretKeyReference names one key of a Secret in the policy's namespace.
type SecretKeyReference struct {
	// name of the Secret.
	//
	// +required
	Name gatewayv1.ObjectName `json:"name"`

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

	// clientSecretRef names the Secret, in the policy's namespace, whose key client-secret holds the client secret.
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
