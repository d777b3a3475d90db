package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Certificate is Host's, self-signed, ECDSA on P-256: what every peer serves, as files
// and, for a Secret, in base64.
type Certificate struct {
	Chain, Key, Both       string // paths
	ChainBase64, KeyBase64 string
}

// NewCertificate writes a certificate's files to a folder.
func NewCertificate(folder string) (Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: Host}, DNSNames: []string{Host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Certificate{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	c := Certificate{
		Chain: filepath.Join(folder, "chain.pem"), Key: filepath.Join(folder, "key.pem"), Both: filepath.Join(folder, "both.pem"),
		ChainBase64: base64.StdEncoding.EncodeToString(chain), KeyBase64: base64.StdEncoding.EncodeToString(secret),
	}
	for path, text := range map[string][]byte{c.Chain: chain, c.Key: secret, c.Both: append(chain, secret...)} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return Certificate{}, err
		}
	}
	return c, nil
}
