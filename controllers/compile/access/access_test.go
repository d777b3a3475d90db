package access

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
)

// What graph lets through by mistake must still not widen anything.
func TestFailsClosed(t *testing.T) {
	closes := func(text, item string) {
		t.Helper()
		p := &v1alpha1.AuthPolicy{}
		if err := yaml.UnmarshalStrict([]byte(`{metadata: {name: p, namespace: shop}, spec: {rules: `+text+`}}`), p); err != nil {
			t.Fatal(err)
		}
		from := &attach.Policy{Key: attach.PolicyKey{Kind: "AuthPolicy", NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}}, Object: p}
		if c := compileAuth(&attach.Effective{Items: []attach.Item{{Name: item, From: from}}}, nil); c.auth == nil || c.auth.Closed == nil || len(c.rejected) != 1 {
			t.Errorf("%s: %+v", text, c.auth)
		}
	}
	closes(`{authorization: {x: {cidrs: {deny: [nonsense]}}}}`, "authorization/x")
	closes(`{authorization: {x: {cidrs: {allow: [nonsense]}}}}`, "authorization/x")
	closes(`{authentication: {x: {}}}`, "authentication/x")
	closes(`{authentication: {x: {basic: {secretRef: {name: gone}}}}}`, "authentication/x")
	closes(`{authentication: {x: {jwt: {issuer: i, leeway: soon}}}}`, "authentication/x")
	closes(`{authentication: {x: {jwt: {issuer: i, jwks: {}}}}}`, "authentication/x")
	closes(`{}`, "something/else")
}
