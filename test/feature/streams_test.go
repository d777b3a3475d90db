package feature

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// echoServer answers each line with its name and the line, over TCP or, with a
// config, TLS. It returns its port.
func echoServer(t *testing.T, name string, config *tls.Config) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewScanner(c)
				for in.Scan() {
					sni := ""
					if s, ok := c.(*tls.Conn); ok {
						sni = s.ConnectionState().ServerName
					}
					_, _ = fmt.Fprintf(c, "%s %s %s\n", name, sni, in.Text())
				}
			}()
		}
	}()
	return port
}

// datagramServer answers each datagram with its name and the datagram.
func datagramServer(t *testing.T, name string) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(name+" "+string(b[:n])), from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// at is a Service "shop/<name>" with one port, and the one endpoint it leads to.
func at(name string, port int, protocol corev1.Protocol, target int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: shop, annotations: {test/endpoints: none}}
spec: {ports: [{port: %[2]d, protocol: %[3]s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: shop, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: "", port: %[4]d, protocol: %[3]s}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
---
`, name, port, protocol, target)
}

// streamRoute is a route of a kind on one listener, with the rest of its spec.
func streamRoute(kind, name, listener, more, backends string) string {
	return fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: %s\nmetadata: {name: %s, namespace: shop}\nspec:\n"+
		"  parentRefs: [{name: edge, sectionName: %s}]\n%s  rules: [{backendRefs: [%s]}]\n---\n", kind, name, listener, more, backends)
}

// ask sends a line and returns the line that comes back.
func ask(c net.Conn, line string) (string, error) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// said dials, asks one line and hangs up.
func said(t *testing.T, addr string, config *tls.Config, line string) string {
	t.Helper()
	answer := ""
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer func() { _ = c.Close() }()
		if config != nil {
			c = tls.Client(c, config)
		}
		answer, err = ask(c, line)
	}
	switch {
	case err == nil:
		return answer
	case errors.Is(err, io.EOF):
		return "closed"
	case strings.Contains(err.Error(), "reset"):
		return "reset"
	}
	return err.Error()
}

// named asks for a server name, and trusts the authority.
func (a *Authority) named(server string) *tls.Config {
	c := a.Trusted()
	c.ServerName = server
	return c
}

func TestTCPRoute(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Gateway("edge", "{name: db, port: 5432, protocol: TCP}", "{name: idle, port: 5433, protocol: TCP}")+
		at("db", 5432, corev1.ProtocolTCP, echoServer(t, "db", nil))+
		at("empty", 5432, corev1.ProtocolTCP, echoServer(t, "empty", nil))+
		streamRoute("TCPRoute", "db", "db", "", "{name: db, port: 5432}, {name: empty, port: 5432, weight: 0}"))
	addr := w.Addr("shop/edge/db")
	for range 20 {
		if got := said(t, addr, nil, "x"); got != "db  x" {
			t.Fatalf("got %q", got)
		}
	}
	if got := said(t, w.Addr("shop/edge/idle"), nil, "x"); got != "reset" {
		t.Errorf("a listener without routes: %q", got)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got, _ := ask(c, "before"); got != "db  before" {
		t.Fatalf("got %q", got)
	}
	w.Apply(streamRoute("TCPRoute", "db", "db", "", "{name: gone, port: 5432}"))
	if got := said(t, addr, nil, "x"); got != "reset" {
		t.Errorf("a backend that does not exist: %q", got)
	}
	if got, _ := ask(c, "after"); got != "db  after" {
		t.Errorf("a connection that was open before: %q", got)
	}
}

func TestUDPRoute(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Gateway("edge", "{name: dns, port: 53, protocol: UDP}", "{name: tcp, port: 53, protocol: TCP}")+
		at("dns", 53, corev1.ProtocolUDP, datagramServer(t, "dns"))+
		at("tcp", 53, corev1.ProtocolTCP, echoServer(t, "tcp", nil))+
		streamRoute("UDPRoute", "dns", "dns", "", "{name: dns, port: 53}")+streamRoute("TCPRoute", "tcp", "tcp", "", "{name: tcp, port: 53}"))
	c, err := net.Dial("udp", w.Addr("shop/edge/dns"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 100)
	send := func(text string) string {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte(text)); err != nil {
			return err.Error()
		}
		n, err := c.Read(b)
		if err != nil {
			return "nothing"
		}
		return string(b[:n])
	}
	for _, text := range []string{"one", "two"} {
		if got := send(text); got != "dns "+text {
			t.Errorf("got %q", got)
		}
	}
	if got := said(t, w.Addr("shop/edge/tcp"), nil, "x"); got != "tcp  x" {
		t.Errorf("TCP on the same port: %q", got)
	}
	w.Apply(streamRoute("UDPRoute", "dns", "dns", "", "{name: gone, port: 53}"))
	if got := send("three"); got != "nothing" {
		t.Errorf("a backend that does not exist: %q", got)
	}
}

// TestTLSRoute: one port passes TLS through, ends it, and serves HTTPS, by server name.
func TestTLSRoute(t *testing.T) {
	t.Parallel()
	inside, outside := NewAuthority(t), NewAuthority(t)
	chain, key := inside.Pair("db.pass.example", "*.pass.example")
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	w := Start(t, Base+Gateway("edge",
		"{name: pass, port: 443, protocol: TLS, hostname: '*.pass.example', tls: {mode: Passthrough}}",
		"{name: end, port: 443, protocol: TLS, hostname: end.example, tls: {mode: Terminate, certificateRefs: [{name: edge}]}}",
		"{name: https, port: 443, protocol: HTTPS, hostname: www.example, tls: {certificateRefs: [{name: edge}]}}")+
		outside.Secret("edge", "end.example", "www.example")+Service("web")+
		at("secure", 443, corev1.ProtocolTCP, echoServer(t, "secure", &tls.Config{Certificates: []tls.Certificate{pair}}))+
		at("plain", 80, corev1.ProtocolTCP, echoServer(t, "plain", nil))+
		streamRoute("TLSRoute", "pass", "pass", "  hostnames: [db.pass.example]\n", "{name: secure, port: 443}")+
		streamRoute("TLSRoute", "end", "end", "  hostnames: [end.example]\n", "{name: plain, port: 80}")+
		OnListener("https", Route("web", "{backendRefs: [{name: web, port: 80}]}")))
	addr := w.Addr("shop/edge/pass")
	expect := func(from *Authority, name, want string) {
		t.Helper()
		if got := said(t, addr, from.named(name), "x"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	expect(inside, "db.pass.example", "secure db.pass.example x")
	expect(outside, "end.example", "plain  x")
	expect(inside, "other.pass.example", "closed")
	expect(inside, "nobody.example", "closed")
	if got := said(t, addr, &tls.Config{InsecureSkipVerify: true}, "x"); got != "closed" { //nolint:gosec // no name is the case
		t.Errorf("no server name: %q", got)
	}
	if got := said(t, addr, nil, "GET / HTTP/1.1"); got != "closed" && got != "reset" {
		t.Errorf("no TLS: %q", got)
	}
	transport := &http.Transport{TLSClientConfig: outside.named("www.example"), DisableKeepAlives: true, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	request, err := http.NewRequest(http.MethodGet, "https://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "www.example"
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != 200 || response.ProtoMajor != 2 {
		t.Errorf("HTTPS beside it: %s %s", response.Proto, response.Status)
	}
}
