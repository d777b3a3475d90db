package graph

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

const controller = "gatehouse.dev/gateway"

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
			"GatewayClass": &gatewayv1.GatewayClass{}, "Gateway": &gatewayv1.Gateway{}, "ListenerSet": &gatewayv1.ListenerSet{}, "HTTPRoute": &gatewayv1.HTTPRoute{}, "GRPCRoute": &gatewayv1.GRPCRoute{},
			"ReferenceGrant": &gatewayv1.ReferenceGrant{}, "Service": &corev1.Service{}, "Secret": &corev1.Secret{},
			"ConfigMap": &corev1.ConfigMap{}, "Namespace": &corev1.Namespace{}, "GatewayParameters": &v1alpha1.GatewayParameters{},
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

// text writes what a Graph says, one line a thing.
func text(g *Graph) string {
	var b strings.Builder
	conditions := func(list []metav1.Condition) {
		for _, c := range list {
			fmt.Fprintf(&b, " %s=%s/%s", c.Type, c.Status, c.Reason)
		}
		b.WriteByte('\n')
		for _, c := range list {
			if good := c.Status == metav1.ConditionTrue; good == (c.Type == "Conflicted" || c.Type == "PartiallyInvalid") {
				fmt.Fprintf(&b, "    %s: %s\n", c.Type, c.Message)
			}
		}
	}
	for _, c := range g.Classes {
		fmt.Fprintf(&b, "class %s", c.Object.Name)
		conditions(c.Conditions)
	}
	for _, gw := range g.Gateways {
		fmt.Fprintf(&b, "gateway %s", nameOf(gw.Object))
		conditions(gw.Conditions)
		for _, l := range gw.Listeners {
			fmt.Fprintf(&b, "  listener %s %s:%d serves=%v routes=%d certs=%d kinds=%d", l.Key.Listener, l.Address, l.Spec.Port, l.Serves,
				g.Attached[l.Key], len(l.Certificates), len(l.SupportedKinds))
			conditions(l.Conditions)
		}
	}
	for _, gw := range g.Gateways {
		for _, set := range gw.Sets {
			fmt.Fprintf(&b, "set %s listeners=%d", nameOf(set.Object), len(set.Listeners))
			conditions(set.Conditions)
		}
	}
	for _, r := range g.Routes {
		fmt.Fprintf(&b, "route %s\n", nameOf(r.Object))
		for _, p := range r.Parents {
			fmt.Fprintf(&b, "  parent %s", p.Gateway)
			for _, at := range p.Attached {
				fmt.Fprintf(&b, " %s%v", at.Listener.Listener, at.Hostnames)
			}
			conditions(p.Conditions)
		}
		for _, rule := range r.Rules {
			fmt.Fprintf(&b, "  rule %d matches=%d", rule.Index, len(rule.Matches))
			for _, backend := range rule.Backends {
				fmt.Fprintf(&b, " %d*%s:%d", backend.Weight, backend.Service, backend.Port)
				if backend.Broken != "" {
					b.WriteString("!")
				}
			}
			if rule.Broken != "" {
				b.WriteString(" broken")
			}
			b.WriteByte('\n')
		}
	}
	for _, s := range g.Stale {
		fmt.Fprintf(&b, "stale %s %s\n", s.Kind, s.NamespacedName)
	}
	return b.String()
}

// keyPEM makes a certificate and its key.
func keyPEM(t testing.TB, host string) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// tlsSecret is a Secret of type kubernetes.io/tls as YAML.
func tlsSecret(t testing.TB, namespace, name string) string {
	t.Helper()
	chain, key := keyPEM(t, "example.com")
	return fmt.Sprintf(`
kind: Secret
metadata: {name: %s, namespace: %s}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`, name, namespace, base64.StdEncoding.EncodeToString(chain), base64.StdEncoding.EncodeToString(key))
}
