package feature

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// h3Edge is an HTTPS listener with HTTP/3, and one without it on the same port.
const h3Edge = `
  - {name: one, protocol: HTTPS, port: 443, hostname: one.example, tls: {certificateRefs: [{name: one}], options: {gatehouse.dev/http3: Enabled}}}
  - {name: two, protocol: HTTPS, port: 443, hostname: two.example, tls: {certificateRefs: [{name: two}]}}
`

// HTTP3 is a client that reaches a listener by HTTP/3.
func (w *World) HTTP3(listener string, config *tls.Config) (*http.Client, *http3.Transport) {
	w.t.Helper()
	transport := &http3.Transport{TLSClientConfig: config}
	transport.Dial = func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
		return quic.DialAddr(ctx, w.Addr(listener), c, q)
	}
	w.t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, transport
}

func h3World(t *testing.T, ca *Authority, more string) *World {
	t.Helper()
	return Start(t, h3Manifests(ca, more))
}

func h3Manifests(ca *Authority, more string) string {
	return Base + ca.Secret("one", "one.example") + ca.Secret("two", "two.example") +
		strings.Replace(Gateway("edge", "X"), "  - X\n", strings.Trim(h3Edge, "\n")+"\n", 1) + more + Route("r", toAPI)
}

func TestHTTP3(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := h3World(t, ca, "")
	config := ca.Trusted()
	config.ServerName = "one.example"
	c, _ := w.HTTP3("shop/edge/one", config)

	a := w.Over(c, "GET https://one.example/a?b=c", "", "x-one: 1", "cookie: a=1")
	seen := a.Seen()
	if a.Status != 200 || seen.Path != "/a?b=c" || a.Header.Get("Alt-Svc") != "" {
		t.Fatalf("%d, %+v, %v", a.Status, seen, a.Header)
	}
	if a := w.Over(c, "HEAD https://one.example/", ""); a.Status != 200 || len(a.Body) > 0 {
		t.Errorf("HEAD: %d with %d bytes", a.Status, len(a.Body))
	}
	// Content of a length that is said, and of one that is not, larger than every buffer.
	big := strings.Repeat("0123456789abcdef", 64<<10)
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex() // else net/http drops content once it answers
		n, err := io.Copy(rw, r.Body)
		if err != nil || n != int64(len(big)) {
			t.Errorf("the backend got %d bytes, %v", n, err)
		}
		rw.Header().Set(http.TrailerPrefix+"X-Sum", "42")
	})
	for name, body := range map[string]io.Reader{"known": strings.NewReader(big), "unknown": io.NopCloser(strings.NewReader(big))} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://one.example/", body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(answer.Body)
		if string(got) != big || err != nil || answer.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%s length: %d bytes, %v, trailer %v", name, len(got), err, answer.Trailer)
		}
		_ = answer.Body.Close()
	}
	w.Backend("shop/api").Answer(nil)

	// Who comes by TCP is told of it, where there is it.
	for name, want := range map[string]string{"one": `h3=":443"; ma=86400`, "two": ""} {
		config := ca.Trusted()
		config.ServerName = name + ".example"
		for _, proto := range []string{"h2", "http/1.1"} {
			tcp := w.Client("shop/edge/"+name, TLS(config), func(t *http.Transport) {
				t.Protocols = new(http.Protocols)
				t.Protocols.SetHTTP1(proto == "http/1.1")
				t.Protocols.SetHTTP2(proto == "h2")
			})
			for _, path := range []string{"/", "/nowhere"} {
				if got := w.Over(tcp, "GET https://"+name+".example"+path, "").Header.Get("Alt-Svc"); got != want {
					t.Errorf("%s %s over %s: Alt-Svc %q, want %q", name, path, proto, got, want)
				}
			}
		}
	}
	// A listener without it refuses the handshake.
	other := ca.Trusted()
	other.ServerName = "two.example"
	no, _ := w.HTTP3("shop/edge/two", other)
	if a, err := Fetch(no, "GET https://two.example/", ""); err == nil {
		t.Errorf("a listener without HTTP/3 answers %d", a.Status)
	}
	// A request for another listener's host is for another connection.
	if a := w.Over(c, "GET https://one.example/", "", "host: two.example"); a.Status != 421 {
		t.Errorf("two.example on a connection for one.example: %d", a.Status)
	}
}

// A certificate is asked for, and believed, as over TCP; and a session is no
// identity after its authority was removed.
func TestHTTP3ClientCertificates(t *testing.T) {
	t.Parallel()
	ca, mine, other := NewAuthority(t), NewAuthority(t), NewAuthority(t)
	gateway := func(clients string) string {
		return strings.Replace(Gateway("edge", `{name: one, protocol: HTTPS, port: 443, hostname: one.example, tls: {certificateRefs: [{name: one}], options: {gatehouse.dev/http3: Enabled}}}`),
			"spec:\n", "spec:\n  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: \"\", kind: ConfigMap, name: "+clients+"}]}}}}\n", 1)
	}
	w := Start(t, Base+ca.Secret("one", "one.example")+Bundle("mine", mine)+Bundle("other", other)+gateway("mine")+Route("r", toAPI))
	config := ca.Trusted()
	config.ServerName, config.ClientSessionCache = "one.example", tls.NewLRUClientSessionCache(1)
	ask := func() (int, bool, error) {
		c, transport := w.HTTP3("shop/edge/one", config)
		defer func() { _ = transport.Close() }()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://one.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Do(r)
		if err != nil {
			return 0, false, err
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		return a.StatusCode, a.TLS.DidResume, nil
	}
	if status, _, err := ask(); err == nil {
		t.Errorf("without a certificate: %d", status)
	}
	config.Certificates = []tls.Certificate{mine.Certificate("client")}
	if status, _, err := ask(); status != 200 || err != nil {
		t.Fatalf("with a certificate: %d, %v", status, err)
	}
	if status, resumed, err := ask(); status != 200 || !resumed || err != nil {
		t.Errorf("again: %d, resumed %t, %v", status, resumed, err)
	}
	w.Apply(gateway("other"))
	if status, resumed, err := ask(); err == nil {
		t.Errorf("after its authority was removed: %d, resumed %t", status, resumed)
	}
}

// Sockets of UDP stay across tables, and go with the option.
func TestHTTP3Swap(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := h3World(t, ca, "")
	config := ca.Trusted()
	config.ServerName = "one.example"
	c, transport := w.HTTP3("shop/edge/one", config)
	w.Over(c, "GET https://one.example/", "") // the connection
	// A table that changes elsewhere keeps the connection.
	w.Apply(HostRoute("other", "one.example", `{matches: [{path: {value: /new}}], backendRefs: [{name: api, port: 80}]}`))
	if a := w.Over(c, "GET https://one.example/new", ""); a.Status != 200 {
		t.Errorf("after a change: %d", a.Status)
	}
	// A request under way when the option goes is answered.
	begun, finish := make(chan struct{}), make(chan struct{})
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
	})
	result := make(chan error, 1)
	go func() {
		a, err := Fetch(c, "GET https://one.example/new", "")
		if err == nil && a.Status != 200 {
			err = io.ErrUnexpectedEOF
		}
		result <- err
	}()
	select {
	case <-begun:
	case err := <-result:
		t.Fatalf("the request did not reach the backend: %v", err)
	}
	w.Apply(strings.Replace(strings.Replace(Gateway("edge", "X"), "  - X\n", strings.Trim(h3Edge, "\n")+"\n", 1), "http3: Enabled", "http3: Disabled", 1))
	close(finish)
	if err := <-result; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	w.Backend("shop/api").Answer(nil)
	_ = transport.Close()
	again, _ := w.HTTP3("shop/edge/one", config)
	again.Timeout = 500 * time.Millisecond
	w.Until("HTTP/3 is over", func() bool {
		_, err := Fetch(again, "GET https://one.example/", "")
		return err != nil
	})
	tcp := w.Client("shop/edge/one", TLS(config))
	if a := w.Over(tcp, "GET https://one.example/new", ""); a.Status != 200 || a.Header.Get("Alt-Svc") != "" {
		t.Errorf("by TCP: %d, Alt-Svc %q", a.Status, a.Header.Get("Alt-Svc"))
	}
}

// A connection that has no request goes when memory does: what its client has not taken of earlier
// answers would stay for as long as the connection, and be counted by nobody.
func TestHTTP3IsQuietWithoutMemory(t *testing.T) {
	ca := NewAuthority(t)
	const free = 256 << 20
	w := Start(t, h3Manifests(ca, ""), func(o *proxy.Options) { o.Memory = int64(heap()) + free })
	config := ca.Trusted()
	config.ServerName, config.NextProtos = "one.example", []string{"h3"}
	c, err := quic.DialAddr(t.Context(), w.Addr("shop/edge/one"), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	held := make([]byte, free)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	runtime.GC() // only then does it count
	select {
	case <-c.Context().Done():
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
	runtime.KeepAlive(held)
}
