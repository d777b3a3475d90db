package attach

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// TestManyOnServices holds a change of one route to a part of what a first build takes, where
// a thousand Services have a BackendTLSPolicy.
func TestManyOnServices(t *testing.T) {
	const n = 1000
	s := load(t, class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP}]"))
	s.Apply(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "ca"}, Data: map[string]string{"ca.crt": strings.Repeat(authority(t), 20)}})
	route := func(i, port int) metav1.Object {
		return parse(t, fmt.Sprintf("kind: HTTPRoute\nmetadata: {name: r%[1]d, namespace: web}\nspec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s%[1]d, port: %[2]d}]}]}", i, port))[0]
	}
	for i := range n {
		meta := metav1.ObjectMeta{Namespace: "web", Name: fmt.Sprint("s", i)}
		s.Apply(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
		p := &gatewayv1.BackendTLSPolicy{ObjectMeta: meta}
		p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: gatewayv1.ObjectName(meta.Name)}}}
		p.Spec.Validation.Hostname = "s.example"
		p.Spec.Validation.CACertificateRefs = []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}}
		s.Apply(p)
		s.Apply(route(i, 80))
	}
	graphs, b := newGraphs(), NewBuilder(Config{Controller: controller})
	build := func() (*Policies, time.Duration) {
		g := graphs.Build(s)
		start := time.Now()
		p := b.Build(s, g)
		return p, time.Since(start)
	}
	first, full := build()
	best := time.Hour
	for i := range 10 {
		s.Apply(route(7, 81-i%2))
		_, took := build()
		best = min(best, took)
	}
	if len(first.All) != n || best > full/4 {
		t.Errorf("one route took %v, all took %v; %d policies", best, full, len(first.All))
	}
	s.Delete(store.ConfigMap, types.NamespacedName{Namespace: "web", Name: "ca"})
	after, _ := build()
	if c := after.All[0].Ancestors[0].Conditions[0]; c.Reason != "NoValidCACertificate" {
		t.Errorf("without the ConfigMap: %s, want NoValidCACertificate", c.Reason)
	}
}

// authority is a bundle of one certificate, as PEM.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
