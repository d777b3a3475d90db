package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// ExternalAuth asks a service whether a request may pass. A service that does not answer in time, or whose answer cannot be
// understood, lets nobody pass.
//
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) != has(self.url)",message="set exactly one of backendRef and url"
// +kubebuilder:validation:XValidation:rule="has(self.grpc) != has(self.http)",message="set exactly one of grpc and http"
// +kubebuilder:validation:XValidation:rule="!(has(self.cache) && has(self.forwardBody))",message="an answer to a request whose content was looked at is good for no other; remove cache or forwardBody"
type ExternalAuth struct {
	// backendRef names a port of a Service in the policy's namespace.
	//
	// +optional
	BackendRef *ServicePort `json:"backendRef,omitempty"`

	// url is where the service is, http or https. A path in it goes before that of each request.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	URL *string `json:"url,omitempty"`

	// grpc asks by Envoy's protocol, envoy.service.auth.v3.Authorization/Check. What its answer wants set on the request is set.
	//
	// +optional
	GRPC *ExternalGRPC `json:"grpc,omitempty"`

	// http asks by a request with the caller's method, host, path and query. 200 lets the request pass, 5xx is no answer, and any other
	// answer goes to the caller.
	//
	// +optional
	HTTP *ExternalHTTP `json:"http,omitempty"`

	// forwardBody shows the service the request's content too. Default: none of it.
	//
	// +optional
	ForwardBody *ExternalBody `json:"forwardBody,omitempty"`

	// timeout of one question, from "1ms" to "1m". Default: 1s.
	//
	// +optional
	Timeout *gatewayv1.Duration `json:"timeout,omitempty"`

	// statusOnError is what callers are answered when the service gives no answer. Default: 503, with Retry-After.
	//
	// +optional
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	StatusOnError *int32 `json:"statusOnError,omitempty"`

	// cache keeps answers, yes and no alike. Default: every request is asked about.
	//
	// +optional
	Cache *ExternalCache `json:"cache,omitempty"`
}

// ServicePort names a port of a Service in the policy's own namespace.
type ServicePort struct {
	// name of the Service.
	//
	// +required
	Name gatewayv1.ObjectName `json:"name"`

	// port of the Service.
	//
	// +required
	Port gatewayv1.PortNumber `json:"port"`
}

// ExternalGRPC is how a gRPC service is asked.
type ExternalGRPC struct {
	// headers of the caller that the service sees. Default: all.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Headers []gatewayv1.HTTPHeaderName `json:"headers,omitempty"`

	// context is sent with each question, as context_extensions.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Context map[string]string `json:"context,omitempty"`
}

// ExternalHTTP is how an HTTP service is asked.
type ExternalHTTP struct {
	// path is put before the path of each request.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern="^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
	Path string `json:"path,omitempty"`

	// headers of the caller that the service sees, beside Authorization and Host.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Headers []gatewayv1.HTTPHeaderName `json:"headers,omitempty"`

	// forwarded sends X-Forwarded-For, -Proto, -Method, -Host and -Uri, by which services of forward authentication know what is asked.
	//
	// +optional
	Forwarded bool `json:"forwarded,omitempty"`

	// toBackend lists the headers of an allowing answer that are set on the request. What the caller sent under these names is removed,
	// but for Authorization and Cookie, which stay if the answer has none. Default: no headers.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ToBackend []gatewayv1.HTTPHeaderName `json:"toBackend,omitempty"`

	// toClient lists the headers of a refusing answer that go to the caller with its status and content. Default: all.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ToClient []gatewayv1.HTTPHeaderName `json:"toClient,omitempty"`
}

// ExternalBody is how much of the content a service sees.
type ExternalBody struct {
	// maxSize in bytes, at most 1 MiB. A request with more is answered 413, unless allowPartial is set.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1048576
	MaxSize int32 `json:"maxSize"`

	// allowPartial shows the service the beginning of content that is larger, and lets that decide on all of it.
	//
	// +optional
	AllowPartial bool `json:"allowPartial,omitempty"`
}

// ExternalCache says for which requests an answer is good, and for how long.
//
// +kubebuilder:validation:XValidation:rule="has(self.key) != has(self.headers)",message="set exactly one of key and headers"
type ExternalCache struct {
	// key is an expression for a text: requests for which it is the same share an answer, whatever else differs between them. A request
	// without one is always asked about.
	//
	// +optional
	Key *Expression `json:"key,omitempty"`

	// headers lists what an answer depends on beside method, host, path and query, and Authorization where the service sees it.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1.HTTPHeaderName `json:"headers,omitempty"`

	// ttl is how long an answer is good, from "1ms" to "1h". A right that is withdrawn may be used for so long.
	//
	// +required
	TTL gatewayv1.Duration `json:"ttl"`
}
