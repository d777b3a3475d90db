package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stack is a proxy on loopback, with its log.
type stack struct {
	*proxy.Server
	t    testing.TB
	log  *safeBuffer
	stop func() error // drains and returns Run's error; may be called twice
}

// safeBuffer is a bytes.Buffer for two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a proxy that serves t, if that is not nil.
func start(t testing.TB, tab *table.Table, change ...func(*proxy.Options)) *stack {
	t.Helper()
	s := &stack{t: t, log: &safeBuffer{}}
	o := proxy.Options{
		Admin: "127.0.0.1:0", Drain: proxy.Drain{Delay: -1, Timeout: 5 * time.Second},
		AccessLog: proxy.AccessLog{Writer: s.log, Share: 1},
		Bind:      func(string, uint16) string { return "127.0.0.1:0" },
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.Server, err = proxy.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if tab != nil {
		s.swap(tab)
	}
	return s
}

func (s *stack) swap(t *table.Table) {
	s.t.Helper()
	if err := s.Swap(t); err != nil {
		s.t.Fatal(err)
	}
	for id, err := range s.Applied().Listeners {
		s.t.Fatalf("%s: %v", id, err)
	}
}

// backend starts a server and makes it the only endpoint of ns/svc:80.
func (s *stack) backend(h http.HandlerFunc) {
	b := httptest.NewServer(h)
	s.t.Cleanup(b.Close)
	s.SetEndpoints("ns/svc:80", []table.Endpoint{{Address: netip.MustParseAddrPort(b.Listener.Addr().String())}})
}

// sayOK reads the content and answers ok.
func sayOK(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, "ok")
}

// one is a table with an HTTP listener on port 80, gw/http, with a rule for
// each path prefix.
func one(rules map[string]*table.Action) *table.Table {
	l := &table.Listener{ID: "ns/gw/http", Port: 80, Protocol: table.HTTP, Hosts: []*table.Host{host("*", rules)}}
	return &table.Table{Listeners: []*table.Listener{l}, Backends: []*table.Backend{{ID: "ns/svc:80", Protocol: table.BackendHTTP1}}}
}

func host(name string, rules map[string]*table.Action) *table.Host {
	h := &table.Host{Name: name}
	for prefix, a := range rules {
		h.Rules = append(h.Rules, &table.Rule{Match: table.Match{Path: table.PathMatch{Kind: table.PathPrefix, Value: prefix}}, Action: a})
	}
	return h
}

// to is an action that forwards everything.
func to(backend string) *table.Action {
	return &table.Action{Route: "HTTPRoute ns/" + backend, Rule: "0", Backends: []table.WeightedBackend{{Backend: backend, Weight: 1}}}
}

// client returns a client that reaches listener id whatever the URL says, with
// its own connections.
func (s *stack) client(id string, h2 bool) *http.Client {
	s.t.Helper()
	addr := s.Addr(id)
	if addr == nil {
		s.t.Fatalf("listener %s is not bound", id)
	}
	return newClient(s.t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	}, h2)
}

// newClient returns a client whose connections dial makes. With h2 it speaks
// HTTP/2 with prior knowledge.
func newClient(t testing.TB, dial func(context.Context) (net.Conn, error), h2 bool) *http.Client {
	c := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	tr := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100,
	}
	if h2 {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	c.Transport = tr
	t.Cleanup(tr.CloseIdleConnections)
	return c
}

// answer is a response in whole.
type answer struct {
	*http.Response
	body string
}

func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

func get(t testing.TB, c *http.Client, url string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := do(c, r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func do(c *http.Client, r *http.Request) (answer, error) {
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body)}, err
}

// metrics returns what the admin server shows.
func (s *stack) metrics() string { return s.adminGet("/metrics").body }

func (s *stack) adminGet(path string) answer {
	s.t.Helper()
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	return get(s.t, &http.Client{Transport: t}, "http://"+s.AdminAddr().String()+path)
}

// within waits until what is true.
func within(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 5 s: %s", what)
}

// certificate makes a self-signed one.
func certificate(t testing.TB, name string) *table.Certificate {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return &table.Certificate{
		ID: "ns/" + name, Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// raw is a connection on which a test speaks for itself.
type raw struct {
	net.Conn
	*bufio.Reader
}

func (s *stack) dial() raw {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr("ns/gw/http").String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return raw{c, bufio.NewReader(c)}
}

func (r raw) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// ask sends text and returns the answer to it.
func (r raw) ask(t testing.TB, text string) answer {
	t.Helper()
	if _, err := io.WriteString(r.Conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == 101 {
		return answer{resp, ""}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func contains(t testing.TB, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}
