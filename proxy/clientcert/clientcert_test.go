package clientcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign completes a certificate, which signs itself if there is no authority yet.
func (a *authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(7), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func (a *authority) client(c *x509.Certificate) *exchange.Client {
	leaf, _ := a.sign(c)
	return exchange.NewClient([]*x509.Certificate{leaf})
}

func (a *authority) bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func TestAdmits(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	strict, asked := New(&table.ClientCAs{CAs: ca.bundle()}), New(&table.ClientCAs{CAs: ca.bundle(), Insecure: true})
	f := func(name string, c *exchange.Client, believed bool) {
		t.Helper()
		judgedGood := func() bool { return c != nil && c.Judged() != nil && c.Judged().OK }
		if strict.Admits(c) != believed || judgedGood() != believed {
			t.Errorf("%s: want believed: %v", name, believed)
		}
		if strict.Vouches(c) != believed || asked.Vouches(c) != believed || (*Authorities)(nil).Vouches(c) {
			t.Errorf("%s: want vouched for: %v", name, believed)
		}
		if !asked.Admits(c) || judgedGood() != believed {
			t.Errorf("%s, where all are let in: want in, and believed: %v", name, believed)
		}
	}
	f("none", nil, false)
	f("good", ca.client(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), true)
	f("for anything", ca.client(&x509.Certificate{}), true)
	f("for servers", ca.client(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), false)
	f("expired", ca.client(&x509.Certificate{NotAfter: time.Now().Add(-time.Minute)}), false)
	f("of another", other.client(&x509.Certificate{}), false)
	between := &authority{t: t}
	between.cert, between.key = ca.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	leaf, _ := between.sign(&x509.Certificate{})
	f("of an authority between, that is shown", exchange.NewClient([]*x509.Certificate{leaf, between.cert}), true)
	f("of an authority between, that is not", exchange.NewClient([]*x509.Certificate{leaf}), false)
	f("of an authority between that another has signed", exchange.NewClient([]*x509.Certificate{leaf, other.cert}), false)
	if New(&table.ClientCAs{CAs: []byte("no PEM")}).Admits(ca.client(&x509.Certificate{})) {
		t.Error("a bundle that cannot be read vouches for somebody")
	}
}

// Equal settings of another table do not ask again; others do, at any time.
func TestJudgedAnew(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	c := ca.client(&x509.Certificate{})
	first := New(&table.ClientCAs{CAs: ca.bundle()})
	first.Admits(c)
	was := c.Judged()
	if !New(&table.ClientCAs{CAs: ca.bundle()}).Admits(c) || c.Judged() != was {
		t.Error("equal authorities looked at the certificate again")
	}
	both := New(&table.ClientCAs{CAs: append(ca.bundle(), other.bundle()...)})
	none := New(&table.ClientCAs{CAs: other.bundle()})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				if !both.Admits(c) || none.Admits(c) || !first.Admits(c) || none.Vouches(c) || !first.Vouches(c) {
					t.Error("judged by other authorities than were asked")
				}
			}
		})
	}
	running.Wait()
	if n := testing.AllocsPerRun(100, func() { both.Admits(c) }); n > 0 {
		t.Errorf("a request of a client that is known allocates %v times", n)
	}
}

func TestClient(t *testing.T) {
	uri, err := url.Parse("spiffe://shop.example/orders")
	if err != nil {
		t.Fatal(err)
	}
	c := newAuthority(t, "ca").client(&x509.Certificate{Subject: pkix.Name{CommonName: "orders", Organization: []string{"Shop"}}, DNSNames: []string{"orders.example"}, URIs: []*url.URL{uri}})
	got := strings.Join(append(append([]string{c.Subject, c.CommonName, c.Issuer}, c.DNSNames...), c.URIs...), " ")
	if want := "CN=orders,O=Shop orders CN=ca orders.example spiffe://shop.example/orders"; got != want || len(c.SHA256) != 64 || len(c.SPKI) != 44 {
		t.Errorf("read %q, %s, %s", got, c.SHA256, c.SPKI)
	}
}

// Clients without a certificate are let in where they may be, not left unasked.
func TestAsk(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	good, _ := ca.sign(&x509.Certificate{})
	bad, _ := other.sign(&x509.Certificate{})
	strict, asked := &tls.Config{MinVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS12}
	New(&table.ClientCAs{CAs: ca.bundle()}).Ask(strict)
	New(&table.ClientCAs{CAs: ca.bundle(), Insecure: true}).Ask(asked)
	if asked.ClientAuth != tls.RequestClientCert || asked.VerifyConnection != nil {
		t.Errorf("where all are let in: %v", asked.ClientAuth)
	}
	for want, chain := range map[bool][]*x509.Certificate{true: {good}, false: {bad, good}} {
		if err := strict.VerifyConnection(tls.ConnectionState{PeerCertificates: chain}); (err == nil) != want {
			t.Errorf("want believed: %v; %v", want, err)
		}
	}
	if err := strict.VerifyConnection(tls.ConnectionState{}); err == nil {
		t.Error("nobody is believed")
	}
}

// The names of many authorities do not fit into a handshake: then none are sent.
func TestHint(t *testing.T) {
	few, many := newAuthority(t, "ca").bundle(), newAuthority(t, strings.Repeat("a", 60)).bundle()
	for want, bundle := range map[bool][]byte{true: few, false: bytes.Repeat(many, maxHint/60)} {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		New(&table.ClientCAs{CAs: bundle}).Ask(c)
		if (c.ClientCAs != nil) != want || c.ClientAuth != tls.RequireAnyClientCert {
			t.Errorf("%d bytes of authorities: hint %v, want %v", len(bundle), c.ClientCAs != nil, want)
		}
	}
}
