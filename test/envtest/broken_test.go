//go:build envtest

package envtest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// TestBroken applies objects that cannot be used, one after another: each gets its condition, and what was served goes on being served.
func TestBroken(t *testing.T) {
	w := NewWorld(t, base, routeTo("good", "/good"))
	w.Run("--addresses", "192.0.2.10").WaitReady()
	w.Expect("/good", http.StatusOK)
	serves := func() {
		t.Helper()
		if status, _, text := ask(fresh, w.URL("/good")); status != http.StatusOK {
			t.Errorf("/good is answered %d %s", status, text)
		}
		if got := trim(describe(Get(w, "good", &gatewayv1.HTTPRoute{}))); got != trim(w.text(routeWell)) {
			t.Errorf("the route beside it says\n%s", got)
		}
	}
	f := func(name, objects, path string, want string) {
		t.Helper()
		w.Apply(objects)
		Status(w, name, &gatewayv1.HTTPRoute{}, "parent Gateway edge by CONTROLLER\n"+want)
		w.Expect(path, http.StatusInternalServerError)
		serves()
	}
	f("service", strings.Replace(routeTo("service", "/service"), "name: api", "name: gone", 1), "/service",
		"Accepted=True Accepted @0\nResolvedRefs=False BackendNotFound @0")
	f("grant", strings.Replace(routeTo("grant", "/grant"), "name: api", "name: api, namespace: default", 1), "/grant",
		"Accepted=True Accepted @0\nResolvedRefs=False RefNotPermitted @0")
	f("kind", strings.Replace(routeTo("kind", "/kind"), "name: api", "group: example.com, kind: Bucket, name: api", 1), "/kind",
		"Accepted=True Accepted @0\nResolvedRefs=False InvalidKind @0")
	f("regex", strings.Replace(routeTo("regex", "/regex"), "{path: {value: /regex}}", "{path: {value: /regex}}, {path: {type: RegularExpression, value: '/('}}", 1), "/regex",
		"Accepted=False UnsupportedValue @0\nResolvedRefs=True ResolvedRefs @0")
	w.expectEvent("regex", "UnsupportedValue")

	w.Apply(routeTo("guarded", "/guarded"), strings.NewReplacer("name: r}", "name: guarded}", "{apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: r}}}}",
		"{when: ['request.nothing'], anonymous: {}}").Replace(authPolicy))
	Status(w, "staff", &v1alpha1.AuthPolicy{}, "ancestor Gateway NS/edge by CONTROLLER\nAccepted=False Invalid @0")
	w.expectEvent("staff", "Invalid")
	w.Expect("/guarded", http.StatusInternalServerError)
	serves()

	listeners := func(more string) {
		w.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: NS
  listeners:
  - {name: http, protocol: HTTP, port: PORT}
` + more)
	}
	well := `
		address IPAddress 192.0.2.10
		Accepted=True ListenersNotValid @0
		Programmed=True Programmed @0
		listener http routes=6 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=True Accepted @0
		Conflicted=False NoConflicts @0
		Programmed=True Programmed @0
		ResolvedRefs=True ResolvedRefs @0`
	g := func(more, want string) {
		t.Helper()
		listeners(more)
		Status(w, "edge", &gatewayv1.Gateway{}, strings.Replace(well, "routes=6", "routes=5", 1)+want)
		serves()
	}
	w.Apply(`
apiVersion: v1
kind: Secret
metadata: {name: bad, namespace: NS}
type: kubernetes.io/tls
stringData: {tls.crt: no certificate, tls.key: no key}
`)
	g("  - {name: tls, protocol: HTTPS, port: PORT2, tls: {certificateRefs: [{name: bad}]}}", `
		listener tls routes=5 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=True Accepted @0
		Conflicted=False NoConflicts @0
		Programmed=False Invalid @0
		ResolvedRefs=False InvalidCertificateRef @0`)
	g("  - {name: tls, protocol: HTTPS, port: PORT2, tls: {certificateRefs: [{name: bad, namespace: default}]}}", `
		listener tls routes=5 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=True Accepted @0
		Conflicted=False NoConflicts @0
		Programmed=False Invalid @0
		ResolvedRefs=False RefNotPermitted @0`)
	conflict := func(name string) string {
		return strings.ReplaceAll(`
		listener NAME routes=5 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=False ProtocolConflict @0
		Conflicted=True ProtocolConflict @0
		Programmed=False Invalid @0
		ResolvedRefs=True ResolvedRefs @0`, "NAME", name)
	}
	w.certify("good")
	g(`  - {name: one, protocol: HTTP, hostname: one.example, port: PORT2}
  - {name: two, protocol: HTTPS, hostname: two.example, port: PORT2, tls: {certificateRefs: [{name: good}]}}`, conflict("one")+conflict("two"))

	w.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: late, namespace: NS}
spec:
  gatewayClassName: NS
  listeners: [{name: http, protocol: HTTP, port: PORT}]
`)
	Status(w, "late", &gatewayv1.Gateway{}, `
		Accepted=False ListenersNotValid @0
		Programmed=False Invalid @0
		listener http routes=0 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=False PortUnavailable @0
		Conflicted=False NoConflicts @0
		Programmed=False Invalid @0
		ResolvedRefs=True ResolvedRefs @0`)
	w.expectEvent("late", "PortUnavailable")
	serves()
}

// certify makes a Secret with a certificate that signed itself.
func (w *World) certify(name string) {
	w.t.Helper()
	crt, key, err := cert.GenerateSelfSignedCertKey("two.example", nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	secret := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{corev1.TLSCertKey: crt, corev1.TLSPrivateKeyKey: key}}
	secret.Namespace, secret.Name = w.Namespace, name
	if err := w.Client.Create(context.Background(), secret); err != nil {
		w.t.Fatal(err)
	}
}
