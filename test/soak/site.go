package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// What the manifests name.
const (
	host   = "soak.example.com"
	issuer = "https://issuer.example.com"
	flips  = 20              // routes that change their backend
	extras = 20              // routes that come and go
	grace  = 5 * time.Second // in which an answer may follow what was in force before a change
)

// site is what the gateway serves: a folder of manifests that changes, and the
// backends behind it.
type site struct {
	folder, aside string // manifests, and where they are written before they are moved there
	ports         struct{ http, https, tcp, admin int }
	backends      map[string]*backend // a, b, c; and tcp
	trusted       *x509.CertPool
	token, apiKey string
	changes       atomic.Int64

	authority *x509.Certificate
	signer    *ecdsa.PrivateKey

	mu      sync.Mutex
	allowed map[string][]since // by path prefix: the backends that answers may come from
}

// since is which backends a prefix led to, till it changed.
type since struct {
	backends []string
	until    time.Time // zero: now
}

func newSite(dir string) (*site, error) {
	s := &site{
		folder: filepath.Join(dir, "manifests"), aside: filepath.Join(dir, "aside"), backends: map[string]*backend{},
		trusted: x509.NewCertPool(), allowed: map[string][]since{}, apiKey: "soak-" + strings.Repeat("k", 32),
	}
	for _, d := range []string{s.folder, s.aside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	ports, err := peer.FreePorts(4)
	if err != nil {
		return nil, err
	}
	s.ports.http, s.ports.https, s.ports.tcp, s.ports.admin = ports[0], ports[1], ports[2], ports[3]
	for _, name := range []string{"a", "b", "c", "tcp"} {
		if s.backends[name], err = newBackend(name); err != nil {
			return nil, err
		}
	}
	return s, s.begin()
}

func (s *site) close() {
	for _, b := range s.backends {
		b.close()
	}
}

// write puts a manifest in force, in one step.
func (s *site) write(name, text string) error {
	aside := filepath.Join(s.aside, name)
	if err := os.WriteFile(aside, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(aside, filepath.Join(s.folder, name))
}

// begin writes the manifests as they are at first.
func (s *site) begin() error {
	keys, err := s.identity()
	if err != nil {
		return err
	}
	files := map[string]string{"gateway.yaml": s.gateway(), "policies.yaml": s.policies(keys)}
	for _, name := range []string{"a", "b", "c"} {
		files["service-"+name+".yaml"] = service(name, "") + s.slice(name, name)
	}
	files["service-pool.yaml"] = service("pool", "")
	files["service-grpc.yaml"] = service("grpc", ", appProtocol: kubernetes.io/h2c") + s.slice("grpc", "a", "b")
	files["service-tcp.yaml"] = service("tcp", "") + s.slice("tcp", "tcp")
	for name, text := range files {
		if err := s.write(name, text); err != nil {
			return err
		}
	}
	s.lead("/grpc", "a", "b")
	for _, p := range []string{"/jwt", "/key", "/ws"} {
		s.lead(p, "a")
	}
	for i := range flips {
		if err := s.flip(i); err != nil {
			return err
		}
	}
	for _, change := range []func() error{s.endpoints, s.certificate} {
		if err := change(); err != nil {
			return err
		}
	}
	return nil
}

// churn changes one thing after another until ctx ends.
func (s *site) churn(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		switch i % 10 {
		case 0, 5:
			err = s.endpoints()
		case 1:
			err = s.certificate()
		case 2, 6:
			err = s.extra(mathrand.IntN(extras))
		default:
			err = s.flip(mathrand.IntN(flips))
		}
		if err != nil {
			return err
		}
		s.changes.Add(1)
	}
}

// lead notes that a prefix leads to backends from now on.
func (s *site) lead(prefix string, backends ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	list := slices.DeleteFunc(s.allowed[prefix], func(e since) bool { return !e.until.IsZero() && now.Sub(e.until) > grace })
	if n := len(list); n > 0 && list[n-1].until.IsZero() {
		list[n-1].until = now
	}
	s.allowed[prefix] = append(list, since{backends: backends})
}

// led reports whether an answer to a request that began then may be a backend's.
func (s *site) led(prefix, backend string, began time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.allowed[prefix], func(e since) bool {
		return slices.Contains(e.backends, backend) && (e.until.IsZero() || began.Sub(e.until) < grace)
	})
}

// flip makes a route lead to another backend.
func (s *site) flip(i int) error {
	name, prefix := []string{"a", "b", "c", "pool"}[mathrand.IntN(4)], fmt.Sprintf("/flip/%d", i)
	if name == "pool" {
		s.lead(prefix, "a", "b", "c")
	} else {
		s.lead(prefix, name)
	}
	return s.write(fmt.Sprintf("flip-%d.yaml", i), route(fmt.Sprintf("flip-%d", i), prefix, name))
}

// extra makes a route, or removes it. Whoever asks may be answered 404.
func (s *site) extra(i int) error {
	file := fmt.Sprintf("extra-%d.yaml", i)
	if os.Remove(filepath.Join(s.folder, file)) == nil {
		return nil
	}
	s.lead(fmt.Sprintf("/extra/%d", i), "b")
	return s.write(file, route(fmt.Sprintf("extra-%d", i), fmt.Sprintf("/extra/%d", i), "b"))
}

// endpoints makes other backends the pool's.
func (s *site) endpoints() error {
	all := []string{"a", "b", "c"}
	mathrand.Shuffle(3, func(i, j int) { all[i], all[j] = all[j], all[i] })
	some := all[:1+mathrand.IntN(3)]
	s.lead("/pool", some...)
	return s.write("slice-pool.yaml", s.slice("pool", some...))
}

// identity makes the authority of the certificates, and the token and its key set.
func (s *site) identity() (keySet string, err error) {
	if s.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "soak"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.signer.Public(), s.signer)
	if err != nil {
		return "", err
	}
	if s.authority, err = x509.ParseCertificate(der); err != nil {
		return "", err
	}
	s.trusted.AddCert(s.authority)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.signer, KeyID: "soak"}}, nil)
	if err != nil {
		return "", err
	}
	s.token, err = jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Subject: "soak", Audience: jwt.Audience{"soak"}, Expiry: jwt.NewNumericDate(time.Now().Add(48 * time.Hour)),
	}).Serialize()
	if err != nil {
		return "", err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.signer.Public(), KeyID: "soak", Algorithm: "ES256", Use: "sig"}}})
	return string(set), err
}

// certificate issues a new one.
func (s *site) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.authority, key.Public(), s.signer)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	encode := func(kind string, b []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return s.write("certificate.yaml", fmt.Sprintf(certificateManifest, encode("CERTIFICATE", der), encode("PRIVATE KEY", private)))
}

func hashed(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
