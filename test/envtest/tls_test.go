//go:build envtest

package envtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestTLSStatus follows what statuses say of TLS to backends and of client certificates as it is broken, mended and taken away.
func TestTLSStatus(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()
	w.Expect("/a", http.StatusOK)
	policy := func(name string) string {
		return strings.ReplaceAll(`
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: NAME, namespace: NS}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  validation: {hostname: api.internal, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}
`, "NAME", name)
	}
	says := func(name, accepted, resolved string) {
		t.Helper()
		Status(w, name, &gatewayv1.BackendTLSPolicy{}, "ancestor Gateway NS/edge by CONTROLLER\nAccepted="+accepted+" @0\nResolvedRefs="+resolved+" @0")
	}
	// Not by Apply: what base64 writes may have one of the names in it that Apply replaces.
	bundle := func(text string) {
		t.Helper()
		c := &corev1.ConfigMap{}
		c.Namespace, c.Name = w.Namespace, "ca"
		_, err := controllerutil.CreateOrUpdate(t.Context(), w.Client, c, func() error {
			c.Data = map[string]string{"ca.crt": text}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	authority, _, err := cert.GenerateSelfSignedCertKey("ca.internal", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(policy("a"))
	says("a", "False NoValidCACertificate", "False InvalidCACertificateRef")
	w.Expect("/a", http.StatusInternalServerError)
	w.expectEvent("a", "NoValidCACertificate")
	bundle(string(authority))
	says("a", "True Accepted", "True ResolvedRefs")
	w.Expect("/a", http.StatusBadGateway) // the backend takes no TLS
	bundle(string(authority) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	says("a", "False NoValidCACertificate", "False InvalidCACertificateRef")
	bundle(string(authority))
	w.Apply(policy("b"))
	says("b", "False Conflicted", "True ResolvedRefs")
	w.Delete(policy("a"))
	says("b", "True Accepted", "True ResolvedRefs")
	w.Delete(policy("b"))
	w.Expect("/a", http.StatusOK)

	gateway := func(tls string) {
		w.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: NS
  listeners:
  - {name: http, protocol: HTTP, port: PORT}
` + tls)
	}
	well := fmt.Sprintf(gatewayWell, 1)
	beside := func(conditions string) string {
		return strings.Replace(well, "\n\t\tlistener", conditions+"\n\t\tlistener", 1)
	}
	gateway("  tls: {backend: {clientCertificateRef: {name: gone}}}\n")
	Status(w, "edge", &gatewayv1.Gateway{}, beside("\nResolvedRefs=False InvalidClientCertificateRef @0"))
	w.certify("gone")
	Status(w, "edge", &gatewayv1.Gateway{}, beside("\nResolvedRefs=True ResolvedRefs @0"))
	gateway(`  tls: {frontend: {default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}}` + "\n")
	Status(w, "edge", &gatewayv1.Gateway{}, strings.Replace(beside(""), "Programmed=True", "InsecureFrontendValidationMode=True ConfigurationChanged @0\n\t\tProgrammed=True", 1))
	gateway("")
	Status(w, "edge", &gatewayv1.Gateway{}, well)
	w.Expect("/a", http.StatusOK)
}
