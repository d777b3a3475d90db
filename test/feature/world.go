// Package feature proves one feature after another through the whole gateway:
// objects go in as YAML, pass the real pipeline into the real proxy on loopback,
// and HTTP comes out. One file per feature; this one is what they share.
package feature

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/names"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Base is what most features start from: a Gateway "edge" with an HTTP listener
// "http" in namespace shop, and a Service "api".
const Base = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{port: 80}]}
---
`

// World is a gateway and its backends.
type World struct {
	t         testing.TB
	Server    *proxy.Server
	pipeline  *controllers.Pipeline
	names     *names.Resolver
	reader    *manifests.Reader
	published chan picture
	policies  *attach.Policies // of the graph that wait returned last
	changes   int              // objects were changed so many times

	mu       sync.Mutex
	backends map[string]*Backend // by namespace/service
	hosts    map[string]string   // what DNS says, beside errors
}

// Backend stands behind a Service. It answers with what it was asked, as JSON,
// unless Answer says otherwise.
type Backend struct {
	Name   string
	mu     sync.Mutex
	answer http.HandlerFunc // nil: echo
	asked  int
	server *httptest.Server
}

// Answer makes the backend answer with f from now on; nil: with an echo.
func (b *Backend) Answer(f http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

// Asked is how many requests reached the backend.
func (b *Backend) Asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// Seen is what an echoing backend saw of a request.
type Seen struct {
	Service string              `json:"service"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Host    string              `json:"host"`
	Header  map[string][]string `json:"header"`
	Body    string              `json:"body"`
}

// Start builds the gateway from YAML and waits until it serves.
func Start(t testing.TB, yaml string, change ...func(*proxy.Options)) *World {
	t.Helper()
	return start(t, yaml, func(*proxy.Server) {}, change...)
}

// start is Start, with what is done to the server before it has a table.
func start(t testing.TB, yaml string, before func(*proxy.Server), change ...func(*proxy.Options)) *World {
	t.Helper()
	options := proxy.Options{
		Log: logr.Discard(), Admin: "127.0.0.1:0",
		Bind:  func(string, uint16) string { return "127.0.0.1:0" },
		Drain: proxy.Drain{Delay: -1, Timeout: 5 * time.Second},
	}
	for _, c := range change {
		c(&options)
	}
	server, err := proxy.New(options)
	if err != nil {
		t.Fatal(err)
	}
	reader := takeReader(t)
	checks, err := proxy.NewChecks()
	if err != nil {
		t.Fatal(err)
	}
	w := &World{t: t, Server: server, reader: reader, backends: map[string]*Backend{}, hosts: map[string]string{}, published: make(chan picture, 1)}
	w.names = names.New(names.Options{
		Found: func(id string, eps []table.Endpoint) { w.pipeline.Found(id, eps) }, Lookup: w.lookup, Log: logr.Discard(),
		Allow: func(netip.Addr) bool { return true }, Every: 20 * time.Millisecond, Retry: time.Millisecond,
	})
	w.pipeline = controllers.New(controllers.Options{
		Graph:   graph.Config{Controller: "gatehouse.dev/gateway-controller", Ingress: "gatehouse.dev/ingress-controller", Namespace: "gatehouse-system", Addresses: []string{"127.0.0.1"}},
		Attach:  attach.Config{Controller: "gatehouse.dev/gateway-controller", Checks: attach.Checks(checks)},
		Outputs: controllers.Outputs{Swap: server.Swap, SetEndpoints: server.SetEndpoints, Names: w.names.Want, Publish: w.publish},
		Quiet:   time.Millisecond,
		Share:   100,
		GiveWay: server.GiveWay,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	running.Go(func() { _ = w.pipeline.Run(ctx) })
	running.Go(func() { _ = w.names.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, b := range w.backends {
			b.server.Close()
		}
	})
	before(server)
	w.upsert(yaml)
	w.pipeline.Synced()
	w.wait()
	return w
}

// readers are those that no test uses: what compiles their schemas takes half the
// time of a Start. One is not for two goroutines.
var readers sync.Pool

// takeReader returns a Reader that is the test's until it ends.
func takeReader(t testing.TB) *manifests.Reader {
	t.Helper()
	r, ok := readers.Get().(*manifests.Reader)
	if !ok {
		var err error
		if r, err = manifests.NewReader(watch.Scheme()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { readers.Put(r) })
	return r
}

// marker is a GatewayClass nobody uses. The graph that has its latest
// description has whatever was changed before it.
const marker = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: marker}\n" +
	"spec: {controllerName: gatehouse.dev/gateway-controller, description: %q}\n"

// picture is what one build found.
type picture struct {
	graph    *graph.Graph
	policies *attach.Policies
}

func (w *World) publish(g *graph.Graph, p *attach.Policies) {
	select {
	case <-w.published: // only the latest counts
	default:
	}
	w.published <- picture{g, p}
}

// wait returns the graph of everything changed so far, once its table serves.
func (w *World) wait() *graph.Graph {
	w.t.Helper()
	w.changes++
	want := fmt.Sprint(w.changes)
	for _, m := range w.parse(fmt.Sprintf(marker, want)) {
		w.pipeline.Upsert(m.Object)
	}
	late := time.After(20 * time.Second)
	for {
		select {
		case now := <-w.published:
			for _, c := range now.graph.Classes {
				if c.Object.Name == "marker" && c.Object.Spec.Description != nil && *c.Object.Spec.Description == want {
					w.policies = now.policies
					return now.graph
				}
			}
		case <-late:
			w.t.Fatal("no table was built within 20 s")
		}
	}
}

// Apply adds or changes objects, waits until the table with them serves, and
// returns the graph it came from.
func (w *World) Apply(yaml string) *graph.Graph {
	w.t.Helper()
	w.upsert(yaml)
	return w.wait()
}

// Delete removes the objects and waits until the table without them serves.
func (w *World) Delete(yaml string) *graph.Graph {
	w.t.Helper()
	for _, m := range w.parse(yaml) {
		w.pipeline.Delete(m.Object)
	}
	return w.wait()
}

func (w *World) parse(yaml string) []*manifests.Manifest {
	w.t.Helper()
	ms, problems := w.reader.Parse("world.yaml", []byte(yaml))
	for _, p := range problems {
		w.t.Fatal(p)
	}
	return ms
}

func (w *World) upsert(yaml string) {
	w.t.Helper()
	for _, m := range w.parse(yaml) {
		if s, ok := m.Object.(*corev1.Service); ok && s.Annotations["test/endpoints"] != "none" {
			w.pipeline.Upsert(w.Backend(s.Namespace + "/" + s.Name).slice(s))
		}
		w.pipeline.Upsert(m.Object)
	}
}

// Host makes DNS say where a name is; "" that there is no such name.
func (w *World) Host(name, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[name] = address
}

// lookup is the DNS of the World.
func (w *World) lookup(_ context.Context, name string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	address, err := netip.ParseAddr(w.hosts[strings.TrimSuffix(name, ".")])
	return []netip.Addr{address}, err
}

// Backend returns the one behind a Service, "shop/api". It is started when first
// asked for.
func (w *World) Backend(name string) *Backend {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.backends[name]
	if b == nil {
		b = &Backend{Name: name}
		b.server = httptest.NewUnstartedServer(b)
		b.server.Config.Protocols = new(http.Protocols)
		b.server.Config.Protocols.SetHTTP1(true)
		b.server.Config.Protocols.SetUnencryptedHTTP2(true)
		b.server.Start()
		w.backends[name] = b
	}
	return b
}

// ServeHTTP implements http.Handler.
func (b *Backend) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.asked++
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		answer(rw, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(Seen{b.Name, r.Method, r.RequestURI, r.Host, r.Header, string(body)})
}

// slice is the EndpointSlice that leads to the backend.
func (b *Backend) slice(s *corev1.Service) *discoveryv1.EndpointSlice {
	at := netip.MustParseAddrPort(b.server.Listener.Addr().String())
	out := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	out.Name, out.Namespace = s.Name+"-1", s.Namespace
	out.Labels = map[string]string{discoveryv1.LabelServiceName: s.Name}
	ready := true
	out.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}
	for i := range s.Spec.Ports {
		port := int32(at.Port())
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: &s.Spec.Ports[i].Name, Port: &port})
	}
	return out
}

// Addr is the address of a listener; "shop/edge/http" when id is empty.
func (w *World) Addr(id string) string {
	w.t.Helper()
	if id == "" {
		id = "shop/edge/http"
	}
	addr := w.Server.Addr(id)
	if addr == nil {
		w.t.Fatalf("listener %s is not open: %v", id, w.Server.Applied().Listeners[id])
	}
	return addr.String()
}

// Raw sends bytes as they are and returns the status of each answer that came
// until the gateway closed the connection, or nothing came for three seconds.
func (w *World) Raw(text string) (statuses []int) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.Addr(""))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.Copy(c, bytes.NewBufferString(text)); err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	in := bufio.NewReader(c)
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// Route is an HTTPRoute "shop/<name>" on the Gateway with the rules given, each
// a YAML flow mapping.
func Route(name string, rules ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " + strconv.Quote(name) + ", namespace: shop}\n")
	b.WriteString("spec:\n  parentRefs: [{name: edge}]\n  rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	return b.String() + "---\n"
}
