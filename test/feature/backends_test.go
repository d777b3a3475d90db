package feature

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// endpoints is an EndpointSlice of a Service "shop/<name>", of one IPv4 endpoint.
func endpoints(service, address string, port int, conditions string) string {
	return fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s-1, namespace: shop, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
endpoints: [{addresses: ["%s"], conditions: {%s}}]
ports: [{name: "", port: %d}]
---
`, service, service, address, conditions, port)
}

// listen starts a backend behind Service "shop/<name>" that is not Go's: each
// connection is handed to serve, and closed after it.
func (w *World) listen(name string, serve func(c net.Conn)) {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				serve(c)
			})
		}
	})
	w.t.Cleanup(func() { _ = ln.Close(); running.Wait() })
	w.Apply(fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop, annotations: {test/endpoints: none}}\nspec: {ports: [{port: 80}]}\n---\n", name) +
		endpoints(name, "127.0.0.1", ln.Addr().(*net.TCPAddr).Port, "ready: true"))
}

func TestTimeouts(t *testing.T) {
	w := Start(t, Base+Service("slow")+Route("r",
		`{matches: [{path: {value: /request}}], timeouts: {request: 150ms}, backendRefs: [{name: slow, port: 80}]}`,
		`{matches: [{path: {value: /backend}}], timeouts: {request: 5s, backendRequest: 150ms}, backendRefs: [{name: slow, port: 80}]}`,
		`{matches: [{path: {value: /zero}}], timeouts: {request: 0s}, backendRefs: [{name: slow, port: 80}]}`,
		toAPI))
	gate := make(chan struct{})
	w.Backend("shop/slow").Answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	})
	cut := func(path, code string) {
		t.Helper()
		start := time.Now()
		got := w.Do("GET http://a" + path)
		if d := time.Since(start); got.Status != 504 || got.Code() != code || d < 140*time.Millisecond || d > 4*time.Second {
			t.Errorf("%s: %d %s after %v, want 504 %s after 150ms", path, got.Status, got.Code(), d, code)
		}
	}
	cut("/request", "request_timeout")
	cut("/backend", "backend_timeout")

	// Many that wait for the slow backend keep nobody else waiting.
	var waiting sync.WaitGroup
	c := w.Client("")
	before := w.Backend("shop/slow").Asked()
	for range 50 {
		waiting.Go(func() {
			if a, err := Fetch(c, "GET http://a/zero", ""); err != nil || a.Status != 200 {
				t.Errorf("%v %d", err, a.Status)
			}
		})
	}
	w.Until("50 requests wait", func() bool { return w.Backend("shop/slow").Asked()-before == 50 })
	fast := w.Client("")
	for range 100 {
		if a := w.Over(fast, "GET http://a/", ""); a.Seen().Service != "shop/api" {
			t.Errorf("beside the slow one: %d", a.Status)
		}
	}
	close(gate)
	waiting.Wait()
}

func TestBackendsThatFail(t *testing.T) {
	w := Start(t, Base, func(o *proxy.Options) { o.Backends.ReadTimeout = 200 * time.Millisecond })
	w.Apply(`
apiVersion: v1
kind: Service
metadata: {name: none, namespace: shop, annotations: {test/endpoints: none}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: refuses, namespace: shop, annotations: {test/endpoints: none}}
spec: {ports: [{port: 80}]}
---
` + endpoints("refuses", "127.0.0.1", 1, "ready: true"))
	rules := []string{
		`{matches: [{path: {value: /none}}], backendRefs: [{name: none, port: 80}]}`,
		`{matches: [{path: {value: /refuses}}], backendRefs: [{name: refuses, port: 80}]}`, toAPI,
	}
	// says is a backend that answers each request with the same bytes and closes.
	says := map[string]string{}
	answers := func(name, text string) {
		w.listen(name, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = c.Write([]byte(text))
			if text == "" {
				_, _ = c.Read(make([]byte, 1)) // until the gateway gives up
			}
		})
		says[name] = text
		rules = append(rules, `{matches: [{path: {value: /`+name+`}}], backendRefs: [{name: `+name+`, port: 80}]}`)
	}
	answers("silent", "")
	answers("noheadend", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")
	answers("twolengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
	answers("bothframings", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	answers("badlength", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc")
	answers("badstatus", "HTTP/1.1 20 OK\r\n\r\n")
	answers("nothttp", "SSH-2.0-OpenSSH\r\n")
	answers("badname", "HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n")
	answers("coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc")
	answers("longhead", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 70<<10)+"\r\nContent-Length: 0\r\n\r\n")
	answers("switches", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	// These break after the head: the client must see that the answer is not whole.
	answers("badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
	answers("cutchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	answers("cutlength", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
	w.Apply(Route("r", rules[:10]...) + Route("s", rules[10:]...))
	w.Until("refuses has an endpoint", func() bool { return w.Do("GET http://a/refuses").Status == 502 })

	is := func(path string, status int, code string) {
		t.Helper()
		if got := w.Do("GET http://a" + path); got.Status != status || got.Code() != code {
			t.Errorf("%s: %d %s, want %d %s", path, got.Status, got.Code(), status, code)
		}
		if got := w.Do("GET http://a/"); got.Status != 200 {
			t.Errorf("after %s the sound backend answered %d", path, got.Status)
		}
	}
	is("/none", 503, "no_healthy_backend")
	is("/refuses", 502, "backend_connect_failed")
	is("/silent", 504, "backend_timeout")
	for _, name := range []string{"noheadend", "twolengths", "bothframings", "badlength", "badstatus", "nothttp", "badname", "coding", "longhead", "switches"} {
		is("/"+name, 502, "backend_bad_response")
	}
	for _, name := range []string{"badchunk", "cutchunk", "cutlength"} {
		if a, err := Fetch(w.Client(""), "GET http://a/"+name, ""); err == nil && a.Status != 502 {
			t.Errorf("%s: the client took %d %q for a whole answer", name, a.Status, a.Body)
		}
	}
}

// A connection that the backend closed while it was idle costs no request.
func TestIdleBackendConnectionsThatClose(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	w.listen("once", func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) // keep-alive, and closes
		}
	})
	w.Apply(Route("r", `{backendRefs: [{name: once, port: 80}]}`))
	w.Until("it has its endpoint", func() bool { return w.Do("GET http://a/").Status == 200 })
	c := w.Client("")
	for i := range 100 {
		if a := w.Over(c, "GET http://a/", ""); a.Status != 200 || a.Body != "ok" {
			t.Fatalf("request %d: %d %s", i, a.Status, a.Body)
		}
	}
}

// Endpoints change without a table: ready, not ready, terminating, gone.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	port := 0
	if _, err := fmt.Sscanf(strings.TrimPrefix(w.Backend("shop/api").server.URL, "http://127.0.0.1:"), "%d", &port); err != nil {
		t.Fatal(err)
	}
	generation := w.Server.Applied().Generation
	becomes := func(conditions string, status int) {
		t.Helper()
		w.upsert(endpoints("api", "127.0.0.1", port, conditions))
		w.Until(fmt.Sprint(conditions, " gives ", status), func() bool { return w.Do("GET http://a/").Status == status })
	}
	becomes("ready: false", 503)
	becomes("ready: true", 200)
	becomes("ready: false, serving: false, terminating: true", 503)
	becomes("ready: false, serving: true, terminating: true", 200) // the last resort while all go
	becomes("ready: false", 503)
	if now := w.Server.Applied().Generation; now != generation {
		t.Errorf("%d tables were built for it", now-generation)
	}
}
