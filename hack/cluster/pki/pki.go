// Package pki makes the keys and certificates of a test cluster, and the kubeconfigs that hold them. hack/cluster calls it. Nothing it
// makes is worth anything outside the cluster's network, or after a year.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Node is a machine that a kubelet runs on.
type Node struct {
	Name    string
	Address netip.Addr
}

// identity is one certificate.
type identity struct {
	file       string // NAME.crt, NAME.key and, for clients, NAME.kubeconfig
	name       string // common name: the user, for the API server
	groups     []string
	server     bool
	hosts      []string
	addresses  []netip.Addr
	kubeconfig bool
}

// authority signs.
type authority struct {
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// Write fills the folder: ca, apiserver, sa (which signs the tokens of service accounts), a certificate for each client, and for each node
// NAME-client and NAME-server. The API server is the first node's, at port 6443, and has the Service's address as well.
func Write(folder string, service netip.Addr, nodes []Node) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(folder)
	if err != nil {
		return err
	}
	if err := tokenKeys(folder); err != nil {
		return err
	}
	first := nodes[0]
	all := []identity{
		{
			file: "apiserver", name: "kube-apiserver", server: true,
			hosts:     []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", first.Name},
			addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), service, first.Address},
		},
		{file: "apiserver-kubelet", name: "apiserver-kubelet", groups: []string{"system:masters"}},
		{file: "front-proxy", name: "front-proxy-client"},
		{file: "admin", name: "admin", groups: []string{"system:masters"}, kubeconfig: true},
		{file: "controller-manager", name: "system:kube-controller-manager", kubeconfig: true},
		{file: "scheduler", name: "system:kube-scheduler", kubeconfig: true},
		{file: "proxy", name: "system:kube-proxy", kubeconfig: true},
	}
	for _, n := range nodes {
		all = append(all,
			identity{file: n.Name + "-client", name: "system:node:" + n.Name, groups: []string{"system:nodes"}, kubeconfig: true},
			identity{file: n.Name + "-server", name: n.Name, server: true, hosts: []string{n.Name}, addresses: []netip.Addr{n.Address}})
	}
	server := "https://" + netip.AddrPortFrom(first.Address, 6443).String()
	for _, id := range all {
		if err := ca.issue(id, server); err != nil {
			return fmt.Errorf("certificate %s: %w", id.file, err)
		}
	}
	return nil
}

func newAuthority(folder string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gatehouse-test-cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(folder, "ca.key"), key); err != nil {
		return nil, err
	}
	return &authority{folder: folder, cert: cert, key: key, serial: 1}, writePEM(filepath.Join(folder, "ca.crt"), "CERTIFICATE", der)
}

// issue writes the identity's files.
func (a *authority) issue(id identity, server string) error {
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: id.name, Organization: id.groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames: id.hosts,
	}
	if id.server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, address := range id.addresses {
		template.IPAddresses = append(template.IPAddresses, address.AsSlice())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	base := filepath.Join(a.folder, id.file)
	if err := writePEM(base+".crt", "CERTIFICATE", der); err != nil {
		return err
	}
	if err := writeKey(base+".key", key); err != nil || !id.kubeconfig {
		return err
	}
	return a.writeKubeconfig(base, server)
}

func (a *authority) writeKubeconfig(base, server string) error {
	var encoded []any
	for _, file := range []string{filepath.Join(a.folder, "ca.crt"), base + ".crt", base + ".key"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		encoded = append(encoded, base64.StdEncoding.EncodeToString(text))
	}
	const form = `apiVersion: v1
kind: Config
current-context: gatehouse
contexts:
- name: gatehouse
  context: {cluster: gatehouse, user: user}
clusters:
- name: gatehouse
  cluster: {server: "%s", certificate-authority-data: %s}
users:
- name: user
  user: {client-certificate-data: %s, client-key-data: %s}
`
	return os.WriteFile(base+".kubeconfig", fmt.Appendf(nil, form, append([]any{server}, encoded...)...), 0o600)
}

// tokenKeys writes sa.key and sa.pub.
func tokenKeys(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(folder, "sa.key"), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(folder, "sa.pub"), "PUBLIC KEY", der)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
