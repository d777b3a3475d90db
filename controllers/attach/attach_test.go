package attach

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// strict finds fault with everything that holds the word bad.
func strict() Checks {
	judge := func(text string) error {
		if strings.Contains(text, "bad") {
			return errors.New("it is bad; write good")
		}
		return nil
	}
	document := func(b []byte) error { return judge(string(b)) }
	return Checks{
		Condition: judge, Value: judge, Schema: document, KeySet: document, Password: judge,
		Facts: func(cel string) (names []string, more bool) {
			if name, is := strings.CutPrefix(cel, "metadata."); is {
				names = append(names, name)
			}
			return names, false
		},
		Require: func(expr string, methods []string) error {
			for _, word := range strings.Fields(expr) {
				if word != "&&" && !strings.Contains(" "+strings.Join(methods, " ")+" ", " "+word+" ") {
					return fmt.Errorf("there is no method %s", word)
				}
			}
			return judge(expr)
		},
	}
}

func policyYAML(kind, name, spec string) string {
	return "\n---\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n" +
		"  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n  " + spec + "\n"
}

// policyCluster is a Gateway with one route that policies can be put on.
func policyCluster(t *testing.T) string {
	return class + gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]") + `
---
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: web}], rules: [{}]}
`
}

func newGraphs() *graph.Builder { return graph.NewBuilder(graph.Config{Controller: controller}) }

func buildStrict(s *store.Store) (*graph.Graph, *Policies) {
	g := newGraphs().Build(s)
	return g, NewBuilder(Config{Controller: controller, Checks: strict()}).Build(s, g)
}

// rule is what reaches the first rule of the first route by its first attachment.
func rule(g *graph.Graph, p *Policies) *RulePolicies {
	return p.Routes[g.Routes[0]].Rule(g.Routes[0].Parents[0].Attached[0], 0)
}

// Each fault of a spec is refused by the field it stands in.
func TestPolicyFaults(t *testing.T) {
	refused := func(kind, spec string, want ...string) {
		t.Helper()
		g, p := buildStrict(load(t, policyCluster(t)+policyYAML(kind, "p", spec)))
		if len(p.All) != 1 || len(p.All[0].Ancestors) != 1 {
			t.Fatalf("%s: %d policies", spec, len(p.All))
		}
		c := p.All[0].Ancestors[0].Conditions
		if got, want := c[0].Message, strings.Join(want, "; ")+"; rules it would cover answer 500"; len(c) != 1 || c[0].Reason != "Invalid" || got != want {
			t.Errorf("%s\n got %s %q\nwant %q", spec, c[0].Reason, got, want)
		}
		at := rule(g, p)
		e := at.Auth
		if kind == v1alpha1.KindValidationPolicy {
			e = at.Validation
		}
		if e == nil || e.Closed == nil {
			t.Errorf("%s: the rule is not closed", spec)
		}
	}
	auth := func(rules string, want ...string) {
		t.Helper()
		refused(v1alpha1.KindAuthPolicy, "rules: "+rules, want...)
	}
	const one = "spec.rules.authentication.a"
	refused(v1alpha1.KindAuthPolicy, "mode: Enforce", "spec: 0 of rules, defaults and overrides are set; set exactly one")
	refused(v1alpha1.KindAuthPolicy, "rules: {forwardCredentials: true}\n  defaults: {rules: {forwardCredentials: true}}",
		"spec: 2 of rules, defaults and overrides are set; set exactly one")
	auth(`{when: [good, bad]}`, "spec.rules.when[1]: it is bad; write good")
	refused(v1alpha1.KindAuthPolicy, "overrides: {rules: {when: [bad]}}", "spec.overrides.rules.when[0]: it is bad; write good")
	refused(v1alpha1.KindAuthPolicy, "defaults: {rules: {when: [bad]}}", "spec.defaults.rules.when[0]: it is bad; write good")
	auth(`{authentication: {a: {}}}`, one+": 0 methods are set; set exactly one of jwt, apiKey, basic, clientCertificate, oidc, introspection, kubernetes, hmac and anonymous")
	auth(`{authentication: {a: {anonymous: {}, when: [bad]}}}`, one+".when[0]: it is bad; write good")
	auth(`{authentication: {a: {jwt: {issuer: "https://i.example"}}}}`,
		one+".jwt: list the accepted audiences, or write audienceCheck: None to accept a token meant for any")
	auth(`{authentication: {a: {jwt: {issuer: i, audiences: [x], leeway: 6m}}}}`, one+`.jwt.leeway: "6m" is not a duration of at most 5m`,
		one+`.jwt.issuer: "i" is not an absolute http or https URL; keys are discovered from it; or set jwks`)
	auth(`{authentication: {a: {jwt: {issuer: i, audiences: [x], jwks: {uri: "ftp://x"}}}}}`,
		one+`.jwt.jwks.uri: "ftp://x" is not an absolute http or https URL; keys are fetched from it`)
	auth(`{authentication: {a: {jwt: {issuer: i, audiences: [x], jwks: {}}}}}`, one+".jwt.jwks: set exactly one of uri, backendRef, inline and configMapRef")
	auth(`{authentication: {a: {jwt: {issuer: i, audiences: [x], jwks: {inline: {bad: 1}}}}}}`, one+".jwt.jwks.inline: it is bad; write good")
	auth(`{authentication: {a: {apiKey: {selector: {}}}}}`,
		one+".apiKey.selector: an empty selector would take every Secret of the namespace; name at least one label")
	auth(`{authentication: {a: {anonymous: {}}}, require: "a && && bad"}`, "spec.rules.require: it is bad; write good")
	auth(`{authorization: {a: {cel: bad}}}`, "spec.rules.authorization.a.cel: it is bad; write good")
	auth(`{authorization: {a: {when: [bad], cidrs: {}}}}`, "spec.rules.authorization.a.when[0]: it is bad; write good",
		"spec.rules.authorization.a.cidrs: name at least one network in allow or deny")
	certificate := func(match, want string) {
		t.Helper()
		auth(`{authentication: {a: {clientCertificate: {match: [`+match+`]}}}}`, one+".clientCertificate.match[0]"+want)
	}
	certificate(`{}`, ": set at least one of san, subject, commonName and spkiSHA256")
	certificate(`{spkiSHA256: abcd}`, ".spkiSHA256: it is not a SHA-256 in base64 or hexadecimal")
	certificate(`{san: {type: Other, value: a}}`, `.san.type: "Other" is none of DNS, URI, Email and IP`)
	certificate(`{san: {type: IP, value: a}}`, `.san.value: "a" is not an address such as 192.0.2.7`)
	certificate(`{san: {type: Email, value: a}}`, `.san.value: "a" is not an e-mail address`)
	certificate(`{san: {type: URI, value: "spiffe://*"}}`, `.san.value: "spiffe://*" is not a URI, nor the beginning of one as spiffe://shop.example/*`)
	certificate(`{san: {type: DNS, value: "a.*"}}`,
		`.san.value: "a.*": a * stands for the first label of a DNS name (*.shop.example) or for the rest of a URI's path (spiffe://shop.example/*), and nowhere else`)
	auth(`{authorization: {a: {}}}`, "spec.rules.authorization.a: 0 conditions are set; set exactly one of cel, cidrs, claims, kubernetes, opa and externalAuth")
	auth(`{authorization: {a: {cidrs: {allow: [192.0.2.0/24, 192.0.2.1]}}}}`, "spec.rules.authorization.a.cidrs.allow[1]: "+
		`"192.0.2.1" is not a network in CIDR form; write 192.0.2.0/24, or 192.0.2.7/32 for one address`)
	auth(`{response: {headers: {x: {cel: bad}, z: {}}}}`, "spec.rules.response.headers.x.cel: it is bad; write good",
		"spec.rules.response.headers.z: set exactly one of cel and value")

	check := func(check, want string) {
		t.Helper()
		refused(v1alpha1.KindValidationPolicy, "rules: {checks: {c: {"+check+"}}}", "spec.rules.checks.c."+want)
	}
	check("maxBodyBytes: 0", "maxBodyBytes: 0 is not a whole number of bytes of 1 or more; write 1048576 or 1Mi")
	check("headers: [{name: a, pattern: '('}]", "headers[0].pattern: error parsing regexp: missing closing ): `(`")
	check("query: [{name: ''}]", "query[0].name: it is empty; name the parameter")
	check("query: [{name: a, minimum: 1}]", "query[0]: minimum and maximum go with type integer or number; remove them or change the type")
	check("query: [{name: a, type: integer, minimum: 2, maximum: 1}]", "query[0]: minimum is greater than maximum")
	check("jsonSchema: {}", "jsonSchema: set exactly one of inline and configMapRef")
	check("jsonSchema: {inline: {bad: 1}}", "jsonSchema.inline: it is bad; write good")
}

// What a policy refers to and is missing breaks the part that needs it; the
// policy stays accepted and closes as it stands.
func TestPolicyReferences(t *testing.T) {
	broken := func(more, kind, rules, item, want string) {
		t.Helper()
		_, p := buildStrict(load(t, policyCluster(t)+policyYAML(kind, "p", "rules: "+rules)+more))
		c := p.All[0].Ancestors[0].Conditions
		if got := p.All[0].Resolved[item].Broken; got != want {
			t.Errorf("%s: got %q, want %q", rules, got, want)
		}
		if len(c) != 2 || c[0].Status != "True" || (c[1].Reason == "Reconciling") != (want != "") {
			t.Errorf("%s: %v", rules, c)
		}
	}
	const basic, users = "{authentication: {a: {basic: {secretRef: {name: users}}}}}", "\n---\nkind: Secret\nmetadata: {name: users, namespace: shop}\n"
	broken("", v1alpha1.KindAuthPolicy, basic, "authentication/a", "Secret shop/users does not exist")
	broken(users, v1alpha1.KindAuthPolicy, basic, "authentication/a", "Secret shop/users has no key .htpasswd")
	broken(users+"data: {.htpasswd: eDp5}\n", v1alpha1.KindAuthPolicy, basic, "authentication/a", "")
	const jwt = "{authentication: {a: {jwt: {issuer: i, audiences: [x], jwks: {configMapRef: {name: c, key: k}}}}}}"
	const config = "\n---\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\n"
	broken("", v1alpha1.KindAuthPolicy, jwt, "authentication/a", "ConfigMap shop/c does not exist")
	broken(config, v1alpha1.KindAuthPolicy, jwt, "authentication/a", "ConfigMap shop/c has no key k")
	broken(config+"data: {k: bad}\n", v1alpha1.KindAuthPolicy, jwt, "authentication/a", "ConfigMap shop/c key k: it is bad; write good")
	broken(config+"binaryData: {k: Z29vZA==}\n", v1alpha1.KindAuthPolicy, jwt, "authentication/a", "")
	broken(config+"data: {k: bad}\n", v1alpha1.KindValidationPolicy, "{checks: {a: {jsonSchema: {configMapRef: {name: c, key: k}}}}}",
		"check/a", "ConfigMap shop/c key k: it is bad; write good")
}

// A requirement may name methods of another policy, if merging brings them in.
func TestRequireAcrossPolicies(t *testing.T) {
	closed := func(gateway string, want string) {
		t.Helper()
		g, p := buildStrict(load(t, policyCluster(t)+policyYAML(v1alpha1.KindAuthPolicy, "p", "rules: {authentication: {a: {anonymous: {}}}, require: a && b}")+
			"\n---\nkind: AuthPolicy\nmetadata: {name: gw, namespace: web}\nspec:\n"+
			"  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]\n  defaults: {strategy: "+gateway+", rules: {authentication: {b: {anonymous: {}}}}}\n"))
		e := rule(g, p).Auth
		got := ""
		if e.Closed != nil {
			got = e.Closed.Policy.Name + ": " + e.Closed.Reason
		}
		accepted := p.All[0].Ancestors[0].Conditions[0]
		if got != want || (accepted.Status == "True") != (want == "") {
			t.Errorf("%s: got %q, want %q; %v", gateway, got, want, accepted)
		}
	}
	closed("Merge", "")
	closed("Atomic", "p: spec.rules.require: there is no method b")
}

// At 16 entries of others there is no room: the Gateway says so, and the policy
// is enforced all the same.
func TestFullStatus(t *testing.T) {
	s := load(t, policyCluster(t))
	p := parse(t, policyYAML(v1alpha1.KindAuthPolicy, "p", "rules: {forwardCredentials: true}"))[0].(*v1alpha1.AuthPolicy)
	for i := range 16 {
		p.Status.Ancestors = append(p.Status.Ancestors, gatewayv1.PolicyAncestorStatus{
			ControllerName: "example.com/other", AncestorRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(fmt.Sprint(i))},
		})
	}
	s.Apply(p)
	g, policies := buildStrict(s)
	gateway := types.NamespacedName{Namespace: "web", Name: "gw"}
	if len(policies.All) != 0 || len(policies.Unreported[gateway]) != 1 {
		t.Errorf("%d policies, unreported %v", len(policies.All), policies.Unreported)
	}
	if rule(g, policies).Auth == nil {
		t.Error("the policy is not enforced")
	}
}

// Others fill a status, and make room in it again, without the policy being another one.
func TestStatusFillsLater(t *testing.T) {
	s, graphs, b := load(t, policyCluster(t)), newGraphs(), NewBuilder(Config{Controller: controller})
	p := parse(t, policyYAML(v1alpha1.KindAuthPolicy, "p", "rules: {forwardCredentials: true}"))[0].(*v1alpha1.AuthPolicy)
	for i, others := range []int{16, 15, 16} {
		p = p.DeepCopy()
		p.Status.Ancestors = make([]gatewayv1.PolicyAncestorStatus, others)
		s.Apply(p)
		s.Apply(parse(t, fmt.Sprintf("kind: Service\nmetadata: {name: x%d, namespace: shop}\n", i))[0])
		policies := b.Build(s, graphs.Build(s))
		if full := others == 16; len(policies.All) != 0 == full || len(policies.Unreported) != 0 != full {
			t.Errorf("with %d entries of others: %d policies, unreported %v", others, len(policies.All), policies.Unreported)
		}
	}
}

// Policies that were handed out never change, and what did not change since is
// the same.
func TestEarlierPoliciesStay(t *testing.T) {
	s, graphs := load(t, policyCluster(t)), newGraphs()
	b := NewBuilder(Config{Controller: controller})
	build := func() (*graph.Graph, *Policies) { return graphs.Build(s), b.Build(s, graphs.Build(s)) }
	g, first := build()
	policy := parse(t, policyYAML(v1alpha1.KindAuthPolicy, "p", "rules: {forwardCredentials: true}"))[0]
	s.Apply(policy)
	_, second := build()
	route := g.Routes[0]
	if first.Routes[route] != nil {
		t.Error("the policy went into the Policies before")
	}
	if rule(g, second) == nil {
		t.Error("the policy is not there")
	}
	s.Apply(parse(t, "kind: Service\nmetadata: {name: x, namespace: shop}\n")[0])
	_, third := build()
	if third == second || third.Routes[route] != second.Routes[route] || third.All[0] != second.All[0] {
		t.Error("what did not change was made again")
	}
	s.Delete(store.AuthPolicy, nameOf(policy))
	if _, fourth := build(); len(fourth.Routes)+len(fourth.All) != 0 {
		t.Error("the policy is still there")
	}
}

// Where no API server can be asked, what needs one waits for ever, and the policy
// says so.
func TestClusterless(t *testing.T) {
	s := load(t, policyCluster(t)+policyYAML("AuthPolicy", "p", `rules: {authentication: {a: {kubernetes: {}}}, authorization: {b: {kubernetes: {}}, c: {cel: "true"}}}`))
	g := newGraphs().Build(s)
	p := NewBuilder(Config{Controller: controller, Clusterless: "there is no API server"}).Build(s, g)
	parts := p.All[0].Resolved
	if parts["authentication/a"].Broken != "there is no API server" || parts["authorization/b"].Broken != "there is no API server" || parts["authorization/c"].Broken != "" {
		t.Errorf("%+v", parts)
	}
	g, p = buildStrict(s)
	if parts := p.All[0].Resolved; parts["authentication/a"].Broken != "" || rule(g, p).Auth.Closed != nil {
		t.Errorf("with an API server: %+v", parts)
	}
}

// A policy that only demands authentication, and is only watched, is no policy of a rule.
func TestDemandInShadow(t *testing.T) {
	demand := strings.Replace(strings.Replace(policyYAML("AuthPolicy", "everywhere", "requireAuth: true\n  mode: Shadow"), "kind: HTTPRoute, name: r}", "kind: Gateway, name: gw}", 1), "namespace: shop", "namespace: web", 1)
	g, p := buildStrict(load(t, policyCluster(t)+demand))
	if r := rule(g, p); r != nil || len(p.All) != 1 || len(p.Unguarded) != 0 {
		t.Errorf("%+v; %d policies, %d routes unguarded", r, len(p.All), len(p.Unguarded))
	}
	// Beside another that is watched it takes nothing from that, nor is it part of it.
	g, p = buildStrict(load(t, policyCluster(t)+demand+policyYAML("AuthPolicy", "p", `rules: {authentication: {all: {anonymous: {}}}}`+"\n  mode: Shadow")))
	r := rule(g, p)
	if r == nil || r.Auth != nil || r.Unguarded != nil || r.ShadowAuth == nil || len(r.ShadowAuth.Items) != 1 {
		t.Fatalf("%+v", r)
	}
	for _, policy := range p.All {
		if c := policy.Ancestors[0].Conditions; policy.Key.Name == "p" && (len(c) != 2 || c[1].Reason != "Programmed") {
			t.Errorf("%+v", c)
		}
	}
}
