package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/hack/cluster/pki"
)

// TestClientAndServerTrustEachOther shakes hands with what a kubeconfig holds, as each server of the cluster does.
func TestClientAndServerTrustEachOther(t *testing.T) {
	folder := t.TempDir()
	nodes := []pki.Node{{Name: "node-1", Address: netip.MustParseAddr("127.0.0.2")}, {Name: "node-2", Address: netip.MustParseAddr("127.0.0.3")}}
	if err := pki.Write(folder, netip.MustParseAddr("127.0.0.1"), nodes); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, c := range []struct{ server, host, client, user, group string }{
		{"apiserver", "127.0.0.1", "admin", "admin", "system:masters"},
		{"apiserver", "127.0.0.2", "node-2-client", "system:node:node-2", "system:nodes"},
		{"apiserver", "kubernetes.default.svc", "scheduler", "system:kube-scheduler", ""},
		{"node-2-server", "127.0.0.3", "controller-manager", "system:kube-controller-manager", ""},
	} {
		cert, err := tls.LoadX509KeyPair(filepath.Join(folder, c.server+".crt"), filepath.Join(folder, c.server+".key"))
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})
		served := make(chan error, 1)
		go func() { served <- server.Handshake() }()
		client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: c.host, Certificates: []tls.Certificate{kubeconfig(t, filepath.Join(folder, c.client+".kubeconfig"))}})
		if err := client.Handshake(); err != nil {
			t.Errorf("%s to %s as %s: %v", c.client, c.server, c.host, err)
		}
		// Under TLS 1.3 the client learns of a refusal only when it reads.
		go func() { _ = client.Close() }()
		if err := <-served; err != nil {
			t.Errorf("%s refuses %s: %v", c.server, c.client, err)
		}
		subject := server.ConnectionState().PeerCertificates[0].Subject
		if subject.CommonName != c.user || len(subject.Organization) > 0 != (c.group != "") || c.group != "" && subject.Organization[0] != c.group {
			t.Errorf("%s is %v; want %s of %q", c.client, subject, c.user, c.group)
		}
		near.Close()
		far.Close()
	}
}

// kubeconfig takes the client's certificate and key out of a kubeconfig.
func kubeconfig(t *testing.T, path string) tls.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct{ Server string }
		}
		Users []struct {
			User struct {
				Cert string `json:"client-certificate-data"`
				Key  string `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if got := config.Clusters[0].Cluster.Server; got != "https://127.0.0.2:6443" {
		t.Errorf("%s names the server %s", path, got)
	}
	decode := func(s string) []byte {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	cert, err := tls.X509KeyPair(decode(config.Users[0].User.Cert), decode(config.Users[0].User.Key))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
