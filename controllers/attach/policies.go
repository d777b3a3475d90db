// Package attach attaches policies to the routes of a Graph: which policy reaches
// which rule, what those that meet there make together, and what each policy's
// status must say about it.
//
// The pipeline calls Builder.Build with every new Graph; compile and status take
// its Policies beside the Graph. It calls store for the policies and what they
// refer to, and policy for how policies stand and merge (GEP-713). Like graph it
// is pure, and what did not change is the same pointer as in the Policies before.
//
// Nothing edits Policies after they are built.
package attach

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// Policies is everything one build found about the policies of a Graph. Slices
// are sorted by kind, namespace, then name, those on Services behind the others, so
// that equal inputs print equally.
type Policies struct {
	Externals []*External // XBackends that routes lead to, and those whose status has entries of ours to lose
	All       []*Policy   // with at least one targetRef that leads to a Gateway of ours, or to nothing
	// Routes has what reaches the rules of each route of the Graph. A route that no
	// policy reaches is not in it.
	Routes map[*graph.Route]*RoutePolicies
	// Affected says which policies reach an object, for its
	// gatehouse.dev/<Kind>Affected condition.
	Affected map[TargetKey][]PolicyKey
	// Unguarded names the routes that have rules which are not served because a
	// policy demands authentication and none asks for any, and that policy.
	Unguarded map[TargetKey]PolicyKey
	// Unreported names the policies that reach a Gateway and whose status has no
	// room left to say so; the Gateway says it (GEP-713).
	Unreported map[types.NamespacedName][]PolicyKey
	// Stale names the policies that are not in All, but whose status still has
	// entries of ours, to be removed.
	Stale []PolicyKey
}

// RoutePolicies is what reaches the rules of one route, wherever it is attached.
type RoutePolicies struct {
	at map[*graph.Attachment][]*RulePolicies
}

// Rule returns what reaches a rule of the route on the path by one of its
// attachments; nil for nothing.
func (p *RoutePolicies) Rule(at *graph.Attachment, index int) *RulePolicies {
	if p == nil {
		return nil
	}
	if rules := p.at[at]; index < len(rules) {
		return rules[index]
	}
	return nil
}

// PolicyKey names a policy of any kind.
type PolicyKey struct {
	Kind string
	types.NamespacedName
}

// TargetKey names an object, or a section of one, that policies reach.
type TargetKey struct {
	Kind string
	types.NamespacedName
	Section gatewayv1.SectionName
}

// Policy is an AuthPolicy, a ValidationPolicy, a BackendTLSPolicy or an XBackendTrafficPolicy.
type Policy struct {
	Key        PolicyKey
	Generation int64
	Object     any              // *v1alpha1.AuthPolicy, *v1alpha1.ValidationPolicy or *gatewayv1.BackendTLSPolicy
	Ancestors  []*Ancestor      // one per Gateway it reaches, or would reach
	Resolved   map[string]Parts // what the references of each named item resolved to
}

// AuthRules are the rules of an AuthPolicy; empty ones of what has none.
func (p *Policy) AuthRules() *v1alpha1.AuthRules {
	if object, ok := p.Object.(*v1alpha1.AuthPolicy); ok && object.GetRules() != nil {
		return object.GetRules()
	}
	return &v1alpha1.AuthRules{}
}

// Ancestor is what became of a policy under one Gateway (GEP-713).
type Ancestor struct {
	Gateway    types.NamespacedName
	Missing    TargetKey          // set instead of Gateway: a target that leads nowhere is its own ancestor
	Conditions []metav1.Condition // Accepted, and Programmed when accepted; of a BackendTLSPolicy ResolvedRefs
}

// Parts is what the references of one item of a policy resolved to.
type Parts struct {
	Secrets []*corev1.Secret // API keys, the one htpasswd, or a login's: its client's, its session store's
	Config  *corev1.ConfigMap
	Data    *corev1.ConfigMap    // beside Config, of an opa rule
	Service *corev1.Service      // that is asked
	TLS     *backendtls.Settings // how the Service is reached; nil: in clear text
	Broken  string               // why it cannot be used now: fail closed with 503

	Forbidden bool // no ReferenceGrant allows a reference; Broken says which it takes
}

// RulePolicies is the effective policies of one rule on one path. A nil entry
// means that no policy of that kind reaches it.
type RulePolicies struct {
	Auth, ShadowAuth             *Effective
	Validation, ShadowValidation *Effective
	Unguarded                    *Policy // set: it demands authentication, and Auth asks for none; the rule is not served
}

// Effective is the policies of one kind on a path, merged. Every item keeps the
// policy it came from.
type Effective struct {
	Items  []Item  // by Name
	Closed *Closed // set: a policy that would apply is broken
	Waived bool    // its requirement is met by who presents nothing
}

// Item is one named part of an effective policy.
type Item struct {
	Name string  // "authentication/staff", "require", "check/body"
	From *Policy // without Ancestors, which depend on everything
}

// Closed says that a broken policy closes a rule, and which.
type Closed struct {
	Policy PolicyKey
	Reason string
}
