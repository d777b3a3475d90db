package attach

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

const controller = "gatehouse.dev/gateway"

const class = `
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway}
---
`

func gatewayYAML(spec string) string {
	return "kind: Gateway\nmetadata: {name: gw, namespace: web, generation: 3}\nspec: {gatewayClassName: gatehouse, " + spec + "}\n---\n"
}

// parse reads objects of the kinds the store holds from YAML documents.
func parse(t testing.TB, text string) (out []metav1.Object) {
	t.Helper()
	for _, doc := range strings.Split(text, "\n---") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		var head metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		into := map[string]metav1.Object{
			"GatewayClass": &gatewayv1.GatewayClass{}, "Gateway": &gatewayv1.Gateway{}, "HTTPRoute": &gatewayv1.HTTPRoute{},
			"ReferenceGrant": &gatewayv1.ReferenceGrant{}, "Service": &corev1.Service{}, "Secret": &corev1.Secret{},
			"ConfigMap": &corev1.ConfigMap{}, "Namespace": &corev1.Namespace{},
			"AuthPolicy": &v1alpha1.AuthPolicy{}, "ValidationPolicy": &v1alpha1.ValidationPolicy{},
		}[head.Kind]
		if into == nil {
			t.Fatalf("no kind in %s", doc)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		out = append(out, into)
	}
	return out
}

func load(t testing.TB, texts ...string) *store.Store {
	t.Helper()
	s := store.New()
	for _, text := range texts {
		for _, obj := range parse(t, text) {
			s.Apply(obj)
		}
	}
	return s
}
