package v1alpha1

// KubernetesAuthentication accepts tokens of which the API server says whose they are (TokenReview, authentication.k8s.io/v1).
type KubernetesAuthentication struct {
	// audiences: the token must be meant for one of them, as a pod's projected token with that audience is. Default: those of the API
	// server itself.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences,omitempty"`

	// from lists the places a token is looked for, in order. Default: header Authorization, scheme Bearer.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	From []CredentialSource `json:"from,omitempty"`
}

// KubernetesAuthorization allows what the cluster's authorization allows the caller (SubjectAccessReview, authorization.k8s.io/v1). Without
// resourceAttributes it is asked about a path that is no resource, as a ClusterRole's nonResourceURLs name them.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.resourceAttributes) && has(self.nonResourceAttributes))",message="set at most one of resourceAttributes and nonResourceAttributes"
type KubernetesAuthorization struct {
	// prefix before the name and the groups (claim groups) of a caller whom another method than kubernetes has authenticated: oidc: for
	// instance. Without one, or with, such a caller cannot bear a name that begins with system:.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Prefix string `json:"prefix,omitempty"`

	// resourceAttributes is the resource that is asked about.
	//
	// +optional
	ResourceAttributes *ResourceAttributes `json:"resourceAttributes,omitempty"`

	// nonResourceAttributes is the path that is asked about. Default: the request's, with its method in lower case.
	//
	// +optional
	NonResourceAttributes *NonResourceAttributes `json:"nonResourceAttributes,omitempty"`
}

// ResourceAttributes is a resource, and what is done to it.
type ResourceAttributes struct {
	// verb. Default: by the request's method: get with a name and list without, create, update, patch, delete with a name and
	// deletecollection without.
	//
	// +optional
	Verb *Text `json:"verb,omitempty"`

	// group of the resource's API. Default: the core group.
	//
	// +optional
	Group *Text `json:"group,omitempty"`

	// version of the resource's API. Default: any.
	//
	// +optional
	Version *Text `json:"version,omitempty"`

	// resource in the plural: orders.
	//
	// +required
	Resource Text `json:"resource"`

	// subresource, such as status. Default: none.
	//
	// +optional
	Subresource *Text `json:"subresource,omitempty"`

	// namespace. Default: the caller must have the right in the whole cluster.
	//
	// +optional
	Namespace *Text `json:"namespace,omitempty"`

	// name of one object. Default: all.
	//
	// +optional
	Name *Text `json:"name,omitempty"`
}

// NonResourceAttributes is a path, and what is done to it.
type NonResourceAttributes struct {
	// path. Default: the request's.
	//
	// +optional
	Path *Text `json:"path,omitempty"`

	// verb. Default: the request's method in lower case.
	//
	// +optional
	Verb *Text `json:"verb,omitempty"`
}

// Text is fixed or computed.
//
// +kubebuilder:validation:XValidation:rule="has(self.cel) != has(self.value)",message="set exactly one of cel and value"
type Text struct {
	// cel computes it. An expression that fails refuses the request.
	//
	// +optional
	CEL *Expression `json:"cel,omitempty"`

	// value is it.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Value *string `json:"value,omitempty"`
}
