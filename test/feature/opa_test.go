package feature

import (
	"strings"
	"testing"
)

const regoPolicy = `
apiVersion: v1
kind: ConfigMap
metadata: {name: rego, namespace: shop}
data:
  teams.yaml: |
    teams: {ops: [ann]}
  policy.rego: |
    package orders
    default allow := {"allow": false, "reason": "orders are for the team ops"}
    allow := {"allow": true} if input.auth.subject in data.teams.ops
    allow := {"allow": true} if {
      input.request.method == "GET"
      input.request.query.page == "1"
      input.source.address == "127.0.0.1"
    }
---
`

// A policy in Rego decides, in process.
func TestOPA(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	const jwt = `authentication: {staff: {jwt: {issuer: ISSUER, audiences: [shop], jwks: {uri: ISSUER/keys}}}}`
	rules := func(opa, more string) string {
		return strings.ReplaceAll("rules: {"+jwt+", authorization: {rego: {opa: {"+opa+"}}}"+more+"}", "ISSUER", issuer.URL())
	}
	const fromMap = "configMapRef: {name: rego, key: policy.rego}, dataRef: {name: rego, key: teams.yaml}"
	paths := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, `{name: `+n+`, matches: [{path: {value: /`+n+`}}], `+toAPI[1:])
		}
		return out
	}
	w := Start(t, Base+regoPolicy+Route("r", paths("map", "inline", "slow", "fails", "bad", "own", "open")...)+
		Auth("map", "HTTPRoute/r/map", rules(fromMap, ""))+
		Auth("own", "HTTPRoute/r/own", rules(fromMap, ", response: {denied: {status: 404, body: none}}"))+
		Auth("inline", "HTTPRoute/r/inline", rules(`policy: "package shop\nallow if input.request.path == \"/inline/a\""`, ""))+
		Auth("slow", "HTTPRoute/r/slow", rules(`policy: "package shop\nallow if { some i in numbers.range(1, 1000000000); i < 0 }"`, ""))+
		Auth("fails", "HTTPRoute/r/fails", rules(`policy: "package shop\nallow if not to_number(input.request.path)"`, ""))+
		Auth("bad", "HTTPRoute/r/bad", rules(`policy: "package shop\nallow if http.send({}).ok"`, "")))
	check := func(path, subject string, status int, code string) Answer {
		t.Helper()
		a := w.Do("GET http://a.example"+path, "Authorization: Bearer "+issuer.Token(`"sub":"`+subject+`"`))
		if a.Status != status || code != "" && a.Code() != code {
			t.Errorf("%s for %s: %d %s", path, subject, a.Status, a.Body)
		}
		return a
	}
	w.Until("the key set is there", func() bool {
		return w.Do("GET http://a.example/map", "Authorization: Bearer "+issuer.Token()).Status == 200
	})
	check("/map", "ann", 200, "")
	if a := check("/map", "eve", 403, "forbidden_by_rego"); !strings.Contains(a.Body, `"detail":"orders are for the team ops"`) {
		t.Errorf("a reason: %s", a.Body)
	}
	check("/map?page=1", "eve", 200, "")
	check("/map?page=1&page=2", "eve", 403, "rule_error")
	if a := check("/own", "eve", 404, ""); a.Body != "none" {
		t.Errorf("an answer of the policy's own: %s", a.Body)
	}
	check("/inline/a", "eve", 200, "")
	check("/inline/b", "eve", 403, "forbidden_by_rego")
	check("/slow", "eve", 403, "rego_timeout")
	check("/fails", "eve", 403, "rule_error")
	check("/bad", "eve", 500, "policy_invalid")
	check("/open", "eve", 200, "")
	if a := w.Do("GET http://a.example/map"); a.Status != 401 {
		t.Errorf("without a token: %d", a.Status)
	}

	// Data that changes counts at once; a policy that no longer compiles closes what it guards.
	w.Apply(strings.Replace(regoPolicy, "[ann]", "[eve]", 1))
	check("/map", "eve", 200, "")
	check("/map", "ann", 403, "forbidden_by_rego")
	w.Apply(strings.Replace(regoPolicy, "default allow :=", "default allow ==", 1))
	if a := check("/map", "eve", 503, "auth_unavailable"); a.Header.Get("Retry-After") == "" {
		t.Errorf("a broken ConfigMap: %v", a.Header)
	}
	check("/inline/a", "eve", 200, "")
	w.Apply(regoPolicy)
	check("/map", "ann", 200, "")
}
