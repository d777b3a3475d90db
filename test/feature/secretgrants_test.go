package feature

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Secrets of another namespace count while a ReferenceGrant there says so, and
// for those it names; without one what needs them is closed, and nothing else.
func TestSecretsOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	const shared = "0123456789abcdef0123456789abcdef"
	elsewhere := func(secrets string) string {
		return strings.ReplaceAll(secrets, "namespace: shop,", "namespace: keys,")
	}
	grant := func(name, to string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: " + name + ", namespace: keys}\n" +
			"spec: {from: [{group: gatehouse.dev, kind: AuthPolicy, namespace: shop}], to: [{group: \"\", kind: Secret" + to + "}]}\n---\n"
	}
	everything := grant("all", "")
	w := Start(t, Base+elsewhere(key("acme", "key-acme", "")+key("umbra", "key-umbra", ""))+key("here", "key-here", "")+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: shared, namespace: keys}\nstringData: {a: "+shared+"}\n---\n"+everything+
		Route("r", toAPI)+HostRoute("own", "own.example", toAPI)+
		Auth("a", guarded, `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {keys: shop}}, namespace: keys}}, `+
			`tools: {when: ["'authorization' in request.headers"], jwt: {issuer: tools, audiences: [shop], algorithms: [HS256], secretRef: {name: shared, namespace: keys}}}}, `+subject+`}`)+
		Auth("b", "HTTPRoute/own", `rules: {authentication: {keys: {`+apiKeys+`}}, `+subject+`}`))
	is := decides(t, w)
	acme, umbra, here, token := "x-api-key: key-acme", "x-api-key: key-umbra", "x-api-key: key-here", sharedToken(t, jose.HS256, shared, "a")
	own := func() {
		t.Helper()
		is("keys here-owner", "GET http://own.example/", here)
		is("401 api_key_unknown", "GET http://own.example/", acme)
	}
	is("keys acme-owner", "GET http://a/", acme)
	is("keys umbra-owner", "GET http://a/", umbra)
	is("401 api_key_unknown", "GET http://a/", here)
	is("tools ann", "GET http://a/", token)
	own()

	// The grant is narrowed to one of them.
	w.Apply(grant("one", ", name: acme"))
	w.Delete(everything)
	is("keys acme-owner", "GET http://a/", acme)
	is("401 api_key_unknown", "GET http://a/", umbra)
	is("503 auth_unavailable", "GET http://a/", token)
	own()

	// Without a grant the policy is closed, and says which to write.
	graph := w.Delete(grant("one", ""))
	is("503 auth_unavailable", "GET http://a/", acme)
	is("503 auth_unavailable", "GET http://a/")
	own()
	const says = `RefNotPermitted authentication/keys: no ReferenceGrant in namespace keys lets AuthPolicies of namespace shop use its Secrets; ` +
		`write one there with from: [{group: gatehouse.dev, kind: AuthPolicy, namespace: shop}] and to: [{group: "", kind: Secret}]`
	if text := w.conditions(graph); !strings.Contains(text, says) {
		t.Errorf("the status says %s", text)
	}
	w.Apply(everything)
	is("keys umbra-owner", "GET http://a/", umbra)
	is("tools ann", "GET http://a/", token)
}
