package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// authority is a CA of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// client is a certificate that the authority gives a client.
func (a *authority) client(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// visit asks l of f once, and tells whether the session was resumed.
func visit(t *testing.T, f *fixture, l *table.Listener, c *tls.Config) (resumed bool, err error) {
	t.Helper()
	conn, err := tls.Dial("tcp", f.set.Addr(l).String(), c)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte("x\n")); err != nil {
		return false, err
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil { // the ticket comes before the answer
		return false, err
	}
	return conn.ConnectionState().DidResume, nil
}

func TestTicketsAreSharedByReplicas(t *testing.T) {
	l := &table.Listener{ID: "a", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a.example.com")}}
	old, now, next, after := strings.Repeat("o", 32), strings.Repeat("n", 32), strings.Repeat("x", 32), strings.Repeat("y", 32)
	first, second := newFixture(t, 10), newFixture(t, 10)
	for _, f := range []*fixture{first, second} {
		f.update(l)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		meet := func(what string, f *fixture, want bool) {
			t.Helper()
			if resumed, err := visit(t, f, l, c); resumed != want || err != nil {
				t.Errorf("TLS %x, %s: resumed %t, %v", version, what, resumed, err)
			}
		}
		set := func(f *fixture, keys ...string) {
			t.Helper()
			if err := f.set.SetTicketKeys(keys...); err != nil {
				t.Fatal(err)
			}
		}
		set(first, now, old, next)
		set(second, now, old, next)
		meet("a new client", first, false)
		meet("the other replica", second, true)
		set(first, next, now, after) // it hears of the change early
		meet("a replica with newer keys", first, true)
		meet("a replica with older keys", second, true)
		set(second, next, now, after)
		meet("after the change", second, true)
		set(first, strings.Repeat("z", 32))
		meet("keys that nobody else has", first, false)
	}
	for _, bad := range [][]string{nil, {"short"}, {now, strings.Repeat("n", 33)}} {
		if first.set.SetTicketKeys(bad...) == nil {
			t.Errorf("%d keys were taken", len(bad))
		}
	}
}

// What a client's certificate was worth once is no identity for ever.
func TestTicketsCarryNoIdentityAcrossAuthorities(t *testing.T) {
	mine, other := newAuthority(t, "mine"), newAuthority(t, "other")
	cert := pair(t, "a", "a.example.com")
	on := func(cas []byte, insecure bool) *table.Listener {
		return &table.Listener{
			ID: "a", Port: 443, Protocol: table.HTTPS, Hostname: "a.example.com", Certificates: []*table.Certificate{cert},
			Clients: &table.ClientCAs{CAs: cas, Insecure: insecure},
		}
	}
	both := append(append([]byte{}, mine.pem...), other.pem...)
	open := &table.Listener{ID: "b", Port: 443, Protocol: table.HTTPS, Hostname: "b.example.com", Certificates: []*table.Certificate{cert}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f := newFixture(t, 10)
		c := &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		c.Certificates = []tls.Certificate{mine.client(t)}
		l := on(mine.pem, false)
		meet := func(what string, want, ok bool) {
			t.Helper()
			if resumed, err := visit(t, f, l, c); resumed != want || (err == nil) != ok {
				t.Errorf("TLS %x, %s: resumed %t, %v", version, what, resumed, err)
			}
		}
		serve := func(now *table.Listener) {
			l = now
			f.update(l, open)
		}
		serve(on(mine.pem, false))
		meet("a new client", false, true)
		meet("the same again", true, true)
		serve(on(both, false))
		meet("another authority beside its own", false, true) // it shows the certificate again
		meet("the same again", true, true)
		serve(on(other.pem, false))
		meet("its authority was removed", false, false)
		meet("its authority was removed, again", false, false)

		// Nor does a session that began without a certificate, or elsewhere, count as one.
		serve(on(mine.pem, true))
		c.Certificates, c.ClientSessionCache = nil, tls.NewLRUClientSessionCache(1)
		meet("without a certificate where that is let in", false, true)
		serve(on(mine.pem, false))
		meet("where that is not", false, false)
		elsewhere := &moved{tls.NewLRUClientSessionCache(1)}
		c.ServerName, c.ClientSessionCache = "b.example.com", elsewhere
		meet("at a listener that asks for none", false, true)
		c.ServerName = "a.example.com"
		meet("with its ticket at one that asks", false, false)
	}
}

// moved keeps one session whatever it is for.
type moved struct{ tls.ClientSessionCache }

// Get implements tls.ClientSessionCache.
func (m *moved) Get(string) (*tls.ClientSessionState, bool) { return m.ClientSessionCache.Get("") }

// Put implements tls.ClientSessionCache.
func (m *moved) Put(_ string, s *tls.ClientSessionState) { m.ClientSessionCache.Put("", s) }

// A client cannot have keys exchanged in the way that costs the server by far the most.
func TestKeyExchange(t *testing.T) {
	f := newFixture(t, 10)
	l := &table.Listener{ID: "a", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a.example.com")}}
	f.update(l)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for curve, want := range map[tls.CurveID]bool{tls.X25519: true, tls.CurveP256: true, tls.CurveP384: true, tls.CurveP521: false} {
			conn, err := tls.Dial("tcp", f.set.Addr(l).String(), &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: version, CurvePreferences: []tls.CurveID{curve}})
			if got := err == nil; got != want {
				t.Errorf("%v, %v: %v", tls.VersionName(version), curve, err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
	}
}

// Of an ECDSA and an RSA certificate for one name, the cheaper is shown.
func TestRSALast(t *testing.T) {
	f := newFixture(t, 10)
	l := &table.Listener{ID: "a", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{rsaPair(t, "rsa", "a.example.com"), pair(t, "ecdsa", "a.example.com")}}
	f.update(l)
	for _, c := range []struct {
		want   string
		suites []uint16 // of TLS 1.2: which kind of certificate the client takes
	}{
		{"ecdsa", nil},
		{"rsa", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		conn, err := tls.Dial("tcp", f.set.Addr(l).String(), &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: c.suites})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != c.want {
			t.Errorf("%v: %s", c.suites, got)
		}
		_ = conn.Close()
	}
	if _, err := tls.Dial("tcp", f.set.Addr(l).String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}); err == nil {
		t.Error("an old suite was agreed on")
	}
}
