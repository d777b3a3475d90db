package listener

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines answers each line with the protocol it came by and the line.
type lines struct{ stop chan struct{} }

func (p lines) HTTP1(c net.Conn, conn *exchange.Conn) time.Time {
	p.serve(c, conn)
	_ = c.Close()
	return time.Time{}
}
func (p lines) HTTP2(c net.Conn, conn *exchange.Conn) { p.serve(c, conn) }
func (p lines) Finish()                               { close(p.stop) }
func (p lines) Drain()                                {}

func (p lines) serve(c net.Conn, conn *exchange.Conn) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, conn.Protocol+" "+conn.SNI+" "+line)
		select {
		case <-p.stop:
			return
		default:
		}
	}
}

// gate is a Door.
type gate struct{ *admission.Gate }

func (g gate) Connect() bool { return g.Enter() }
func (g gate) Disconnect()   { g.Leave() }

type fixture struct {
	set     *Set
	ports   atomic.Pointer[map[uint32]*Port]
	metrics *telemetry.Metrics
	void    atomic.Int32 // of resting
}

func newFixture(t *testing.T, connections int) *fixture {
	f := &fixture{metrics: telemetry.New("test", telemetry.Sources{})}
	f.ports.Store(&map[uint32]*Port{})
	f.set = New(Config{
		Protocols: func() Protocols { return lines{make(chan struct{})} },
		Current:   func() map[uint32]*Port { return *f.ports.Load() },
		Bind:      func(address string, port uint16) string { return "127.0.0.1:0" },
		Metrics:   f.metrics,
		Door:      gate{admission.New(admission.Config{Limit: connections})},
		Limits:    Limits{Idle: time.Minute, Handshake: time.Second, Drain: 50 * time.Millisecond},
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		f.set.Drain(ctx)
	})
	return f
}

func (f *fixture) update(listeners ...*table.Listener) map[string]error {
	p := f.set.Prepare(listeners)
	f.ports.Store(&p.Ports)
	p.Commit()
	return p.Failed
}

func (f *fixture) dial(t *testing.T, l *table.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.set.Addr(l).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(got, "\n")
}

func pair(t *testing.T, id string, dns ...string) *table.Certificate {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, priv, id, dns...)
}

func rsaPair(t *testing.T, id string, dns ...string) *table.Certificate {
	t.Helper()
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, priv, id, dns...)
}

func pairOf(t *testing.T, priv crypto.Signer, id string, dns ...string) *table.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: id}, DNSNames: dns,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return &table.Certificate{
		ID: id, Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func TestSocketsStayAcrossUpdates(t *testing.T) {
	f := newFixture(t, 100)
	a := &table.Listener{ID: "ns/gw/a", Port: 80, Protocol: table.HTTP}
	b := &table.Listener{ID: "ns/gw/b", Port: 81, Protocol: table.HTTP}
	if failed := f.update(a, b); len(failed) > 0 {
		t.Fatal(failed)
	}
	addr, conn, gone := f.set.Addr(a).String(), f.dial(t, a), f.dial(t, b)
	say(t, conn, "x")
	say(t, gone, "x")
	f.update(&table.Listener{ID: "ns/gw/a2", Port: 80, Protocol: table.HTTP})
	if got := f.set.Addr(a).String(); got != addr {
		t.Errorf("socket moved from %s to %s", addr, got)
	}
	if got := say(t, conn, "hello"); got != "HTTP/1.1  hello" {
		t.Errorf("open connection answers %q", got)
	}
	if f.set.Addr(b) != nil {
		t.Error("a socket without a listener is still there")
	}
	// The connection of the listener that left is closed when its time to drain is over.
	_ = gone.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := gone.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connection of a vanished listener: %v", err)
	}
}

func TestFailuresAreValues(t *testing.T) {
	f := newFixture(t, 100)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	f.set.cfg.Bind = func(_ string, port uint16) string {
		if port == 1 {
			return taken.Addr().String()
		}
		return "127.0.0.1:0"
	}
	good := &table.Listener{ID: "good", Port: 80, Protocol: table.HTTP}
	failed := f.update(good,
		&table.Listener{ID: "mixed", Port: 80, Protocol: table.HTTPS},
		&table.Listener{ID: "taken", Port: 1, Protocol: table.HTTP},
		&table.Listener{ID: "odd", Port: 2, Protocol: "QUIC"},
		&table.Listener{ID: "bare", Port: 443, Protocol: table.HTTPS, Hostname: "a"},
		&table.Listener{ID: "broken", Port: 443, Protocol: table.HTTPS, Hostname: "b", Certificates: []*table.Certificate{{ID: "ns/s", Chain: []byte("x")}}},
	)
	for id, want := range map[string]string{
		"mixed": "port 80 already speaks HTTP", "taken": "cannot bind: listen tcp", "odd": `protocol "QUIC" is not served`,
		"bare": "no certificate", "broken": "certificate ns/s: tls: failed to find any PEM data",
	} {
		if failed[id] == nil || !strings.HasPrefix(failed[id].Error(), want) {
			t.Errorf("%s: %v, want %s", id, failed[id], want)
		}
	}
	if len(failed) != 5 {
		t.Errorf("failed = %v", failed)
	}
	if got := say(t, f.dial(t, good), "x"); got != "HTTP/1.1  x" {
		t.Errorf("the good listener answers %q", got)
	}
	// What was wrong is tried again with the next table.
	_ = taken.Close()
	if failed := f.update(&table.Listener{ID: "taken", Port: 1, Protocol: table.HTTP}); len(failed) > 0 {
		t.Error(failed)
	}
}

func TestServerNames(t *testing.T) {
	f := newFixture(t, 100)
	on := func(id, hostname string, certs ...*table.Certificate) *table.Listener {
		return &table.Listener{ID: id, Port: 443, Protocol: table.HTTPS, Hostname: hostname, Certificates: certs}
	}
	exact := on("exact", "a.example.com", pair(t, "other", "other.example.com"), pair(t, "a", "a.example.com"))
	wild := on("wild", "*.example.com", pair(t, "wild", "*.example.com"))
	f.update(exact, wild, on("broken", "b.example.com", &table.Certificate{ID: "x"}))
	ask := func(sni string, protocols ...string) (cn, proto string, err error) {
		c, err := tls.Dial("tcp", f.set.Addr(exact).String(), &tls.Config{ServerName: sni, InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			return "", "", err
		}
		defer func() { _ = c.Close() }()
		if got := say(t, c, "x"); !strings.HasSuffix(got, strings.ToLower(sni)+" x") {
			t.Errorf("SNI %q: server saw %q", sni, got)
		}
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName, c.ConnectionState().NegotiatedProtocol, nil
	}
	for sni, want := range map[string]string{"a.example.com": "a", "A.Example.com": "a", "c.example.com": "wild", "c.d.example.com": "wild"} {
		if cn, proto, err := ask(sni, "h2", "http/1.1"); cn != want || proto != "h2" || err != nil {
			t.Errorf("%s: %s over %q, %v; want %s", sni, cn, proto, err, want)
		}
	}
	if _, proto, err := ask("a.example.com", "http/1.1"); proto != "http/1.1" || err != nil {
		t.Errorf("http/1.1: %q, %v", proto, err)
	}
	for _, sni := range []string{"example.com", "b.example.com", "b.example.org", ""} {
		if _, _, err := ask(sni); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", sni, err)
		}
	}
	f.update(on("any", "", pair(t, "any", "x")), wild)
	for sni, want := range map[string]string{"": "any", "a.example.com": "wild", "elsewhere.org": "any"} {
		if cn, _, err := ask(sni); cn != want || err != nil {
			t.Errorf("%q after the update: %s, %v; want %s", sni, cn, err, want)
		}
	}
}

func TestConnectionLimit(t *testing.T) {
	f := newFixture(t, 1)
	l := &table.Listener{ID: "a", Port: 80, Protocol: table.HTTP}
	f.update(l)
	first := f.dial(t, l)
	say(t, first, "x")
	second := f.dial(t, l)
	_ = second.SetDeadline(time.Now().Add(2 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(second), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != 503 || err != nil || !strings.HasSuffix(string(body), "}\n") {
		t.Errorf("answer %d %q, %v", answer.StatusCode, body, err)
	}
	_ = first.Close()
	for range 100 {
		if f.set.cfg.Door.(gate).Figures().In == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	say(t, f.dial(t, l), "x")
}

func TestDrainWaitsForWhatIsUnderWay(t *testing.T) {
	f := newFixture(t, 10)
	l := &table.Listener{ID: "a", Port: 80, Protocol: table.HTTP}
	f.update(l)
	addr, c := f.set.Addr(l).String(), f.dial(t, l)
	say(t, c, "x")
	done := make(chan struct{})
	go func() {
		f.set.Drain(context.Background())
		close(done)
	}()
	for refused := false; !refused; {
		probe, err := net.Dial("tcp", addr)
		if refused = err != nil; !refused {
			_ = probe.Close()
		}
	}
	select {
	case <-done:
		t.Fatal("drained with a connection open")
	case <-time.After(20 * time.Millisecond):
	}
	if got := say(t, c, "last"); got != "HTTP/1.1  last" {
		t.Errorf("answer while draining: %q", got)
	}
	<-done
}

func TestHandshakeTimesOut(t *testing.T) {
	f := newFixture(t, 10)
	f.set.cfg.Limits.Handshake = 20 * time.Millisecond
	l := &table.Listener{ID: "a", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a")}}
	f.update(l)
	c := f.dial(t, l)
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("silent client: %v", err)
	}
	if n := f.metrics.Port(f.set.Addr(l).String()).HandshakeErrors.Load(); n != 1 {
		t.Errorf("handshake errors = %d", n)
	}
}
