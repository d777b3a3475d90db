package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ValidationPolicy says what a request must look like to pass through the Gateways, listeners, routes or rules it targets: the size
// and type of its body, its headers and query parameters, the schema of its JSON.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:scope=Namespaced,categories=gateway-api;gatehouse
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Inherited"
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[0].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.ancestors[0].conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.ancestors[0].conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ValidationPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy asks for.
	//
	// +required
	Spec ValidationPolicySpec `json:"spec"`

	// status says, per Gateway, whether the policy is accepted and programmed. The controller writes it.
	//
	// +optional
	Status gatewayv1.PolicyStatus `json:"status,omitempty"`
}

// ValidationPolicyList is a list of ValidationPolicies.
//
// +kubebuilder:object:root=true
type ValidationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ValidationPolicy `json:"items"`
}

// GetTargetRefs returns what the policy applies to.
func (p *ValidationPolicy) GetTargetRefs() []gatewayv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// GetMode returns the mode, Enforce where the object has none.
func (p *ValidationPolicy) GetMode() Mode { return modeOr(p.Spec.Mode) }

// GetStatus returns the status, to be read or written in place.
func (p *ValidationPolicy) GetStatus() *gatewayv1.PolicyStatus { return &p.Status }

// GetSection returns the precedence and strategy of the section that is set; bare rules are Atomic defaults.
func (p *ValidationPolicy) GetSection() Section {
	switch {
	case p.Spec.Overrides != nil:
		return Section{PrecedenceOverrides, strategyOr(p.Spec.Overrides.Strategy)}
	case p.Spec.Defaults != nil:
		return Section{PrecedenceDefaults, strategyOr(p.Spec.Defaults.Strategy)}
	}
	return Section{PrecedenceDefaults, StrategyAtomic}
}

// GetRules returns the rules of the section that is set; nil when none is, which the schema refuses.
func (p *ValidationPolicy) GetRules() *ValidationRules {
	switch {
	case p.Spec.Overrides != nil:
		return &p.Spec.Overrides.Rules
	case p.Spec.Defaults != nil:
		return &p.Spec.Defaults.Rules
	}
	return p.Spec.Rules
}

// ValidationPolicySpec is what a ValidationPolicy asks for.
//
// +kubebuilder:validation:XValidation:rule="(has(self.rules) ? 1 : 0) + (has(self.defaults) ? 1 : 0) + (has(self.overrides) ? 1 : 0) == 1",message="set exactly one of rules, defaults and overrides"
type ValidationPolicySpec struct {
	PolicyTargets `json:",inline"`

	// rules is short for defaults with strategy Atomic.
	//
	// +optional
	Rules *ValidationRules `json:"rules,omitempty"`

	// defaults hold where no more specific ValidationPolicy says otherwise.
	//
	// +optional
	Defaults *ValidationSection `json:"defaults,omitempty"`

	// overrides hold whatever a more specific ValidationPolicy says.
	//
	// +optional
	Overrides *ValidationSection `json:"overrides,omitempty"`
}

// ValidationSection is a set of rules and the strategy by which they combine with those of more specific ValidationPolicies.
type ValidationSection struct {
	// strategy is Atomic (default: one policy's rules, whole) or Merge (check by check, by name).
	//
	// +optional
	// +kubebuilder:default=Atomic
	Strategy MergeStrategy `json:"strategy,omitempty"`

	// rules are the section's rules.
	//
	// +required
	Rules ValidationRules `json:"rules"`
}

// ValidationRules are checks by name. A request must pass each check that is meant for its method.
type ValidationRules struct {
	// when narrows the policy: all must be true for it to apply to a request.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// checks by name.
	//
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9_-]{0,62}$'))",message="a name must start with a letter and have at most 63 letters, digits, '-' and '_'"
	Checks map[string]ValidationCheck `json:"checks"`
}

// ValidationCheck is what requests of some methods must look like. Each field that is set is one demand.
//
// +kubebuilder:validation:XValidation:rule="has(self.maxBodyBytes) || has(self.contentTypes) || has(self.headers) || has(self.query) || has(self.jsonSchema)",message="the check demands nothing; set maxBodyBytes, contentTypes, headers, query or jsonSchema"
// +kubebuilder:validation:XValidation:rule="!has(self.jsonSchema) || !has(self.maxBodyBytes) || (type(self.maxBodyBytes) == string ? quantity(self.maxBodyBytes).compareTo(quantity('16Mi')) <= 0 : self.maxBodyBytes <= 16777216)",message="a body checked against jsonSchema is held in memory; set maxBodyBytes to 16Mi or less"
// +kubebuilder:validation:XValidation:rule="!has(self.maxBodyBytes) || (type(self.maxBodyBytes) == string ? quantity(self.maxBodyBytes).isGreaterThan(quantity('0')) : self.maxBodyBytes > 0)",message="maxBodyBytes must be 1 or more; write 1048576 or 1Mi"
type ValidationCheck struct {
	// methods the check is meant for. Empty: all.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Methods []gatewayv1.HTTPMethod `json:"methods,omitempty"`

	// maxBodyBytes is the largest body, in bytes: 1048576 or 1Mi; a fraction is rounded up. A larger body is answered 413.
	// Default: the gateway's own limit.
	//
	// +optional
	MaxBodyBytes *resource.Quantity `json:"maxBodyBytes,omitempty"`

	// contentTypes a body may have, without parameters: application/json. A request with a body of another type is answered 415.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+|\*)$`
	ContentTypes []string `json:"contentTypes,omitempty"`

	// headers that are demanded, or checked when they are there.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(p, p.name.matches('^[A-Za-z0-9!#$%&*+.^_|~-]+$'))",message="not a header name; it has letters, digits and '-' (RFC 9110, 5.6.2)"
	Headers []Parameter `json:"headers,omitempty"`

	// query parameters that are demanded, or checked when they are there.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Query []Parameter `json:"query,omitempty"`

	// jsonSchema that the body must satisfy. It is checked before the backend hears of the request; what is wrong is answered 422
	// with the JSON pointer of each fault.
	//
	// +optional
	JSONSchema *JSONSchemaSource `json:"jsonSchema,omitempty"`
}

// ParameterType is what the text of a parameter must read as.
//
// +kubebuilder:validation:Enum=string;integer;number;boolean
type ParameterType string

const (
	// ParameterString is any text. It is the default.
	ParameterString ParameterType = "string"
	// ParameterInteger is a whole decimal number of 64 bits.
	ParameterInteger ParameterType = "integer"
	// ParameterNumber is a decimal number as JSON writes it.
	ParameterNumber ParameterType = "number"
	// ParameterBoolean is true or false.
	ParameterBoolean ParameterType = "boolean"
)

// Parameter is what one header or query parameter must look like.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type == 'string' || !has(self.pattern)",message="pattern goes with type string; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="(has(self.type) && self.type in ['integer', 'number']) || !(has(self.minimum) || has(self.maximum))",message="minimum and maximum go with type integer or number; remove them or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",message="minimum is greater than maximum"
type Parameter struct {
	// name of the header (case does not count) or query parameter (case counts).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// required refuses a request without it.
	//
	// +optional
	Required bool `json:"required,omitempty"`

	// type its text must read as: string (default), integer, number or boolean.
	//
	// +optional
	// +kubebuilder:default=string
	Type ParameterType `json:"type,omitempty"`

	// pattern that the whole text must match, in RE2 syntax.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Pattern *string `json:"pattern,omitempty"`

	// enum lists the texts that are accepted.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Enum []string `json:"enum,omitempty"`

	// minimum of the number, itself included.
	//
	// +optional
	Minimum *int64 `json:"minimum,omitempty"`

	// maximum of the number, itself included.
	//
	// +optional
	Maximum *int64 `json:"maximum,omitempty"`
}

// JSONSchemaSource is a JSON Schema of draft 2020-12: written out or in a ConfigMap.
//
// +kubebuilder:validation:XValidation:rule="has(self.inline) != has(self.configMapRef)",message="set exactly one of inline and configMapRef"
type JSONSchemaSource struct {
	// inline is the schema itself.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	Inline *apiextensionsv1.JSON `json:"inline,omitempty"`

	// configMapRef names the ConfigMap key that holds the schema.
	//
	// +optional
	ConfigMapRef *ConfigMapKeyReference `json:"configMapRef,omitempty"`
}
