package graph

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// outcome is what became of the rules of a route, and what its parents' statuses
// say of that.
type outcome struct {
	rules    []*Rule
	refused  *spec.Problem // every rule is broken
	dropped  *spec.Problem // some are
	resolved metav1.Condition
}

// resolveRules resolves each rule by itself: a broken one leaves the others be.
func resolveRules(r *store.Reader, route *gatewayv1.HTTPRoute) outcome {
	var o outcome
	var broken, unresolved []*spec.Problem
	for i, read := range spec.Rules(route) {
		rule := &Rule{Index: i, Matches: read.Matches, Filters: read.Spec.Filters, Request: read.Request, Backend: read.Backend, Retry: read.Retry, Session: read.Session}
		if read.Spec.Name != nil {
			rule.Name = string(*read.Spec.Name)
		}
		if read.Broken != nil {
			rule.Broken = read.Broken.Text
			broken = append(broken, read.Broken)
		}
		unresolved = append(unresolved, read.Unknown...)
		var bad []*spec.Problem
		rule.Asides, bad = resolveAsides(r, route, rule.Filters, fmt.Sprintf("spec.rules[%d].filters", i))
		unresolved = append(unresolved, bad...)
		for j := range read.Spec.BackendRefs {
			field := refField(route, rule, j)
			backend, p := resolveBackend(r, route, &read.Spec.BackendRefs[j], field)
			if p != nil {
				unresolved = append(unresolved, p)
			}
			backend.Asides, bad = resolveAsides(r, route, backend.Filters, field+".filters")
			unresolved = append(unresolved, bad...)
			rule.Backends = append(rule.Backends, backend)
		}
		o.rules = append(o.rules, rule)
	}
	switch all := spec.Sentences(slices.Compact(broken)); {
	case all == nil:
	case len(broken) == len(o.rules):
		o.refused = all
	default:
		o.dropped = &spec.Problem{Reason: all.Reason, Text: "Dropped Rule: " + all.Text + "; its requests get 500"}
	}
	o.resolved = yes(gatewayv1.RouteConditionResolvedRefs, gatewayv1.RouteReasonResolvedRefs, "all references are resolved")
	if all := spec.Sentences(unresolved); all != nil {
		o.resolved = no(gatewayv1.RouteConditionResolvedRefs, all.Reason, all.Text)
	}
	return o
}
