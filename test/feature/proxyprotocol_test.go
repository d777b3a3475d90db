package feature

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// behind has the Gateway "edge" take PROXY headers.
func behind(parameters string, listeners ...string) string {
	return "apiVersion: gatehouse.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: lb, namespace: shop}\nspec: {clients: {proxyProtocol: " + parameters + "}}\n---\n" +
		strings.Replace(Gateway("edge", listeners...), "spec:\n", "spec:\n  infrastructure: {parametersRef: {group: gatehouse.dev, kind: GatewayParameters, name: lb}}\n", 1)
}

const (
	one1 = "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
	one6 = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"
	two4 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\xc6\x33\x64\x01\x12\x67\x01\xbb"
	none = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// sends is a client whose connections begin with the header, in two pieces.
func sends(w *World, listener, header string, change ...func(*http.Transport)) *http.Client {
	address := w.Addr(listener)
	return w.Client(listener, append(change, func(t *http.Transport) {
		t.DisableKeepAlives = true
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			_, _ = io.WriteString(c, header[:len(header)/2])
			time.Sleep(5 * time.Millisecond)
			_, err = io.WriteString(c, header[len(header)/2:])
			return c, err
		}
	})...)
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	listeners := []string{`{name: http, protocol: HTTP, port: 80}`, `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`}
	rest := ca.Secret("cert", "a.example") + Route("r", toAPI) + Auth("auth", "HTTPRoute/r", "rules: {response: {headers: {x-client: {cel: source.address}}}}")

	w := Start(t, Base+rest+behind("{trusted: [127.0.0.0/8]}", listeners...))
	told := func(c *http.Client, url, want string) {
		t.Helper()
		h := w.Over(c, "GET "+url, "").Seen().Header
		if got := strings.Join(h["X-Forwarded-For"], "|") + " " + strings.Join(h["X-Client"], "|"); got != want+" "+want {
			t.Errorf("backend was told %q, want %s twice", got, want)
		}
	}
	closed := func(c *http.Client, url string) {
		t.Helper()
		if a, err := Fetch(c, "GET "+url, ""); err == nil {
			t.Errorf("answered %d", a.Status)
		}
	}
	over := TLS(ca.Trusted())
	for header, want := range map[string]string{one1: "192.0.2.1", one6: "2001:db8::1", two4: "192.0.2.2", none: "127.0.0.1", "PROXY UNKNOWN\r\n": "127.0.0.1"} {
		told(sends(w, "", header), "http://a.example/", want)
		told(sends(w, "", header, PriorKnowledge), "http://a.example/", want)
		told(sends(w, "shop/edge/tls", header, over), "https://a.example/", want)
	}
	bad := []string{"", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 4711 99999\r\n", strings.Replace(two4, "\x21", "\x31", 1)}
	for _, header := range bad {
		closed(sends(w, "", header), "http://a.example/")
	}
	closed(sends(w, "shop/edge/tls", "", over), "https://a.example/")
	if n := w.Metric(`gatehouse_proxy_protocol_errors_total{address="` + w.Addr("") + `"}`); n != "4" {
		t.Errorf("%s connections were counted, want 4", n)
	}

	// Nobody else is heard: the header is no request.
	w = Start(t, Base+rest+behind("{trusted: [192.0.2.0/24]}", listeners...))
	closed(sends(w, "", one1), "http://a.example/")
	closed(sends(w, "", ""), "http://a.example/")
	w = Start(t, Base+rest+behind("{mode: Optional, trusted: [192.0.2.0/24]}", listeners...))
	told(sends(w, "", ""), "http://a.example/", "127.0.0.1")
	const plain = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
	if got := w.Raw(one1 + plain); !slices.Equal(got, []int{400}) {
		t.Errorf("a header of who is not trusted: %d", got)
	}

	w = Start(t, Base+rest+behind("{mode: Optional, trusted: [127.0.0.1/32]}", listeners...))
	told(sends(w, "", ""), "http://a.example/", "127.0.0.1")
	told(sends(w, "", one1), "http://a.example/", "192.0.2.1")
	told(sends(w, "shop/edge/tls", "", over), "https://a.example/", "127.0.0.1")
	closed(sends(w, "", bad[1]), "http://a.example/")

	// It can be taken back without a new socket.
	w.Apply(Gateway("edge", listeners...))
	if got := w.Raw(one1 + plain); !slices.Equal(got, []int{400}) {
		t.Errorf("no header is read any more: %d", got)
	}
}

// A header that does not come in time holds nothing for longer.
func TestProxyProtocolIsSlow(t *testing.T) {
	w := Start(t, Base+Route("r", toAPI)+behind("{trusted: [127.0.0.0/8]}", `{name: http, protocol: HTTP, port: 80}`), func(o *proxy.Options) {
		o.Clients.Handshake = 100 * time.Millisecond
	})
	c, err := net.Dial("tcp", w.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, one1[:20])
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v; want the end", n, err)
	}
}

// TLS that is relayed is read behind the header.
func TestProxyProtocolBeforePassthrough(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("cert", "a.example")+behind("{trusted: [127.0.0.0/8]}", `{name: mixed, protocol: TLS, port: 443, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}`)+`
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{name: edge}], hostnames: [a.example], rules: [{backendRefs: [{name: api, port: 80}]}]}
`)
	c, err := net.Dial("tcp", w.Addr("shop/edge/mixed"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, two4)
	config := ca.Trusted()
	config.ServerName = "a.example"
	s := tls.Client(c, config)
	_, _ = io.WriteString(s, "GET /relayed HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var seen Seen
	if err := json.NewDecoder(answer.Body).Decode(&seen); err != nil || seen.Path != "/relayed" {
		t.Errorf("%+v, %v", seen, err)
	}
}
