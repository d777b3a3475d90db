package spec

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// caKey is where a ConfigMap has its bundle of CA certificates.
const caKey = "ca.crt"

// Authorities returns the bundle of CA certificates that a ConfigMap has, as PEM,
// or what is wrong with it. A bundle with one block that is no certificate is
// refused whole: to trust a part of what was meant would go unnoticed.
func Authorities(config *corev1.ConfigMap) (bundle []byte, wrong string) {
	if config == nil {
		return nil, "does not exist"
	}
	bundle = config.BinaryData[caKey]
	if text, ok := config.Data[caKey]; ok {
		bundle = []byte(text)
	}
	if len(bytes.TrimSpace(bundle)) == 0 {
		return nil, "has nothing under " + caKey + "; put a PEM bundle of CA certificates there"
	}
	rest := bundle
	for n := 1; ; n++ {
		block, after := pem.Decode(rest)
		read := rest[:len(rest)-len(after)] // Decode passes over what it cannot read
		rest = after
		switch begun := bytes.Count(read, []byte("-----BEGIN")); {
		case block == nil && n > 1 && !bytes.Contains(rest, []byte("-----BEGIN")):
			return bundle, ""
		case block == nil, begun > 1:
			return nil, fmt.Sprintf("has something under %s whose block %d is not PEM", caKey, n)
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Sprintf("has a block %d under %s that is no CERTIFICATE", n, caKey)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Sprintf("has a block %d under %s that cannot be read as a certificate", n, caKey)
		}
	}
}
