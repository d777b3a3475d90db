package feature

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// secureServer answers over TLS, HTTP/1.1 and HTTP/2, with what it saw of the
// connection: the server name, the protocol, and who the client says it is. It
// returns its port.
func secureServer(t *testing.T, config *tls.Config) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{TLSConfig: config, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		client := "-"
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		rw.Header().Set("X-Seen", r.TLS.ServerName+" "+r.Proto+" "+client)
		if r.Header.Get("Content-Type") == "application/grpc" {
			rw.Header().Set("Content-Type", "application/grpc")
			_, _ = io.Copy(rw, r.Body)
			rw.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// Secured is a BackendTLSPolicy "shop/<name>" for a Service, "api" or "api/port",
// with a validation, a YAML flow mapping. Policies are as old as their names are
// early in the alphabet.
func Secured(name, service, validation string) string {
	service, section, _ := strings.Cut(service, "/")
	if section != "" {
		section = ", sectionName: " + section
	}
	return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: %s, namespace: shop, creationTimestamp: \"2026-01-%02dT00:00:00Z\"}\n"+
		"spec: {targetRefs: [{group: \"\", kind: Service, name: %s%s}], validation: %s}\n---\n", name, 1+(name[0]-'a')%26, service, section, validation)
}

// trusting is a validation by the bundle "ca".
func trusting(host, more string) string {
	return "{hostname: " + host + ", caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]" + more + "}"
}

func (w *World) seen(path, want string, status int) {
	w.t.Helper()
	if a := w.Do("GET http://shop.example" + path); a.Status != status || a.Header.Get("X-Seen") != want {
		w.t.Errorf("%s: %d %s %q, want %d %q", path, a.Status, a.Code(), a.Header.Get("X-Seen"), status, want)
	}
}

// to is a rule from a path to a Service of that name.
func to(name string) string {
	return fmt.Sprintf("{matches: [{path: {type: PathPrefix, value: /%[1]s}}], backendRefs: [{name: %[1]s, port: 443}]}", name)
}

func TestBackendTLS(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	names := []string{"good", "host", "foreign", "uri", "nouri", "san", "broken", "clear"}
	port := secureServer(t, ca.Server("api.internal", "spiffe://shop/api"))
	yaml, rules := Base+Bundle("ca", ca)+Bundle("other", other), []string(nil)
	for _, name := range names {
		yaml += at(name, 443, corev1.ProtocolTCP, port)
		rules = append(rules, to(name))
	}
	yaml += Route("r", rules...) +
		Secured("a-good", "good", trusting("api.internal", "")) +
		Secured("b-late", "good", trusting("late.internal", "")) +
		Secured("a-host", "host", trusting("web.internal", "")) +
		Secured("a-foreign", "foreign", `{hostname: api.internal, caCertificateRefs: [{group: "", kind: ConfigMap, name: other}]}`) +
		Secured("a-uri", "uri", trusting("any.internal", `, subjectAltNames: [{type: Hostname, hostname: web.internal}, {type: URI, uri: "spiffe://shop/api"}]`)) +
		Secured("a-nouri", "nouri", trusting("api.internal", `, subjectAltNames: [{type: URI, uri: "spiffe://shop/web"}]`)) +
		Secured("a-san", "san", trusting("any.internal", `, subjectAltNames: [{type: Hostname, hostname: api.internal}]`)) +
		Secured("a-broken", "broken", `{hostname: api.internal, caCertificateRefs: [{group: "", kind: ConfigMap, name: gone}]}`)
	w := Start(t, yaml)
	w.seen("/good", "api.internal HTTP/1.1 -", 200)
	w.seen("/host", "", 502)
	w.seen("/foreign", "", 502)
	w.seen("/uri", "any.internal HTTP/1.1 -", 200)
	w.seen("/nouri", "", 502)
	w.seen("/san", "any.internal HTTP/1.1 -", 200)
	w.seen("/broken", "", 500)
	if a := w.Do("GET http://shop.example/broken"); a.Code() != "backend_tls_invalid" {
		t.Errorf("broken: %q", a.Body)
	}
	if a := w.Do("GET http://shop.example/clear"); a.Status != 400 { // Go's answer to HTTP where it speaks HTTPS
		t.Errorf("a Service without a policy: %d %s", a.Status, a.Code())
	}
	// What is mended, works; what is taken away, does not go in the clear while another policy stands.
	g := w.Apply(Bundle("gone", ca))
	w.seen("/broken", "api.internal HTTP/1.1 -", 200)
	if !strings.Contains(w.conditions(g), "ancestor shop/edge: Accepted=False Conflicted BackendTLSPolicy a-good targets Service good too") {
		t.Error(w.conditions(g))
	}
	w.Delete(Secured("a-good", "good", trusting("api.internal", "")))
	w.seen("/good", "", 502)
}

// Authorities and certificates of backends are exchanged while requests go on.
func TestBackendTLSRotation(t *testing.T) {
	t.Parallel()
	before, after := NewAuthority(t), NewAuthority(t)
	shown := before.Server("api.internal")
	var mu sync.Mutex
	port := secureServer(t, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return shown, nil
	}})
	w := Start(t, Base+Bundle("ca", before)+at("api", 443, corev1.ProtocolTCP, port)+Route("r", "{backendRefs: [{name: api, port: 443}]}")+
		Secured("a", "api", trusting("api.internal", "")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	var asked atomic.Int64
	go func() {
		defer close(stopped)
		c := w.Client("")
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a, err := Fetch(c, "GET http://shop.example/", ""); err != nil || a.Status != 200 {
				t.Errorf("during the rotation: %d %s %v", a.Status, a.Code(), err)
			}
			asked.Add(1)
		}
	}()
	w.Apply(Bundle("ca", before, after))
	// A request that began by the first bundle trusts no server of the second.
	n := asked.Load()
	w.Until("the requests under way are over", func() bool { return asked.Load() > n+1 })
	mu.Lock()
	shown = after.Server("api.internal")
	mu.Unlock()
	w.Apply(Bundle("ca", after))
	w.seen("/", "api.internal HTTP/1.1 -", 200)
	close(stop)
	<-stopped
}

// gRPC goes over HTTP/2 within TLS, connections of TLSRoutes anew over TLS, and
// the Gateway says who it is.
func TestBackendTLSOfEveryRoute(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	config := ca.Server("api.internal")
	config.ClientAuth = tls.RequireAnyClientCert
	config.NextProtos = []string{"h2", "http/1.1"}
	streams := echoServer(t, "relayed", ca.Server("api.internal"))
	w := Start(t, Base+Bundle("ca", ca)+ca.Secret("edge", "gateway.shop")+ca.Secret("cert", "db.example")+
		strings.Replace(Gateway("edge", "{name: http, protocol: HTTP, port: 80}", "{name: db, protocol: TLS, port: 443, tls: {certificateRefs: [{name: cert}]}}"),
			"spec:\n", "spec:\n  tls: {backend: {clientCertificateRef: {name: edge}}}\n", 1)+
		at("api", 443, corev1.ProtocolTCP, secureServer(t, config))+at("db", 443, corev1.ProtocolTCP, streams)+
		Secured("a", "api", trusting("api.internal", ""))+Secured("b", "db", trusting("api.internal", ""))+
		OnListener("http", HostRoute("r", "shop.example", "{backendRefs: [{name: api, port: 443}]}"))+
		OnListener("http", GRPC("g", "g.example", "{backendRefs: [{name: api, port: 443}]}"))+
		strings.Replace(OnListener("db", HostRoute("d", "db.example", "{backendRefs: [{name: db, port: 443}]}")), "kind: HTTPRoute", "kind: TLSRoute", 1))
	w.seen("/", "api.internal HTTP/1.1 gateway.shop", 200)
	a := w.Over(w.Client("", PriorKnowledge), "POST http://g.example/a.B/C", "hello", "content-type: application/grpc", "te: trailers")
	if a.Status != 200 || a.Header.Get("X-Seen") != "api.internal HTTP/2.0 gateway.shop" || a.Body != "hello" || a.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("gRPC: %+v", a)
	}
	trusted := ca.Trusted()
	trusted.ServerName = "db.example"
	c, err := tls.Dial("tcp", w.Addr("shop/edge/db"), trusted)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintln(c, "hello")
	b := make([]byte, 100)
	n, _ := c.Read(b)
	if got := string(b[:n]); got != "relayed api.internal hello\n" {
		t.Errorf("TLSRoute: %q", got)
	}
	// A certificate that cannot be shown closes the way to these backends, and says so.
	g := w.Apply(tlsSecret("edge", []byte("x"), []byte("x")))
	w.seen("/", "", 500)
	if !strings.Contains(w.conditions(g), "Gateway shop/edge: ResolvedRefs=False InvalidClientCertificateRef") {
		t.Error(w.conditions(g))
	}
}

// What a policy asks is reached as its BackendTLSPolicy says, and not at all while
// that cannot be used.
func TestBackendTLSOfPolicies(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	good, late := Secured("a", "authz", trusting("api.internal", "")), Secured("a", "authz", trusting("web.internal", ""))
	w := Start(t, Base+Bundle("ca", ca)+at("authz", 443, corev1.ProtocolTCP, secureServer(t, ca.Server("api.internal")))+good+Route("r", toAPI)+
		Auth("p", guarded, `rules: {authorization: {ask: {externalAuth: {backendRef: {name: authz, port: 443}, http: {toBackend: [X-Seen]}}}}}`))
	is := func(status int, seen string) {
		t.Helper()
		if a := w.Do("GET http://a/"); a.Status != status || status == 200 && strings.Join(a.Seen().Header["X-Seen"], ",") != seen {
			t.Errorf("%d %s, want %d %q", a.Status, a.Body, status, seen)
		}
	}
	is(200, "api.internal HTTP/1.1 -")
	w.Apply(late)
	is(503, "")
	w.Apply(good)
	is(200, "api.internal HTTP/1.1 -")
	w.Delete(Bundle("ca", ca))
	is(503, "")
	w.Apply(Bundle("ca", ca))
	is(200, "api.internal HTTP/1.1 -")
}

// conditions is what every status says, a line each.
func (w *World) conditions(g *graph.Graph) string {
	var lines []string
	for _, c := range controllers.Conditions(g, w.policies) {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}
