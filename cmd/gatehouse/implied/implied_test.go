package implied_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/implied"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

const (
	gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec: {gatewayClassName: gatehouse, listeners: [{name: http, port: 80, protocol: HTTP}]}\n---\n"
	ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: site, namespace: shop}\nspec: {ingressClassName: gatehouse, defaultBackend: {service: {name: site, port: {number: 80}}}}\n---\n"
	classes = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: gatehouse}\nspec: {controllerName: example.com/other}\n---\n" +
		"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: gatehouse}\nspec: {controller: example.com/other}\n---\n"
	namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
)

// TestImplied: what files define themselves is left as it is.
func TestImplied(t *testing.T) {
	r, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, text, ingresses, want string }{
		{"nothing", "", "i", ""},
		{"everything", gateway + ingress, "i", "GatewayClass gatehouse g, IngressClass gatehouse i, Namespace shop"},
		{"once", gateway + strings.Replace(gateway, "edge", "other", 1), "i", "GatewayClass gatehouse g, Namespace shop"},
		{"no Ingresses are served", gateway + ingress, "", "GatewayClass gatehouse g, Namespace shop"},
		{"other classes", strings.ReplaceAll(gateway+ingress, "lassName: gatehouse", "lassName: theirs"), "i", "Namespace shop"},
		{"all of it is there", gateway + ingress + classes + namespace, "i", ""},
	} {
		ms, problems := r.Parse("m.yaml", []byte(tc.text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var objects []controllers.Object
		for _, m := range ms {
			objects = append(objects, m.Object)
		}
		var got []string
		for _, o := range implied.By(objects, "g", tc.ingresses) {
			what := string(controllers.KeyOf(o).Kind) + " " + o.GetName()
			switch o := o.(type) {
			case *gatewayv1.GatewayClass:
				what = fmt.Sprint(what, " ", o.Spec.ControllerName)
			case *networkingv1.IngressClass:
				what = fmt.Sprint(what, " ", o.Spec.Controller)
			}
			got = append(got, what)
		}
		slices.Sort(got)
		if got := strings.Join(got, ", "); got != tc.want {
			t.Errorf("%s: %s; want %s", tc.name, got, tc.want)
		}
	}
}
