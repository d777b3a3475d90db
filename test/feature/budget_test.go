package feature

import (
	"fmt"
	"strings"
	"testing"
)

// Traffic is an XBackendTrafficPolicy "shop/<name>" for a Service, with the rest of
// the spec in YAML's flow form.
func Traffic(name, service, spec string) string {
	return fmt.Sprintf("apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata: {name: %s, namespace: shop, creationTimestamp: \"2026-01-%02dT00:00:00Z\"}\n"+
		"spec: {targetRefs: [{group: \"\", kind: Service, name: %s}], %s}\n---\n", name, 1+(name[0]-'a')%26, service, spec)
}

// Over its budget a Service gets no retries: the callers of those get a 503.
func TestRetryBudgets(t *testing.T) {
	const retrying = `retry: {codes: [500], attempts: 1, backoff: 1ms}, backendRefs: [{name: api, port: 80}]`
	w := Start(t, Base+Route("r", `{matches: [{path: {value: /a}}], `+retrying+`}`)+Route("s", `{matches: [{path: {value: /b}}], `+retrying+`}`)+
		Traffic("a", "api", `retryConstraint: {budget: {percent: 0, interval: 1h}, minRetryRate: {count: 5, interval: 1h}}`))
	client := w.Client("")
	w.Backend("shop/api").Answer(status(500))
	count := func(path string, n int) (failed, over int) {
		t.Helper()
		for range n {
			switch a := w.Over(client, "GET http://a"+path, ""); {
			case a.Status == 500:
				failed++
			case a.Status == 503 && a.Code() == "retry_budget_exceeded":
				over++
			default:
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		return failed, over
	}
	if failed, over := count("/a", 8); failed != 5 || over != 3 {
		t.Errorf("%d requests were tried again, %d were over budget", failed, over)
	}
	if n := w.Backend("shop/api").Asked(); n != 13 {
		t.Errorf("the backend was asked %d times", n)
	}
	// It is the Service's, whatever route leads there, and outlives tables.
	w.Apply(Service("more") + Route("t", `{matches: [{path: {value: /more}}], backendRefs: [{name: more, port: 80}]}`))
	if failed, over := count("/b", 4); failed != 0 || over != 4 {
		t.Errorf("on another route %d requests were tried again, %d were over budget", failed, over)
	}
	// What does not fail, or is not to be tried again, gets what the backend says.
	w.Backend("shop/api").Answer(status(404))
	if a := w.Over(client, "GET http://a/a", ""); a.Status != 404 {
		t.Errorf("%d", a.Status)
	}
	// An older policy stands; without any there is no budget.
	w.Backend("shop/api").Answer(status(500))
	w.Apply(Traffic("b", "api", `retryConstraint: {budget: {percent: 100, interval: 1h}}`))
	if _, over := count("/a", 2); over != 2 {
		t.Error("the younger policy has taken over")
	}
	w.Delete(Traffic("a", "api", "retryConstraint: {}"))
	if failed, over := count("/a", 30); failed != 30 || over != 0 {
		t.Errorf("within the budget %d requests were tried again, %d were over", failed, over)
	}
	w.Delete(Traffic("b", "api", "retryConstraint: {}"))
	if failed, _ := count("/a", 30); failed != 30 {
		t.Errorf("without a budget %d requests were tried again", failed)
	}
}

// A fifth of the requests may be retries.
func TestRetryBudgetShare(t *testing.T) {
	w := Start(t, Base+Route("r", `{retry: {codes: [500], attempts: 1, backoff: 1ms}, backendRefs: [{name: api, port: 80}]}`)+
		Traffic("a", "api", `retryConstraint: {budget: {percent: 20, interval: 1h}, minRetryRate: {count: 1, interval: 1h}}`))
	client := w.Client("")
	w.Backend("shop/api").Answer(status(200))
	for range 80 {
		w.Over(client, "GET http://a/", "")
	}
	w.Backend("shop/api").Answer(status(500))
	failed := 0
	for range 40 {
		if a := w.Over(client, "GET http://a/", ""); a.Status == 500 {
			failed++
		}
	}
	// Of 120 requests and 30 retries a fifth are retries.
	if failed != 30 {
		t.Errorf("%d requests were tried again, want 30", failed)
	}
}

// A policy keeps the sessions of every rule that leads to its Service, each by itself.
func TestSessionPolicies(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("plain"))
	w.startPods("cart", 4)
	w.Apply(Route("r",
		`{matches: [{path: {value: /a}}], backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /b}}], backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /own}}], sessionPersistence: {type: Header, sessionName: X-Own}, backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /split}}], backendRefs: [{name: cart, port: 80}, {name: plain, port: 80, weight: 3}]}`) +
		Traffic("a", "cart", `sessionPersistence: {sessionName: id}`))
	client := w.Client("")
	v := &visitor{w, client, nil, "GET http://a/a"}
	pod, first := v.meet(t)
	v.stays(t, pod)
	other := &visitor{w, client, v.fields, "GET http://a/b"}
	_, second := other.meet(t)
	nameOf := func(cookie string) string { name, _, _ := strings.Cut(cookie, "="); return name }
	if a, b := nameOf(first), nameOf(second); a == b || !strings.HasPrefix(a, "id-") || strings.Contains(first, "Path=") {
		t.Errorf("the rules have cookies %q and %q", first, second)
	}
	if a := w.Over(client, "GET http://a/own", ""); a.Header.Get("X-Own") == "" || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("the rule's session is not before the policy's: %v", a.Header)
	}
	// Beside a backend without sessions: who has one stays.
	v = &visitor{w, client, nil, "GET http://a/split"}
	for tries := 0; ; tries++ {
		var cookie string
		if pod, cookie = v.ask(t); cookie != "" {
			pair, _, _ := strings.Cut(cookie, ";")
			v.fields = []string{"Cookie: " + pair}
			break
		}
		if tries == 200 {
			t.Fatal("no session began")
		}
	}
	v.stays(t, pod)
}
