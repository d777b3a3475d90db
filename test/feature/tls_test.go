package feature

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// tlsEdge is a Gateway with TLS listeners of one port for two hosts and what is below one of them.
const tlsEdge = `
  - {name: one, protocol: HTTPS, port: 443, hostname: one.example, tls: {certificateRefs: [{name: one}]}}
  - {name: wild, protocol: HTTPS, port: 443, hostname: "*.wild.example", tls: {certificateRefs: [{name: wild}]}}
  - {name: two, protocol: HTTPS, port: 443, hostname: two.example, tls: {certificateRefs: [{name: both}]}}
  - {name: three, protocol: HTTPS, port: 443, hostname: three.example, tls: {certificateRefs: [{name: both}]}}
`

func TestServerNames(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("one", "one.example")+ca.Secret("wild", "*.wild.example")+ca.Secret("both", "two.example", "three.example")+
		strings.Replace(Gateway("edge", "X"), "  - X\n", strings.Trim(tlsEdge, "\n")+"\n", 1)+Route("r", toAPI))
	address := w.Addr("shop/edge/one")
	// subject is the name on the certificate for a server name.
	subject := func(name, want string) {
		t.Helper()
		c, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // the certificate is what is looked at
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		defer func() { _ = c.Close() }()
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s was shown %q, want %q", name, got, want)
		}
	}
	subject("one.example", "one.example")
	subject("ONE.example", "one.example")
	subject("a.wild.example", "*.wild.example")
	subject("b.a.wild.example", "*.wild.example")
	subject("two.example", "two.example")
	subject("three.example", "two.example")
	subject("else.example", "")
	subject("wild.example", "")

	// A connection serves the hosts of its listener; for others a new one is to be opened (RFC 9110, 15.5.20).
	asks := func(server, host string, status int) {
		t.Helper()
		config := ca.Trusted()
		config.ServerName = server
		for _, proto := range []string{"h2", "http/1.1"} {
			c := w.Client("shop/edge/one", TLS(config), func(t *http.Transport) {
				t.Protocols = new(http.Protocols)
				t.Protocols.SetHTTP1(proto == "http/1.1")
				t.Protocols.SetHTTP2(proto == "h2")
			})
			if a := w.Over(c, "GET https://"+server+"/", "", "host: "+host); a.Status != status {
				t.Errorf("%s: %s on a connection for %s: %d %s, want %d", proto, host, server, a.Status, a.Code(), status)
			}
		}
	}
	asks("one.example", "one.example", 200)
	asks("one.example", "one.example:8443", 200)
	asks("one.example", "two.example", 421)
	asks("one.example", "else.example", 404) // it is nobody's: another connection would not help
	asks("a.wild.example", "one.example", 421)
	asks("a.wild.example", "a.wild.example", 200)
}

// A new certificate is shown to new connections; those that are open stay.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("cert", "a.example")+Gateway("edge", `{name: http, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+Route("r", toAPI))
	serial := func(c *tls.Conn) string { return fmt.Sprint(c.ConnectionState().PeerCertificates[0].SerialNumber) }
	dial := func() *tls.Conn {
		t.Helper()
		config := ca.Trusted()
		config.ServerName = "a.example"
		c, err := tls.Dial("tcp", w.Addr(""), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	old := dial()
	in := bufio.NewReader(old)
	ask := func() {
		t.Helper()
		_, _ = fmt.Fprint(old, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = in.Discard(int(response.ContentLength))
		if response.StatusCode != 200 || response.Close {
			t.Errorf("%d close %v", response.StatusCode, response.Close)
		}
	}
	ask()
	w.Apply(ca.Secret("cert", "a.example"))
	if fresh := dial(); serial(fresh) == serial(old) {
		t.Error("a new connection was shown the old certificate")
	}
	ask()
	// A broken one is refused in status, and closes nobody's connection.
	g := w.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: shop}\ntype: kubernetes.io/tls\ndata: {tls.crt: eA==, tls.key: eA==}\n---\n")
	found := false
	for _, c := range g.Gateways[0].Listeners[0].Conditions {
		found = found || c.Type == "ResolvedRefs" && c.Status == "False" && c.Reason == "InvalidCertificateRef"
	}
	if !found {
		t.Errorf("%+v", g.Gateways[0].Listeners[0].Conditions)
	}
}
