package v1alpha1

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// What every policy kind has, whatever it decides: targets, a mode, a section with a strategy, a status. Each kind has the methods
// GetTargetRefs, GetMode, GetSection and GetStatus, so that attachment, merging, provenance and status are written once.

// Mode says whether a policy acts on what it decides.
//
// +kubebuilder:validation:Enum=Enforce;Shadow
type Mode string

const (
	// ModeEnforce refuses what the policy refuses. It is the default.
	ModeEnforce Mode = "Enforce"
	// ModeShadow evaluates, counts and samples, and never refuses.
	ModeShadow Mode = "Shadow"
)

// MergeStrategy says how the rules of two policies on one path combine (GEP-713, "Merge strategies").
//
// +kubebuilder:validation:Enum=Atomic;Merge
type MergeStrategy string

const (
	// StrategyAtomic takes the rules of one policy whole. It is the default.
	StrategyAtomic MergeStrategy = "Atomic"
	// StrategyMerge combines rule by rule, by name.
	StrategyMerge MergeStrategy = "Merge"
)

// Precedence says who wins between a policy and a more specific one (GEP-713, "Hierarchy of effective policies").
type Precedence string

const (
	// PrecedenceDefaults lets the more specific policy win.
	PrecedenceDefaults Precedence = "Defaults"
	// PrecedenceOverrides lets the less specific policy win.
	PrecedenceOverrides Precedence = "Overrides"
)

// Section is what a policy says about its own place in a hierarchy: which of its sections is set, and that section's strategy.
type Section struct {
	Precedence Precedence    `json:"precedence"`
	Strategy   MergeStrategy `json:"strategy"`
}

// PolicyTargets is the head of every policy's spec: what it applies to, and whether it acts.
type PolicyTargets struct {
	// targetRefs names the objects this policy applies to, in the policy's own namespace: a Gateway or ListenerSet (sectionName is
	// a listener's name), an HTTPRoute or GRPCRoute (sectionName is a rule's name), or an Ingress (group networking.k8s.io).
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.group == 'gateway.networking.k8s.io' && r.kind in ['Gateway', 'ListenerSet', 'HTTPRoute', 'GRPCRoute'] || r.group == 'networking.k8s.io' && r.kind == 'Ingress' && !has(r.sectionName))",message="a target must be a Gateway, ListenerSet, HTTPRoute or GRPCRoute of group gateway.networking.k8s.io, or an Ingress of group networking.k8s.io without sectionName"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.group == b.group && a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="the same target is named twice; remove one, or give each its own sectionName"
	TargetRefs []gatewayv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// mode is Enforce (default), or Shadow: evaluate, count and sample, but never refuse a request.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`
}

// Expression is a CEL expression. It sees the variables request, source, auth, route and context, and where facts are fetched first
// metadata.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type Expression string

// SecretReference names a Secret, in the policy's namespace unless it says otherwise.
type SecretReference struct {
	// name of the Secret.
	//
	// +required
	Name gatewayv1.ObjectName `json:"name"`

	// namespace of the Secret, where a ReferenceGrant must let AuthPolicies of the policy's namespace use it. Default: the policy's own.
	//
	// +optional
	Namespace *gatewayv1.Namespace `json:"namespace,omitempty"`
}

// ConfigMapKeyReference names one key of a ConfigMap in the policy's namespace.
type ConfigMapKeyReference struct {
	// name of the ConfigMap.
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

// modeOr gives the mode its default, for objects that met no API server.
func modeOr(m Mode) Mode {
	if m == "" {
		return ModeEnforce
	}
	return m
}

// strategyOr gives the strategy its default, for objects that met no API server.
func strategyOr(s MergeStrategy) MergeStrategy {
	if s == "" {
		return StrategyAtomic
	}
	return s
}
