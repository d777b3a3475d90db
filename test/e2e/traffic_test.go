//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for the site's host, as a Secret, and adds it to the roots clients trust.
func certificate(t *testing.T, roots *x509.CertPool, serial int64) (secret string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "shop.example.com"}, DNSNames: []string{"shop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(made)
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return fmt.Sprintf("{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: cert, namespace: $NAMESPACE}, data: {tls.crt: %s, tls.key: %s}}",
		text("CERTIFICATE", der), text("EC PRIVATE KEY", private))
}

// TestCertificateRotated changes the certificate under load, three times.
func TestCertificateRotated(t *testing.T) {
	gatehouse(t)
	roots := x509.NewCertPool()
	var secrets []string
	for serial := range int64(4) {
		secrets = append(secrets, certificate(t, roots, 100+serial))
	}
	s := newSite(t, "cert", secrets[0], strings.Replace(gateway, "port: 80}\n---", "port: 80}\n  - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}\n---", 1))
	to := s.target(t, "https", 443)
	to.TLS = &tls.Config{RootCAs: roots, ServerName: to.Host}
	s.serves(t, to)
	l := start(t, to)
	l.after(100)
	for n, secret := range secrets[1:] {
		s.apply(t, secret)
		changed := time.Now()
		want, row := fmt.Sprint(101+n), 0
		eventually(t, 30*time.Second, func() string {
			for row < 20 { // whichever pod is asked
				got, err := ask(client(to.TLS, true), to, "/", nil)
				if err != nil || got.serial != want {
					row = 0
					return fmt.Sprintf("certificate %s is shown: %v", got.serial, err)
				}
				row++
			}
			return ""
		})
		t.Logf("certificate %s is shown by every pod after %s", want, time.Since(changed).Round(10*time.Millisecond))
	}
	l.stop()
}

// TestGatewayChangesPorts adds and removes listeners beside one that stays.
func TestGatewayChangesPorts(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "ports")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	for _, port := range []int{8080, 8081, 9000} {
		s.apply(t, strings.Replace(gateway, "port: 80}\n---", fmt.Sprintf("port: 80}\n  - {name: other, protocol: HTTP, port: %d}\n---", port), 1))
		s.serves(t, s.target(t, "http", port))
	}
	eventually(t, 30*time.Second, func() string {
		if _, err := ask(client(nil, true), s.target(t, "http", 8080), "/", nil); err == nil {
			return "port 8080 is served, which the Gateway has given up"
		}
		return ""
	})
	s.apply(t, gateway)
	l.after(100)
	l.stop()
}

// TestGatewaysApart has two Gateways with the same port and host name, in two namespaces. Neither sees a request of the other's.
func TestGatewaysApart(t *testing.T) {
	gatehouse(t)
	var loads []*load
	for _, name := range []string{"apart-a", "apart-b"} {
		s := newSite(t, name)
		to := s.target(t, "http", 80)
		to.Wants = func(got answer) error {
			if got.Namespace != s.namespace {
				return fmt.Errorf("answered by %s", got.Namespace)
			}
			return nil
		}
		loads = append(loads, start(t, to))
	}
	for _, l := range loads {
		l.after(300)
	}
	if loads[0].to.URL == loads[1].to.URL {
		t.Errorf("both Gateways are at %s", loads[0].to.URL)
	}
	for _, l := range loads {
		l.stop()
	}
}

// TestNamespaceDeleted deletes a namespace with its Gateway, route and backends while they serve, beside one that stays.
func TestNamespaceDeleted(t *testing.T) {
	gatehouse(t)
	stays, goes := newSite(t, "stays"), newSite(t, "goes")
	l, beside := start(t, stays.target(t, "http", 80)), goes.target(t, "http", 80)
	l.after(100)
	theCluster.kubectl(t, "delete", "namespace", goes.namespace, "--timeout=90s")
	if _, err := ask(client(nil, true), beside, "/", nil); err == nil {
		t.Error("the Gateway that is gone still answers")
	}
	l.after(100)
	l.stop()
}

// TestNoEndpoints has a Service without pods beside one with pods.
func TestNoEndpoints(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "none", `
apiVersion: v1
kind: Service
metadata: {name: none, namespace: $NAMESPACE}
spec: {selector: {app: none}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: none, namespace: $NAMESPACE}
spec:
  parentRefs: [{name: edge}]
  hostnames: [none.example.com]
  rules: [{backendRefs: [{name: none, port: 80}]}]
`)
	l := start(t, s.target(t, "http", 80))
	none := s.target(t, "http", 80)
	none.Host = "none.example.com"
	eventually(t, 30*time.Second, func() string {
		if got, err := ask(client(nil, true), none, "/", nil); got.status != 503 {
			return fmt.Sprintf("a backend without endpoints answers %d: %v", got.status, err)
		}
		return ""
	})
	for range 100 {
		if got, err := ask(client(nil, true), none, "/", nil); got.status != 503 || got.code != "no_healthy_backend" {
			t.Fatalf("a backend without endpoints answers %d %s: %v", got.status, got.code, err)
		}
	}
	l.after(100)
	l.stop()
}
