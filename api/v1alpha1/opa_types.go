package v1alpha1

// OPAAuthorization allows what a policy in Rego allows. The policy sees the request as input, reaches nothing else, and has 50 ms; one that
// fails or takes longer refuses the request.
//
// +kubebuilder:validation:XValidation:rule="has(self.policy) != has(self.configMapRef)",message="set exactly one of policy and configMapRef"
type OPAAuthorization struct {
	// policy is one module of Rego v1, written out.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Policy *string `json:"policy,omitempty"`

	// configMapRef names the ConfigMap key that holds it.
	//
	// +optional
	ConfigMapRef *ConfigMapKeyReference `json:"configMapRef,omitempty"`

	// query is the rule that decides: true or false, or an object of allow and reason. Default: data.PACKAGE.allow.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^data(\.[A-Za-z_][A-Za-z0-9_]*)+$`
	Query string `json:"query,omitempty"`

	// dataRef names a ConfigMap key with an object in JSON or YAML, which the policy finds as data.
	//
	// +optional
	DataRef *ConfigMapKeyReference `json:"dataRef,omitempty"`
}
