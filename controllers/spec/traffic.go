package spec

import (
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// Traffic is what an XBackendTrafficPolicy says of the Services it targets.
type Traffic struct {
	Retries *RetryBudget // nil: not bounded
	Session *Session     // nil: none, but for what rules say
}

// RetryBudget bounds the retries of a Service (GEP-3388): they may be Percent of
// the requests within Interval, and no fewer than Least within LeastInterval.
type RetryBudget struct {
	Percent       int
	Interval      time.Duration
	Least         int
	LeastInterval time.Duration
}

// The defaults and limits of the XBackendTrafficPolicy schema.
const (
	defaultPercent       = 20
	defaultInterval      = 10 * time.Second
	defaultLeast         = 10
	defaultLeastInterval = time.Second
	maxLeast             = 1_000_000
	longestInterval      = time.Hour
)

// BackendTraffic reads a policy, or says why it cannot be used.
func BackendTraffic(p *gatewayxv1alpha1.XBackendTrafficPolicy) (*Traffic, *Problem) {
	out := &Traffic{}
	var problem *Problem
	if out.Session, problem = readSession(p.Spec.SessionPersistence, "spec.sessionPersistence"); problem != nil {
		return nil, &Problem{string(gatewayv1.PolicyReasonInvalid), problem.Text}
	}
	if p.Spec.RetryConstraint == nil {
		return out, nil
	}
	if out.Retries, problem = retryBudget(p.Spec.RetryConstraint); problem != nil {
		return nil, &Problem{string(gatewayv1.PolicyReasonInvalid), problem.Text}
	}
	return out, nil
}

func retryBudget(in *gatewayxv1alpha1.RetryConstraint) (*RetryBudget, *Problem) {
	out := &RetryBudget{defaultPercent, defaultInterval, defaultLeast, defaultLeastInterval}
	const budget, least = "spec.retryConstraint.budget", "spec.retryConstraint.minRetryRate"
	var problem *Problem
	if b := in.Budget; b != nil {
		if b.Percent != nil {
			out.Percent = *b.Percent
		}
		if out.Interval, problem = within(b.Interval, out.Interval, time.Second, budget+".interval"); problem != nil {
			return nil, problem
		}
	}
	if r := in.MinRetryRate; r != nil {
		if r.Count != nil {
			out.Least = *r.Count
		}
		if out.LeastInterval, problem = within(r.Interval, out.LeastInterval, time.Millisecond, least+".interval"); problem != nil {
			return nil, problem
		}
	}
	switch {
	case out.Percent < 0 || out.Percent > 100:
		return nil, Problemf(gatewayv1.PolicyReasonInvalid, "%s.percent: %d is not between 0 and 100", budget, out.Percent)
	case out.Least < 1 || out.Least > maxLeast:
		return nil, Problemf(gatewayv1.PolicyReasonInvalid, "%s.count: %d is not between 1 and %d", least, out.Least, maxLeast)
	}
	return out, nil
}

// within reads an interval, which is no shorter than shortest and no longer than an hour.
func within(d *gatewayv1.Duration, otherwise, shortest time.Duration, field string) (time.Duration, *Problem) {
	if d == nil {
		return otherwise, nil
	}
	parsed, problem := Duration(d, field)
	if problem == nil && (parsed < shortest || parsed > longestInterval) {
		problem = Problemf(gatewayv1.PolicyReasonInvalid, "%s: %s is not between %s and %s", field, *d, shortest, longestInterval)
	}
	return parsed, problem
}

// TargetsService says whether a policy targets a Service of its namespace.
func TargetsService(p *gatewayxv1alpha1.XBackendTrafficPolicy, service string) bool {
	return slices.ContainsFunc(p.Spec.TargetRefs, func(ref gatewayxv1alpha1.LocalPolicyTargetReference) bool {
		return ref.Group == "" && ref.Kind == "Service" && string(ref.Name) == service
	})
}
