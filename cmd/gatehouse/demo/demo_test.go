package demo

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made is a Service with one port and the annotations given, name by value.
func made(name string, annotations ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{}}}
	s.Spec.Ports = []corev1.ServicePort{{Name: "web", Port: 80}}
	for i := 0; i < len(annotations); i += 2 {
		s.Annotations["demo.gatehouse.dev/"+annotations[i]] = annotations[i+1]
	}
	return s
}

func started(t *testing.T, services ...*corev1.Service) *Demo {
	t.Helper()
	d, err := Start(services)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// freeAddress is a loopback address nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// addresses are the endpoints of a Service, as the slices have them.
func addresses(d *Demo, service string) (out []string) {
	for _, s := range d.EndpointSlices() {
		if s.Labels["kubernetes.io/service-name"] == service {
			out = append(out, fmt.Sprintf("%s:%d", s.Endpoints[0].Addresses[0], *s.Ports[0].Port))
		}
	}
	return out
}

func TestEchoAnswersWithWhatItWasAsked(t *testing.T) {
	d := started(t, made("site", "backend", "echo"), made("plain"))
	at := addresses(d, "site")
	if len(at) != 2 || len(d.EndpointSlices()) != 2 {
		t.Fatalf("endpoints %v of %d slices, want 2 of 2", at, len(d.EndpointSlices()))
	}
	for i, address := range at {
		status, body := get(t, "http://"+address+"/a?b=c", "X-User", "ada")
		var got answer
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		want := answer{Service: "site", Pod: fmt.Sprintf("site-%d", i+1), Method: "GET", Path: "/a?b=c", Host: address, Headers: got.Headers}
		if !reflect.DeepEqual(got, want) || got.Headers["x-user"] != "ada" {
			t.Errorf("got %+v\nwant %+v with x-user ada", got, want)
		}
	}
}

func TestSlowWaits(t *testing.T) {
	d := started(t, made("slow", "backend", "slow", "delay", "30ms"))
	start := time.Now()
	status, _ := get(t, "http://"+addresses(d, "slow")[0]+"/")
	if took := time.Since(start); status != 200 || took < 30*time.Millisecond {
		t.Errorf("%d after %s, want 200 after 30ms", status, took)
	}
}

func TestCloseCutsOffWhatIsUnderWay(t *testing.T) {
	d := started(t, made("slow", "backend", "slow", "delay", "1h"))
	c, err := net.Dial("tcp", addresses(d, "slow")[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(20 * time.Millisecond) // so that the handler waits; goleak says if it goes on doing so
	d.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, error %v; want a closed connection", n, err)
	}
}

func TestUpdateKeepsWhatIsUnchanged(t *testing.T) {
	d := started(t, made("site", "backend", "echo"), made("slow", "backend", "slow"))
	site, slow := addresses(d, "site"), addresses(d, "slow")
	if err := d.Update([]*corev1.Service{made("site", "backend", "echo"), made("slow", "backend", "echo"), made("new", "backend", "echo")}); err != nil {
		t.Fatal(err)
	}
	if got := addresses(d, "site"); !reflect.DeepEqual(got, site) {
		t.Errorf("site moved from %v to %v", site, got)
	}
	if len(addresses(d, "slow")) != 2 || len(addresses(d, "new")) != 2 {
		t.Errorf("slow at %v, new at %v; want two endpoints each", addresses(d, "slow"), addresses(d, "new"))
	}
	if c, err := net.Dial("tcp", slow[0]); err == nil {
		_ = c.Close()
		t.Error("the backend that is gone still listens")
	}
	if err := d.Update(nil); err != nil || len(d.EndpointSlices()) != 0 {
		t.Errorf("%d slices of no Services, error %v", len(d.EndpointSlices()), err)
	}
}

func TestFaultyAnnotationsAreNamed(t *testing.T) {
	refused := func(s *corev1.Service, want string) {
		t.Helper()
		d, err := Start([]*corev1.Service{s})
		if err == nil {
			d.Close()
			t.Errorf("%v was taken", s.Annotations)
		} else if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
	refused(made("a", "backend", "fast"), `service shop/a: annotation demo.gatehouse.dev/backend: "fast" is not known; use echo, slow or issuer`)
	refused(made("a", "backend", "slow", "delay", "3"), `service shop/a: annotation demo.gatehouse.dev/delay: "3" is not a duration; write 3s`)
	refused(made("a", "backend", "slow", "delay", "-3s"), `service shop/a: annotation demo.gatehouse.dev/delay: "-3s" is not a duration; write 3s`)
	refused(made("a", "backend", "issuer"), `service shop/a: annotation demo.gatehouse.dev/address: "" is not a loopback address with a port; write 127.0.0.1:9902`)
	refused(made("a", "backend", "issuer", "address", "192.0.2.1:80"), `service shop/a: annotation demo.gatehouse.dev/address: "192.0.2.1:80" is not a loopback address with a port; write 127.0.0.1:9902`)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().String()
	refused(made("a", "backend", "issuer", "address", taken), "service shop/a: its demo backend cannot listen: listen tcp "+taken+": bind: address already in use")
}

func TestTokensVerifyWithThePublishedKey(t *testing.T) {
	address := freeAddress(t)
	d := started(t, made("issuer", "backend", "issuer", "address", address))
	_, document := get(t, "http://"+address+"/jwks.json")
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(document), &keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() {
		t.Fatalf("%s: %v; want one public key", document, err)
	}
	_, metadata := get(t, "http://"+address+"/.well-known/openid-configuration")
	for _, part := range []string{`"issuer": "http://` + address + `"`, `"jwks_uri": "http://` + address + `/jwks.json"`} {
		if !strings.Contains(metadata, part) {
			t.Errorf("%s lacks %s", metadata, part)
		}
	}
	verify := func(token, subject, scope string) {
		t.Helper()
		parsed, err := jwt.ParseSigned(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.Claims
		var rest struct {
			Scope string `json:"scope"`
		}
		if err := parsed.Claims(keys, &claims, &rest); err != nil {
			t.Fatal(err)
		}
		want := jwt.Expected{Issuer: "http://" + address, Subject: subject, AnyAudience: jwt.Audience{"shop"}, Time: time.Now()}
		if err := claims.Validate(want); err != nil || rest.Scope != scope || claims.Expiry.Time().After(time.Now().Add(tokenLifetime)) {
			t.Errorf("claims %+v, scope %q: %v", claims, rest.Scope, err)
		}
	}
	token, err := d.Token("ada", map[string]any{"scope": "account.read"})
	if err != nil {
		t.Fatal(err)
	}
	verify(token, "ada", "account.read")
	_, asked := get(t, "http://"+address+"/token?sub=bob&scope=a+b")
	verify(asked, "bob", "a b")

	if _, err := started(t).Token("ada", nil); err == nil {
		t.Error("a token without an issuer")
	}
}

func TestSecretHoldsACertificateForThisMachine(t *testing.T) {
	d := started(t)
	s := d.Secret("shop", "quickstart-tls")
	if s.Type != corev1.SecretTypeTLS || s.Namespace != "shop" || s.Name != "quickstart-tls" {
		t.Errorf("%s %s/%s", s.Type, s.Namespace, s.Name)
	}
	pair, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "a.localhost", "shop.example.com", "127.0.0.1", "::1"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if err := cert.VerifyHostname("example.org"); err == nil {
		t.Error("it is good for example.org too")
	}
	if now := time.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
	}
	if again := d.Secret("shop", "quickstart-tls"); !bytes.Equal(again.Data["tls.crt"], s.Data["tls.crt"]) {
		t.Error("asked again, it is another certificate")
	}
}

func TestGuideTellsOnlyOfWhatIsServed(t *testing.T) {
	rule := func(route string) *table.Rule { return &table.Rule{Action: &table.Action{Route: route}} }
	listener := func(id string, port uint16, p table.Protocol, routes ...string) *table.Listener {
		h := &table.Host{Name: "*"}
		for _, r := range routes {
			h.Rules = append(h.Rules, rule(r))
		}
		return &table.Listener{ID: id, Port: port, Protocol: p, Hosts: []*table.Host{h}}
	}
	d := started(t)
	guide := func(listeners ...*table.Listener) string {
		t.Helper()
		var b bytes.Buffer
		if err := d.Guide(&b, &table.Table{Listeners: listeners}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	got := guide(listener("shop/edge/http", 8081, table.HTTP, "HTTPRoute shop/site", "HTTPRoute shop/slow"),
		listener("shop/edge/https", 8444, table.HTTPS, "HTTPRoute shop/site"))
	for _, part := range []string{
		"http://localhost:8081 ", "https://localhost:8444 ", "1. An open route.", "curl -i http://localhost:8081/\n      -> 200 ",
		"2. A backend that takes three seconds", "3. The same over TLS", "curl -ik https://localhost:8444/\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("the guide lacks %q:\n%s", part, got)
		}
	}
	for _, part := range []string{"X-API-Key", "TOKEN", "/orders"} {
		if strings.Contains(got, part) {
			t.Errorf("the guide tells of %s, which is not served:\n%s", part, got)
		}
	}
	if got := guide(); strings.Contains(got, "curl") {
		t.Errorf("of an empty table the guide tells\n%s", got)
	}
}

// TestPretend: what somebody else listens on is in nobody's way.
func TestPretend(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	d, err := Pretend([]*corev1.Service{made("issuer", "backend", "issuer", "address", taken.Addr().String()), made("site", "backend", "echo")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := len(d.EndpointSlices()); got != 3 {
		t.Errorf("there are %d slices", got)
	}
}
