package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AuthPolicy says who may pass through the Gateways, listeners, routes or rules it targets: how a caller proves who they are, what
// they may do, and what the backend is told about them.
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
type AuthPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy asks for.
	//
	// +required
	Spec AuthPolicySpec `json:"spec"`

	// status says, per Gateway, whether the policy is accepted and programmed. The controller writes it.
	//
	// +optional
	Status gatewayv1.PolicyStatus `json:"status,omitempty"`
}

// AuthPolicyList is a list of AuthPolicies.
//
// +kubebuilder:object:root=true
type AuthPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AuthPolicy `json:"items"`
}

// GetTargetRefs returns what the policy applies to.
func (p *AuthPolicy) GetTargetRefs() []gatewayv1.LocalPolicyTargetReferenceWithSectionName {
	return p.Spec.TargetRefs
}

// GetMode returns the mode, Enforce where the object has none.
func (p *AuthPolicy) GetMode() Mode { return modeOr(p.Spec.Mode) }

// GetStatus returns the status, to be read or written in place.
func (p *AuthPolicy) GetStatus() *gatewayv1.PolicyStatus { return &p.Status }

// GetSection returns the precedence and strategy of the section that is set; bare rules are Atomic defaults.
func (p *AuthPolicy) GetSection() Section {
	switch {
	case p.Spec.Overrides != nil:
		return Section{PrecedenceOverrides, strategyOr(p.Spec.Overrides.Strategy)}
	case p.Spec.Defaults != nil:
		return Section{PrecedenceDefaults, strategyOr(p.Spec.Defaults.Strategy)}
	}
	return Section{PrecedenceDefaults, StrategyAtomic}
}

// GetRules returns the rules of the section that is set; nil when none is, which the schema refuses.
func (p *AuthPolicy) GetRules() *AuthRules {
	switch {
	case p.Spec.Overrides != nil:
		return &p.Spec.Overrides.Rules
	case p.Spec.Defaults != nil:
		return &p.Spec.Defaults.Rules
	}
	return p.Spec.Rules
}

// AuthPolicySpec is what an AuthPolicy asks for.
//
// +kubebuilder:validation:XValidation:rule="(has(self.rules) ? 1 : 0) + (has(self.defaults) ? 1 : 0) + (has(self.overrides) ? 1 : 0) <= 1",message="set only one of rules, defaults and overrides"
// +kubebuilder:validation:XValidation:rule="has(self.rules) || has(self.defaults) || has(self.overrides) || (has(self.requireAuth) && self.requireAuth)",message="set one of rules, defaults and overrides, or requireAuth"
// +kubebuilder:validation:XValidation:rule="!has(self.requireAuth) || !self.requireAuth || self.targetRefs.all(t, t.kind in ['Gateway', 'ListenerSet'])",message="requireAuth goes with targets of kind Gateway and ListenerSet; a route says by its rules what it asks for"
type AuthPolicySpec struct {
	PolicyTargets `json:",inline"`

	// requireAuth refuses to serve any rule below the Gateways, ListenerSets and listeners it targets unless an AuthPolicy asks its
	// callers who they are, or declares it public and says why. Whatever more specific policies say, it stands. Default: false.
	//
	// +optional
	RequireAuth *bool `json:"requireAuth,omitempty"`

	// rules is short for defaults with strategy Atomic.
	//
	// +optional
	Rules *AuthRules `json:"rules,omitempty"`

	// defaults hold where no more specific AuthPolicy says otherwise.
	//
	// +optional
	Defaults *AuthSection `json:"defaults,omitempty"`

	// overrides hold whatever a more specific AuthPolicy says.
	//
	// +optional
	Overrides *AuthSection `json:"overrides,omitempty"`
}

// AuthSection is a set of rules and the strategy by which they combine with those of more specific AuthPolicies.
type AuthSection struct {
	// strategy is Atomic (default: one policy's rules, whole) or Merge (rule by rule, by name).
	//
	// +optional
	// +kubebuilder:default=Atomic
	Strategy MergeStrategy `json:"strategy,omitempty"`

	// rules are the section's rules.
	//
	// +required
	Rules AuthRules `json:"rules"`
}

// AuthRules say who may pass. Rules without authentication let anybody on to authorization.
//
// +kubebuilder:validation:XValidation:rule="has(self.when) || has(self.authentication) || has(self.require) || has(self.metadata) || has(self.authorization) || has(self.response) || has(self.forwardCredentials) || has(self.public)",message="the rules are empty; name at least one authentication method or authorization rule"
// +kubebuilder:validation:XValidation:rule="!has(self.public) || !has(self.authentication)",message="public rules ask nobody who they are; remove authentication, or public"
type AuthRules struct {
	// when narrows the policy: all must be true for it to apply to a request.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// authentication names the ways a caller may prove who they are.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9_-]{0,62}$'))",message="a name must start with a letter and have at most 63 letters, digits, '-' and '_'"
	Authentication map[string]AuthenticationMethod `json:"authentication,omitempty"`

	// require is a boolean expression over the names of authentication, with &&, ||, ! and parentheses: "staff || partners".
	// Default: any one of them.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9_ ()!&|-]+$`
	Require string `json:"require,omitempty"`

	// metadata names facts that are fetched once it is known who calls, for expressions of what follows: metadata.NAME.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9_]{0,62}$'))",message="a name must start with a letter and have at most 63 letters, digits and '_', so that expressions can say metadata.NAME"
	Metadata map[string]MetadataStep `json:"metadata,omitempty"`

	// authorization names the conditions a caller must meet, all of them, once it is known who they are.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9_-]{0,62}$'))",message="a name must start with a letter and have at most 63 letters, digits, '-' and '_'"
	Authorization map[string]AuthorizationRule `json:"authorization,omitempty"`

	// response says what the backend is told about the caller, and what a refused caller is told.
	//
	// +optional
	Response *AuthResponse `json:"response,omitempty"`

	// public lets everybody on to authorization, whatever methods of authentication more general policies bring, and says why. It is
	// what requireAuth asks for of rules that need no credential.
	//
	// +optional
	Public *PublicAccess `json:"public,omitempty"`

	// forwardCredentials leaves the credential in the request to the backend. Default: it is removed.
	//
	// +optional
	ForwardCredentials *bool `json:"forwardCredentials,omitempty"`
}

// PublicAccess is an exception from authentication.
type PublicAccess struct {
	// reason the rules are open to everybody, for whoever reviews them.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason"`

	// expiresAt is when the exception ends: from then on what more general policies ask for is asked, and without any the rules are
	// closed. Default: never.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// AuthorizationRule is one condition: a CEL expression, a list of networks, lists of what claims must hold, the cluster's
// own authorization, a policy in Rego, or a service that is asked.
//
// +kubebuilder:validation:XValidation:rule="(has(self.cel) ? 1 : 0) + (has(self.cidrs) ? 1 : 0) + (has(self.claims) ? 1 : 0) + (has(self.kubernetes) ? 1 : 0) + (has(self.opa) ? 1 : 0) + (has(self.externalAuth) ? 1 : 0) == 1",message="set exactly one of cel, cidrs, claims, kubernetes, opa and externalAuth"
type AuthorizationRule struct {
	// when narrows the rule: all must be true for it to count.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	When []Expression `json:"when,omitempty"`

	// mode is Enforce (default), or Shadow: the rule is asked, and what it would have refused is counted and passes.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`

	// cel must be true. An expression that fails while it is evaluated refuses the request.
	//
	// +optional
	CEL *Expression `json:"cel,omitempty"`

	// cidrs must contain the caller's address.
	//
	// +optional
	CIDRs *CIDRRule `json:"cidrs,omitempty"`

	// claims must all hold for what is known of the caller: a token's claims, or an API key's scopes and plan.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Claims []ClaimCondition `json:"claims,omitempty"`

	// kubernetes asks the API server whether the caller may, by the cluster's RBAC; write {} to ask about the request's path and method.
	//
	// +optional
	Kubernetes *KubernetesAuthorization `json:"kubernetes,omitempty"`

	// opa evaluates a policy in Rego, in the gateway itself.
	//
	// +optional
	OPA *OPAAuthorization `json:"opa,omitempty"`

	// externalAuth asks a service. It is asked last, once every other rule has let the request pass.
	//
	// +optional
	ExternalAuth *ExternalAuth `json:"externalAuth,omitempty"`
}

// ClaimMatch says how many of the listed values a claim must hold.
//
// +kubebuilder:validation:Enum=Any;All;None
type ClaimMatch string

const (
	// ClaimMatchAny asks for one of the values. It is the default.
	ClaimMatchAny ClaimMatch = "Any"
	// ClaimMatchAll asks for each of them.
	ClaimMatchAll ClaimMatch = "All"
	// ClaimMatchNone asks for none of them; a claim that is missing has none.
	ClaimMatchNone ClaimMatch = "None"
)

// ClaimCondition asks for values of one claim. A claim that is a list holds each of its elements, scope each of its words; numbers and
// booleans are compared as JSON writes them.
type ClaimCondition struct {
	// claim by name; nested ones as realm_access.roles.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Claim string `json:"claim"`

	// match is Any (default), All or None.
	//
	// +optional
	// +kubebuilder:default=Any
	Match ClaimMatch `json:"match,omitempty"`

	// values the claim is compared with.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=512
	Values []string `json:"values"`
}

// CIDR is a network in CIDR form, IPv4 or IPv6.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="not a network in CIDR form; write 192.0.2.0/24, or 192.0.2.7/32 for one address"
type CIDR string

// CIDRRule decides by the caller's address: refused if in deny, else passed if in allow or if allow is empty.
//
// +kubebuilder:validation:XValidation:rule="(has(self.allow) && size(self.allow) > 0) || (has(self.deny) && size(self.deny) > 0)",message="name at least one network in allow or deny"
type CIDRRule struct {
	// allow lists the networks that may pass. Empty: all that deny does not name.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Allow []CIDR `json:"allow,omitempty"`

	// deny lists the networks that may not pass; it is stronger than allow.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Deny []CIDR `json:"deny,omitempty"`
}

// AuthResponse says what the backend and a refused caller are told.
type AuthResponse struct {
	// headers are set on the request to the backend; a header of the same name sent by the caller is removed, always.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Za-z0-9!#$%&*+.^_|~-]{1,64}$'))",message="a header name has 1 to 64 letters, digits and '-' (RFC 9110, 5.6.2)"
	// +kubebuilder:validation:XValidation:rule="self.all(name, !(name.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'proxy-connection']))",message="the gateway itself sets host, content-length and the connection's headers; choose another name"
	Headers map[string]ResponseHeader `json:"headers,omitempty"`

	// credentials are what the gateway says of itself to the backend, each in a header of its own. They are set last, whatever else has written to
	// their headers, and what the caller sent there is removed, always.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9_-]{0,62}$'))",message="a name must start with a letter and have at most 63 letters, digits, '-' and '_'"
	Credentials map[string]BackendCredential `json:"credentials,omitempty"`

	// unauthenticated replaces the answer to a caller who has not proved who they are. Default: 401 problem+json.
	//
	// +optional
	Unauthenticated *DenyResponse `json:"unauthenticated,omitempty"`

	// denied replaces the answer to a caller who may not do what they ask. Default: 403 problem+json.
	//
	// +optional
	Denied *DenyResponse `json:"denied,omitempty"`
}

// ResponseHeader is a header's value: computed or fixed.
//
// +kubebuilder:validation:XValidation:rule="has(self.cel) != has(self.value)",message="set exactly one of cel and value"
type ResponseHeader struct {
	// cel computes the value; a result that is null or missing removes the header.
	//
	// +optional
	CEL *Expression `json:"cel,omitempty"`

	// value is sent as it is.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[\x20-\x7e]*$`
	Value *string `json:"value,omitempty"`
}

// DenyResponse is an answer in place of the default problem+json.
type DenyResponse struct {
	// status code, 400 to 599. Default: that of the answer it replaces.
	//
	// +optional
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=599
	Status *int32 `json:"status,omitempty"`

	// body of the answer. Default: the problem+json document.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Body *string `json:"body,omitempty"`

	// contentType of body. Default: text/plain; charset=utf-8.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[\x20-\x7e]+$`
	ContentType *string `json:"contentType,omitempty"`
}
