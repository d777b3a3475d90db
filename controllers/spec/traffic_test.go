package spec

import (
	"strings"
	"testing"
	"time"

	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/yaml"
)

func TestBackendTraffic(t *testing.T) {
	read := func(spec string) (*Traffic, *Problem) {
		t.Helper()
		var p gatewayxv1alpha1.XBackendTrafficPolicy
		if err := yaml.UnmarshalStrict([]byte("spec: {"+spec+"}"), &p); err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		return BackendTraffic(&p)
	}
	is := func(spec string, want RetryBudget) {
		t.Helper()
		if got, p := read(spec); p != nil || got.Retries == nil || *got.Retries != want {
			t.Errorf("%s: %+v, %v", spec, got, p)
		}
	}
	is("retryConstraint: {}", RetryBudget{20, 10 * time.Second, 10, time.Second})
	is("retryConstraint: {budget: {percent: 0}, minRetryRate: {count: 3}}", RetryBudget{0, 10 * time.Second, 3, time.Second})
	is("retryConstraint: {budget: {interval: 1h}, minRetryRate: {interval: 500ms}}", RetryBudget{20, time.Hour, 10, 500 * time.Millisecond})
	fails := func(spec, words string) {
		t.Helper()
		if _, p := read(spec); p == nil || p.Reason != "Invalid" || !strings.Contains(p.Text, words) {
			t.Errorf("%s: %v, want %s", spec, p, words)
		}
	}
	fails("retryConstraint: {budget: {percent: 101}}", "spec.retryConstraint.budget.percent: 101 is not between 0 and 100")
	fails("retryConstraint: {budget: {interval: 500ms}}", "spec.retryConstraint.budget.interval: 500ms is not between 1s and 1h0m0s")
	fails("retryConstraint: {minRetryRate: {interval: 0s}}", "spec.retryConstraint.minRetryRate.interval: 0s is not between")
	fails("retryConstraint: {minRetryRate: {count: 0}}", "spec.retryConstraint.minRetryRate.count: 0 is not between 1 and")
	fails("retryConstraint: {budget: {interval: often}}", `spec.retryConstraint.budget.interval: "often" is not a duration`)
	fails("sessionPersistence: {type: Other}", `spec.sessionPersistence.type: "Other" is not supported`)
	if got, p := read("sessionPersistence: {sessionName: id}"); p != nil || got.Session == nil || got.Session.Name != "id" || got.Retries != nil {
		t.Errorf("%+v, %v", got, p)
	}
}
