package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// MetadataStep fetches facts once it is known who calls, and before authorization decides: expressions of authorization, response and
// backend credentials see the answer, which is JSON, as metadata.NAME. While it cannot be had requests get 503, unless a former answer may
// still be used or the step is optional.
//
// +kubebuilder:validation:XValidation:rule="has(self.http) != has(self.userInfo)",message="set exactly one of http and userInfo"
// +kubebuilder:validation:XValidation:rule="!(has(self.userInfo) && has(self.cache) && has(self.cache.key))",message="what is known of a user is kept by their token; remove cache.key"
type MetadataStep struct {
	// when narrows the step: all must be true for it to be taken. Without it metadata.NAME is missing.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// http asks a service.
	//
	// +optional
	HTTP *MetadataHTTP `json:"http,omitempty"`

	// userInfo asks an OpenID provider about the caller, with the caller's own access token (OpenID Connect Core 1.0, section 5.3).
	//
	// +optional
	UserInfo *MetadataUserInfo `json:"userInfo,omitempty"`

	// timeout of one question, from "1ms" to "1m". Default: 1s.
	//
	// +optional
	Timeout *gatewayv1.Duration `json:"timeout,omitempty"`

	// cache says for which requests an answer is used, and for how long.
	//
	// +optional
	Cache *MetadataCache `json:"cache,omitempty"`

	// optional lets requests on to authorization when nothing can be fetched: metadata.NAME is missing then, and an expression that reads it
	// without has() refuses. Default: false.
	//
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// MetadataHTTP is a question to a service. 200 with JSON of at most 64 KiB is an answer, anything else is none.
//
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) != has(self.url)",message="set exactly one of backendRef and url"
// +kubebuilder:validation:XValidation:rule="!has(self.body) || (has(self.method) && self.method == 'POST')",message="a body goes with method POST"
// +kubebuilder:validation:XValidation:rule="!has(self.secretHeader) || !has(self.headers) || !self.headers.exists(name, name.lowerAscii() == self.secretHeader.header.lowerAscii())",message="secretHeader and headers set the same header; remove one"
type MetadataHTTP struct {
	// backendRef names a port of a Service in the policy's namespace.
	//
	// +optional
	BackendRef *ServicePort `json:"backendRef,omitempty"`

	// url is where the service is, http or https. A path in it goes before path.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	URL *string `json:"url,omitempty"`

	// method is GET (default) or POST.
	//
	// +optional
	// +kubebuilder:default=GET
	// +kubebuilder:validation:Enum=GET;POST
	Method string `json:"method,omitempty"`

	// path is an expression for the path that is asked: a list of its segments, such as ['accounts', auth.subject], each of which is
	// percent-encoded, its slashes too; or a text that begins with a slash, whose slashes stay. Default: that of url, or /.
	//
	// +optional
	Path *Expression `json:"path,omitempty"`

	// query holds expressions for parameters by their names; one that comes to null or is missing is left out.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) >= 1 && size(name) <= 128)",message="a parameter's name has 1 to 128 characters"
	Query map[string]Expression `json:"query,omitempty"`

	// headers are sent with the question, each computed or fixed. Nothing else of the caller's request is sent.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Za-z0-9!#$%&*+.^_|~-]{1,64}$'))",message="a header name has 1 to 64 letters, digits and '-' (RFC 9110, 5.6.2)"
	// +kubebuilder:validation:XValidation:rule="self.all(name, !(name.lowerAscii() in ['host', 'connection', 'content-length', 'content-type', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'proxy-connection', 'expect']))",message="the gateway itself sets host, the content's and the connection's headers; choose another name"
	Headers map[string]ResponseHeader `json:"headers,omitempty"`

	// secretHeader sends a credential of the gateway's own, which a Secret holds.
	//
	// +optional
	SecretHeader *MetadataSecret `json:"secretHeader,omitempty"`

	// body is an expression for what a POST sends, as JSON: {'user': auth.subject}.
	//
	// +optional
	Body *Expression `json:"body,omitempty"`
}

// MetadataSecret is a header whose value is kept in a Secret.
type MetadataSecret struct {
	ForwardedToken `json:",inline"`

	// secretRef names the key of a Secret in the policy's namespace whose value is sent.
	//
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// MetadataUserInfo is where a provider tells what it knows of a user. The caller has an access token if a jwt, an introspection or an oidc
// method has let them in.
//
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.url)",message="set exactly one of issuer and url"
type MetadataUserInfo struct {
	// issuer whose metadata says where its endpoint is (userinfo_endpoint).
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	Issuer *string `json:"issuer,omitempty"`

	// url of the endpoint, http or https.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	URL *string `json:"url,omitempty"`
}

// MetadataCache says for which requests an answer is used, and for how long.
type MetadataCache struct {
	// key is an expression for a text, by which an answer is kept: requests for which it is the same share one. Default: all that is asked, so
	// that equal questions share an answer.
	//
	// +optional
	Key *Expression `json:"key,omitempty"`

	// ttl is how long an answer is used without asking again, from "1ms" to "1h". Default: 1m.
	//
	// +optional
	TTL *gatewayv1.Duration `json:"ttl,omitempty"`

	// onError is how much longer it is used while the service gives no answer, at most "1h"; "0s" for not at all. Default: 5m.
	//
	// +optional
	OnError *gatewayv1.Duration `json:"onError,omitempty"`
}
