//go:build envtest

package envtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// World is the objects of one test, and the backend behind its Services. Its controller name is its own, so that a Gatehouse of
// another test would leave them alone.
type World struct {
	t          *testing.T
	Client     client.Client
	Namespace  string // also the name of its GatewayClass
	Port       int    // for a listener
	Port2      int    // for another
	Backend    *Backend
	controller string
	server     string // address of the API server, as Gatehouse is to reach it
}

// Backend answers with its name and the path it was asked for.
type Backend struct {
	server *httptest.Server
	Asked  atomic.Int64
	Hold   chan struct{} // requests for /hold are answered when it is closed
}

// base is what most tests start from. NS, CONTROLLER, PORT, PORT2, and MACHINE and BACKEND (the address
// and port of the backend) are replaced by what is the World's.
const base = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: NS}
spec: {controllerName: CONTROLLER}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: NS
  listeners:
  - {name: http, protocol: HTTP, port: PORT}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: NS}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, namespace: NS, labels: {kubernetes.io/service-name: api}}
addressType: IPv4
ports: [{name: "", port: BACKEND, protocol: TCP}]
endpoints: [{addresses: [MACHINE], conditions: {ready: true}}]
`

// route is an HTTPRoute of edge for one path prefix.
func routeTo(name, path string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: NS}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {value: %s}}]
    backendRefs: [{name: api, port: 80}]
`, name, path)
}

// NewWorld makes a World, and the objects in it.
func NewWorld(t *testing.T, objects ...string) *World {
	t.Helper()
	w := &World{t: t, Client: Client(t), Port: freePort(t), Port2: freePort(t), Backend: newBackend(t), server: strings.Trim(strings.TrimPrefix(Start(t).Host, "https:"), "/")}
	w.Namespace = Namespace(t, w.Client)
	w.controller = "gatehouse.dev/" + w.Namespace
	t.Cleanup(w.clear)
	w.Apply(objects...)
	return w
}

// clear takes away what another test's Gatehouse would look at.
func (w *World) clear() {
	class := &gatewayv1.GatewayClass{}
	class.Name = w.Namespace
	if err := client.IgnoreNotFound(w.Client.Delete(context.Background(), class)); err != nil {
		w.t.Error(err)
	}
	for _, kind := range []client.Object{&gatewayv1.Gateway{}, &gatewayv1.HTTPRoute{}, &v1alpha1.AuthPolicy{}, &v1alpha1.ValidationPolicy{}} {
		if err := w.Client.DeleteAllOf(context.Background(), kind, client.InNamespace(w.Namespace)); err != nil {
			w.t.Error(err)
		}
	}
}

func newBackend(t *testing.T) *Backend {
	b := &Backend{Hold: make(chan struct{})}
	ln, err := net.Listen("tcp", net.JoinHostPort(machine(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.Asked.Add(1)
		if r.URL.Path == "/hold" {
			<-b.Hold
		}
		_, _ = fmt.Fprintf(rw, "api %s %s", r.URL.Path, r.Header.Get("X-Route"))
	}))
	_ = b.server.Listener.Close()
	b.server.Listener = ln
	b.server.Start()
	t.Cleanup(b.server.Close)
	return b
}

// machine is an address of this machine's that an EndpointSlice may have: API servers refuse those of the loopback interface.
func machine(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Fatal("no network interface but loopback has an IPv4 address: an EndpointSlice cannot lead to this machine")
	return ""
}

// text replaces the World's names in YAML.
func (w *World) text(s string) string {
	at, err := url.Parse(w.Backend.server.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.NewReplacer("NS", w.Namespace, "CONTROLLER", w.controller, "PORT2", fmt.Sprint(w.Port2), "PORT", fmt.Sprint(w.Port),
		"BACKEND", at.Port(), "MACHINE", at.Hostname()).Replace(s)
}

func (w *World) parse(objects ...string) (out []*unstructured.Unstructured) {
	w.t.Helper()
	for _, text := range objects {
		for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(w.text(text)), 4096); ; {
			o := &unstructured.Unstructured{}
			err := decoder.Decode(o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				w.t.Fatalf("%v in\n%s", err, text)
			}
			if len(o.Object) > 0 {
				out = append(out, o)
			}
		}
	}
	return out
}

// Apply creates or changes objects.
func (w *World) Apply(objects ...string) {
	w.t.Helper()
	for _, o := range w.parse(objects...) {
		err := w.Client.Apply(context.Background(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
		if err != nil {
			w.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// Delete removes objects.
func (w *World) Delete(objects ...string) {
	w.t.Helper()
	for _, o := range w.parse(objects...) {
		if err := w.Client.Delete(context.Background(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Get reads an object of the World's namespace, or its class.
func Get[T client.Object](w *World, name string, into T) T {
	w.t.Helper()
	if err := w.Client.Get(context.Background(), client.ObjectKey{Namespace: w.Namespace, Name: name}, into); err != nil {
		w.t.Fatal(err)
	}
	return into
}

// Change reads an object, changes it and writes it back, again if somebody else was faster.
func Change[T client.Object](w *World, name string, into T, change func(T), write func(context.Context, client.Object) error) T {
	w.t.Helper()
	for range 20 {
		change(Get(w, name, into))
		err := write(context.Background(), into)
		if err == nil {
			return into
		}
		if !apierrors.IsConflict(err) {
			w.t.Fatal(err)
		}
	}
	w.t.Fatal("conflicts without end")
	return into
}

// spec and status write the two halves of an object.
func (w *World) spec(ctx context.Context, o client.Object) error { return w.Client.Update(ctx, o) }

func (w *World) status(ctx context.Context, o client.Object) error {
	return w.Client.Status().Update(ctx, o)
}

// URL is a path at the World's first listener.
func (w *World) URL(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", w.Port, path) }

// Expect waits until a path is answered with a status.
func (w *World) Expect(path string, status int) {
	w.t.Helper()
	eventually(w.t, 15*time.Second, func() string {
		if got, _, text := ask(fresh, w.URL(path)); got != status {
			return fmt.Sprintf("%s is answered %d %s, want %d", path, got, text, status)
		}
		return ""
	})
}

// fresh makes a connection for every request.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

// ask returns the status of an answer, its code of problem+json if it has one, and the rest; status 0 when there is none.
func ask(c *http.Client, url string) (status int, code, text string) {
	response, err := c.Get(url)
	if err != nil {
		return 0, "", err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", err.Error()
	}
	var problem struct{ Code string }
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(body, &problem); err != nil {
			return 0, "", err.Error()
		}
	}
	return response.StatusCode, problem.Code, string(body)
}

// Status waits until the status of an object, printed as by describe, is as wanted. It returns the object.
func Status[T client.Object](w *World, name string, into T, want string) T {
	w.t.Helper()
	want = trim(w.text(want))
	eventually(w.t, 20*time.Second, func() string {
		got := trim(describe(Get(w, name, into)))
		if got == want {
			return ""
		}
		return fmt.Sprintf("the status of %T %s is\n%s\nwant\n%s", into, name, got, want)
	})
	return into
}

func trim(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// describe prints a status, a condition a line: "Accepted=True Accepted @generation". Conditions have a message and a time, or say
// that they have not.
func describe(o client.Object) string {
	var b strings.Builder
	conditions := func(list []metav1.Condition) {
		sort.Slice(list, func(i, j int) bool { return list[i].Type < list[j].Type })
		for _, c := range list {
			fmt.Fprintf(&b, "%s=%s %s @%d", c.Type, c.Status, c.Reason, c.ObservedGeneration-o.GetGeneration())
			if c.Message == "" {
				b.WriteString(" without a message")
			}
			if c.LastTransitionTime.IsZero() {
				b.WriteString(" without a time")
			}
			b.WriteString("\n")
		}
	}
	ancestors := func(list []gatewayv1.PolicyAncestorStatus) {
		for _, a := range list {
			fmt.Fprintf(&b, "ancestor %s by %s\n", reference(a.AncestorRef), a.ControllerName)
			conditions(a.Conditions)
		}
	}
	switch o := o.(type) {
	case *gatewayv1.GatewayClass:
		conditions(o.Status.Conditions)
	case *gatewayv1.Gateway:
		for _, a := range o.Status.Addresses {
			fmt.Fprintf(&b, "address %s %s\n", *a.Type, a.Value)
		}
		conditions(o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			fmt.Fprintf(&b, "listener %s routes=%d kinds=", l.Name, l.AttachedRoutes)
			for _, k := range l.SupportedKinds {
				fmt.Fprintf(&b, " %s/%s", *k.Group, k.Kind)
			}
			b.WriteString("\n")
			conditions(l.Conditions)
		}
	case *gatewayv1.HTTPRoute:
		for _, p := range o.Status.Parents {
			fmt.Fprintf(&b, "parent %s by %s\n", reference(p.ParentRef), p.ControllerName)
			conditions(p.Conditions)
		}
	case *gatewayxv1alpha1.XBackendTrafficPolicy:
		ancestors(o.Status.Ancestors)
	case *v1alpha1.AuthPolicy:
		ancestors(o.Status.Ancestors)
	case *v1alpha1.ValidationPolicy:
		ancestors(o.Status.Ancestors)
	case *gatewayv1.BackendTLSPolicy:
		ancestors(o.Status.Ancestors)
	}
	return b.String()
}

// reference is "Kind namespace/name section :port", of what is set.
func reference(r gatewayv1.ParentReference) string {
	var out []string
	if r.Kind != nil {
		out = append(out, string(*r.Kind))
	}
	name := string(r.Name)
	if r.Namespace != nil {
		name = string(*r.Namespace) + "/" + name
	}
	out = append(out, name)
	if r.SectionName != nil {
		out = append(out, string(*r.SectionName))
	}
	if r.Port != nil {
		out = append(out, fmt.Sprintf(":%d", *r.Port))
	}
	return strings.Join(out, " ")
}
