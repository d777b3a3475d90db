package spec

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// block is a CA certificate as PEM.
func block(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestAuthorities(t *testing.T) {
	good := block(t)
	f := func(name, text, wrong string) {
		t.Helper()
		bundle, got := Authorities(&corev1.ConfigMap{Data: map[string]string{caKey: text}})
		if wrong == "" && (got != "" || string(bundle) != text) || wrong != "" && (!strings.Contains(got, wrong) || bundle != nil) {
			t.Errorf("%s: %d bytes, %q, want %q", name, len(bundle), got, wrong)
		}
	}
	f("one", good, "")
	f("two, and what people write between", "the old one\n"+good+"\nthe new one\n"+good+"the end\n", "")
	f("empty", " \n", "has nothing under ca.crt")
	f("no PEM", "hello", "block 1 is not PEM")
	f("a second that is cut off", good+good[:100], "block 2 is not PEM")
	f("a first that is not base64", strings.Replace(good, "\nMI", "\n!!", 1)+good, "block 1 is not PEM")
	f("a second that is not base64", good+strings.Replace(good, "\nMI", "\n!!", 1)+good, "block 2 is not PEM")
	f("a key", good+"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a block 2 under ca.crt that is no CERTIFICATE")
	f("no certificate in it", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"+good, "a block 1 under ca.crt that cannot be read")
	if _, wrong := Authorities(nil); wrong != "does not exist" {
		t.Errorf("no ConfigMap: %q", wrong)
	}
	if bundle, wrong := Authorities(&corev1.ConfigMap{BinaryData: map[string][]byte{caKey: []byte(good)}}); wrong != "" || string(bundle) != good {
		t.Errorf("binaryData: %q", wrong)
	}
}

// FuzzAuthorities: whatever is taken is certificates to the last block.
func FuzzAuthorities(f *testing.F) {
	good := block(f)
	for _, seed := range []string{"", good, good + good, good[:80], good + good[:80], "x" + good + "y", strings.Replace(good, "\nMI", "\n!!", 1) + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bundle, wrong := Authorities(&corev1.ConfigMap{Data: map[string]string{caKey: text}})
		if (wrong == "") == (bundle == nil) {
			t.Fatalf("%d bytes and %q", len(bundle), wrong)
		}
		if wrong == "" && !x509.NewCertPool().AppendCertsFromPEM(bundle) {
			t.Fatal("taken, and holds no certificate")
		}
	})
}
