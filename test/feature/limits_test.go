package feature

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// bounded has the Gateway "edge" go by these parameters of clients.
func bounded(clients string, listeners ...string) string {
	return "apiVersion: gatehouse.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: p, namespace: shop}\nspec: {clients: " + clients + "}\n---\n" +
		strings.Replace(Gateway("edge", listeners...), "spec:\n", "spec:\n  infrastructure: {parametersRef: {group: gatehouse.dev, kind: GatewayParameters, name: p}}\n", 1)
}

const webAndSide = `{name: http, protocol: HTTP, port: 80}|{name: side, protocol: HTTP, port: 81}`

// caller is a connection on which one request after another is sent.
type caller struct {
	net.Conn
	in *bufio.Reader
}

// call connects, and sends what comes before HTTP.
func call(t *testing.T, address, ahead string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, ahead)
	return &caller{c, bufio.NewReader(c)}
}

// answer reads an answer's status and code; 0 when the connection has ended.
func (c *caller) answer() (status int, code string) {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	var p Problem
	_ = json.NewDecoder(response.Body).Decode(&p)
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, p.Code
}

// ask sends a request and reads the answer.
func (c *caller) ask() (status int, code string) {
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	return c.answer()
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	listeners := strings.Split(webAndSide, "|")
	rest := Base + Route("r", toAPI)
	w := Start(t, rest+bounded("{proxyProtocol: {mode: Optional, trusted: [127.0.0.0/8]}, limits: {maxConnectionsPerClient: 2}, ports: [{port: 81, limits: {maxConnections: 1, maxConnectionsPerClient: 5}}]}", listeners...))
	served := func(c *caller) *caller {
		t.Helper()
		if status, code := c.ask(); status != 200 {
			t.Fatalf("answered %d %s, want 200", status, code)
		}
		return c
	}
	// The second to go finds room as soon as the first has been seen to go.
	again := func(address, ahead string) {
		t.Helper()
		w.Until("who has gone is counted no more", func() bool {
			status, _ := call(t, address, ahead).ask()
			return status == 200
		})
	}
	refused := func(address, ahead string) {
		t.Helper()
		if status, code := call(t, address, ahead).answer(); status != 503 || code != "too_many_connections" {
			t.Errorf("answered %d %s, want 503 too_many_connections", status, code)
		}
	}
	web, side := w.Addr(""), w.Addr("shop/edge/side")
	first := served(call(t, web, one1))
	served(call(t, web, one1))
	refused(web, one1)
	served(call(t, web, two4)) // another client
	served(call(t, web, ""))   // the load balancer itself
	// Clients of IPv6 have a /64 each.
	served(call(t, web, one6))
	served(call(t, web, strings.Replace(one6, "2001:db8::1", "2001:db8::2:3", 1)))
	refused(web, strings.Replace(one6, "2001:db8::1", "2001:db8::ffff:4", 1))
	served(call(t, web, strings.Replace(one6, "2001:db8::1", "2001:db8:0:1::1", 1)))
	if status, _ := first.ask(); status != 200 {
		t.Errorf("who was in is answered %d", status)
	}
	_ = first.Close()
	again(web, one1)

	only := served(call(t, side, ""))
	refused(side, "")
	for _, limit := range []string{"client 2", "port 0", "process 0"} {
		name, want, _ := strings.Cut(limit, " ")
		if got := w.Metric(`gatehouse_client_connections_refused_total{address="` + web + `",limit="` + name + `"}`); name != "client" && got != want {
			t.Errorf("%s by the limit of the %s were counted, want %s", got, name, want)
		}
	}
	if got := w.Metric(`gatehouse_client_connections_refused_total{address="` + side + `",limit="port"}`); got != "1" {
		t.Errorf("%s by the limit of the port were counted, want 1", got)
	}

	// A change needs no new socket, and takes nothing from who is in.
	w.Apply(bounded("{ports: [{port: 81, limits: {maxConnections: 2}}]}", listeners...))
	served(only)
	served(call(t, side, ""))
	refused(side, "")
	if w.Addr("shop/edge/side") != side {
		t.Error("there is another socket")
	}
	w.Apply(bounded("{}", listeners...))
	served(call(t, side, ""))
	served(call(t, web, ""))
}

func TestRequestLimits(t *testing.T) {
	t.Parallel()
	listeners := strings.Split(webAndSide, "|")
	w := Start(t, Base+Route("r", toAPI)+bounded("{limits: {maxRequestsInFlight: 1}, ports: [{port: 81, limits: {}}]}", listeners...))
	hang, begun := make(chan struct{}), make(chan struct{}, 1)
	w.Backend("shop/api").Answer(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			begun <- struct{}{}
			<-hang
		}
	})
	done, c := make(chan int), w.Client("", PriorKnowledge)
	go func() {
		a, _ := Fetch(c, "GET http://a/hang", "")
		done <- a.Status
	}()
	<-begun
	over := func(c *http.Client, want int) {
		t.Helper()
		a := w.Over(c, "GET http://a/", "")
		if a.Status != want || want == 503 && (a.Code() != "overloaded" || a.Header.Get("Retry-After") != "1") {
			t.Errorf("%d %s, want %d", a.Status, a.Code(), want)
		}
	}
	one := w.Client("")
	over(c, 503)
	over(one, 503)
	over(w.Client("shop/edge/side"), 200) // a port counts what came by it
	if got := w.Metric(`gatehouse_client_requests_refused_total{address="` + w.Addr("") + `"}`); got != "2" {
		t.Errorf("%s were counted, want 2", got)
	}
	// It holds at once, for connections that are open too.
	w.Apply(bounded("{limits: {maxRequestsInFlight: 2}}", listeners...))
	over(c, 200)
	w.Apply(bounded("{limits: {maxRequestsInFlight: 1}}", listeners...))
	over(one, 503)
	w.Apply(bounded("{}", listeners...))
	over(one, 200)
	w.Apply(bounded("{limits: {maxRequestsInFlight: 1}}", listeners...))
	close(hang)
	if status := <-done; status != 200 {
		t.Errorf("who was first got %d", status)
	}
	for range 3 { // every place has been given back
		over(one, 200)
	}
}

func TestSizeLimits(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	web, side := `{name: http, protocol: HTTP, port: 80}`, `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}], options: {gatehouse.dev/http3: Enabled}}}`
	w := Start(t, Base+ca.Secret("cert", "a.example")+Route("r", toAPI)+
		bounded("{limits: {maxRequestHeaderBytes: 2048, maxRequestBodyBytes: 100}, ports: [{port: 443, limits: {maxRequestBodyBytes: 200}}]}", web, side))
	config := ca.Trusted()
	config.ServerName = "a.example"
	three, _ := w.HTTP3("shop/edge/tls", config)
	for name, at := range map[string]struct {
		client *http.Client
		url    string
		body   int
	}{
		"HTTP/1.1":       {w.Client(""), "http://a.example/", 100},
		"HTTP/2":         {w.Client("", PriorKnowledge), "http://a.example/", 100},
		"HTTP/2 and TLS": {w.Client("shop/edge/tls", TLS(ca.Trusted())), "https://a.example/", 200},
		"HTTP/3":         {three, "https://a.example/", 200},
	} {
		is := func(want string, got Answer) {
			t.Helper()
			if got.Code() != want {
				t.Errorf("%s: answered %d %s, want %s", name, got.Status, got.Code(), want)
			}
		}
		is("", w.Over(at.client, "POST "+at.url, strings.Repeat("x", at.body), "A: "+strings.Repeat("x", 1500)))
		is("content_too_large", w.Over(at.client, "POST "+at.url, strings.Repeat("x", at.body+1)))
		a, err := Fetch(at.client, "GET "+at.url, "", "A: "+strings.Repeat("x", 6000))
		if err != nil { // Go's client looks at SETTINGS before it sends
			if !strings.Contains(err.Error(), "request header list larger") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		is("header_too_large", a)
	}
}

// Connections of HTTP/3 count as others do, once it is sure whose they are.
func TestConnectionLimitsOverQUIC(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := h3World(t, ca, "")
	w.Apply(strings.Replace(bounded("{limits: {maxConnectionsPerClient: 1, maxConcurrentStreams: 2}}", "X"), "  - X\n", strings.Trim(h3Edge, "\n")+"\n", 1))
	config := ca.Trusted()
	config.ServerName = "one.example"
	c, _ := w.HTTP3("shop/edge/one", config)
	if a := w.Over(c, "GET https://one.example/", ""); a.Status != 200 {
		t.Fatalf("answered %d", a.Status)
	}
	other, _ := w.HTTP3("shop/edge/one", config)
	if a, err := Fetch(other, "GET https://one.example/", ""); err == nil || !strings.Contains(err.Error(), "H3_EXCESSIVE_LOAD") {
		t.Errorf("another connection: %d, %v", a.Status, err)
	}
	over := w.Client("shop/edge/one", TLS(config))
	if _, err := Fetch(over, "GET https://one.example/", ""); err == nil {
		t.Error("a connection over TCP was served beside it")
	}
	hang, begun := make(chan struct{}), make(chan struct{}, 3)
	w.Backend("shop/api").Answer(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-hang
	})
	done := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := Fetch(c, "GET https://one.example/", "")
			done <- err
		}()
	}
	<-begun
	<-begun
	select {
	case <-begun:
		t.Error("three requests are under way at one time")
	case <-time.After(50 * time.Millisecond): // one that may come has as long
	}
	close(hang)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestTimeLimits(t *testing.T) {
	w := Start(t, Base+Route("r", toAPI)+bounded("{limits: {headerTimeout: 150ms, bodyTimeout: 150ms, idleTimeout: 200ms}}", `{name: http, protocol: HTTP, port: 80}`))
	for text, want := range map[string]string{
		"GET / HT": "header_timeout",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc": "content_timeout",
	} {
		if status, code := call(t, w.Addr(""), text).answer(); status != 408 || code != want {
			t.Errorf("%q: %d %s, want 408 %s", text, status, code, want)
		}
	}
	if status, _ := call(t, w.Addr(""), "").answer(); status != 0 {
		t.Errorf("an idle connection was told %d", status)
	}
}
