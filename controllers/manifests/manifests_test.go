package manifests_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

func reader(t *testing.T) *manifests.Reader {
	t.Helper()
	r, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProblemsNameTheirPlace(t *testing.T) {
	r := reader(t)
	const head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: orders, namespace: shop}\n"
	refused := func(text string, want ...string) {
		t.Helper()
		_, problems := r.Parse("shop.yaml", []byte(text))
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\n got %q\nwant %q", text, got, want)
		}
	}
	refused("a: [", "shop.yaml:1: not valid YAML: did not find expected node content")
	refused("- 1", "shop.yaml:1: not a Kubernetes object; a document starts with apiVersion and kind")
	refused("kind: HTTPRoute", "shop.yaml:1: apiVersion and kind must both be set")
	refused(head+"spec:\n  ruls: []\n",
		"shop.yaml:5: HTTPRoute shop/orders: spec.ruls: unknown field; did you mean rules?")
	refused(head+"spec:\n  rules:\n  - matches:\n    - path: {type: Prefix, value: /}\n",
		`shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].matches[0].path.type: "Prefix" is not one of Exact, PathPrefix, RegularExpression`)
	refused(head+"spec:\n  rules:\n  - backendRefs:\n    - port: 80\n",
		"shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].name: is required; add it")
	refused(head+"spec:\n  rules:\n  - backendRefs:\n    - {name: api, port: eighty}\n",
		"shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].port: is of type string, must be integer")
	refused("apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec:\n  prts: []\n",
		"shop.yaml:5: Service api: spec.prts: unknown field; remove it or mend its name")
	const group = "apiVersion: gateway.networking.k8s.io/"
	refused(group+"v1\nkind: HTTPRute\nmetadata: {name: api}\n",
		"shop.yaml:2: kind: HTTPRute of gateway.networking.k8s.io/v1 is not a kind Gatehouse reads; did you mean HTTPRoute?")
	refused(group+"v1\nkind: Mesh\nmetadata: {name: api}\n",
		"shop.yaml:2: kind: Mesh of gateway.networking.k8s.io/v1 is not a kind Gatehouse reads; it reads GatewayClass, Gateway, ListenerSet, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute, ReferenceGrant, BackendTLSPolicy, XBackendTrafficPolicy, AuthPolicy, ValidationPolicy, GatewayParameters, XBackend, Ingress, IngressClass, Service, EndpointSlice, Secret, ConfigMap, Namespace")
	refused(group+"v2\nkind: HTTPRoute\nmetadata: {name: api}\n",
		"shop.yaml:1: apiVersion: HTTPRoute of gateway.networking.k8s.io/v2 is not read; write gateway.networking.k8s.io/v1")
	for _, wrong := range []string{"gateway.networking.k8.io/v1", "networking.k8s.io/v1", "networking.x-k8s.io/v1alpha1"} {
		refused("apiVersion: "+wrong+"\nkind: HTTPRoute\nmetadata: {name: api}\n",
			"shop.yaml:1: apiVersion: HTTPRoute of "+wrong+" is not read; did you mean gateway.networking.k8s.io/v1?")
	}
	refused("apiVersion: v1\nkind: Service\nmetadata:\n  name: api\n  labels: {a: 5, b: '5'}\n  annotations: {prometheus.io/scrape: true}\nspec: {ports: [{port: 80}]}\n",
		"shop.yaml:6: Service api: metadata.annotations.prometheus.io/scrape: must be a string; put it in quotes",
		"shop.yaml:5: Service api: metadata.labels.a: must be a string; put it in quotes")
	refused("apiVersion: core/v1\nkind: Service\nmetadata: {name: api}\n", "shop.yaml:1: apiVersion: Service of core/v1 is not read; did you mean v1?")
	refused("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: api}\n")
	refused("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: api}\n")
	refused(head+"spec:\n  rules:\n  - backendRefs:\n    - {name: '', port: 80000, weight: -1}\n",
		"shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].name: is empty; write something",
		"shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].port: is 80000, must be at most 65535",
		"shop.yaml:7: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].weight: is -1, must be at least 0")
	refused(head+"spec:\n  rules: ["+strings.Repeat("{},", 17)+"]\n", "shop.yaml:5: HTTPRoute shop/orders: spec.rules: has 17 items, must have at most 16")
	refused("apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: api}\n",
		"shop.yaml:1: apiVersion: Ingress of networking.k8s.io/v1beta1 is not read; write networking.k8s.io/v1")
	refused("apiVersion: v1\nkind: Service\nmetadata: {name: my.api}\n",
		`shop.yaml:3: Service my.api: metadata.name: "my.api" is no name that an API server takes; use lower case letters, digits and -`)
	refused("apiVersion: v1\nkind: Secret\nmetadata: {name: my.key, namespace: Shop}\n",
		`shop.yaml:3: Secret Shop/my.key: metadata.namespace: "Shop" is no name of a namespace; use lower case letters, digits and -`)
	refused(head+"spec:\n  hostnames: [a.example:80]\n",
		`shop.yaml:5: HTTPRoute shop/orders: spec.hostnames[0]: "a.example:80" is not of the right form; write a host name in lower case, without scheme, port or path, such as shop.example.com or *.example.com`)
	refused(head+"spec:\n  rules:\n  - timeouts: {request: 5}\n",
		"shop.yaml:6: HTTPRoute shop/orders: spec.rules[0].timeouts.request: is of type number, must be string; write whole numbers with units, such as 30s, 500ms or 1h30m")
	refused("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec:\n  gatewayClassName: a\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n",
		"shop.yaml:6: Gateway a: spec.listeners: Listener name must be unique within the Gateway",
		"shop.yaml:8: Gateway a: spec.listeners[1]: has the same name as spec.listeners[0]; give each its own")
	refused("apiVersion: gatehouse.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]\n  rules:\n    authentication:\n      staff: {kubernetes: {audiences: [a, b, a]}}\n",
		"shop.yaml:8: AuthPolicy a: spec.rules.authentication.staff.kubernetes.audiences[2]: is the same as spec.rules.authentication.staff.kubernetes.audiences[0]; remove one")
	refused(head+"spec:\n  hostnames: [on, 'off']\n  rules:\n  - matches:\n    - headers: [{name: a, value: yes}, {name: b, value: !!str yes}]\n",
		"shop.yaml:5: HTTPRoute shop/orders: spec.hostnames[0]: is of type boolean, must be string; write a host name in lower case, without scheme, port or path, such as shop.example.com or *.example.com",
		"shop.yaml:8: HTTPRoute shop/orders: spec.rules[0].matches[0].headers[0].value: is of type boolean, must be string; put it in quotes")
	refused("kind: Secret\nmetadata:\n \tname: a\n", "shop.yaml:3: not valid YAML: a tab; indent with spaces")
	refused("a: a\nkind: @a\n", "shop.yaml:2: not valid YAML: found character that cannot start any token")
	refused("kind: Secret\n# caf\xe9\n", "shop.yaml:2: not valid YAML: a character that is not UTF-8; save the file as UTF-8")
	refused("kind: Secret\n#\x00", "shop.yaml:2: not valid YAML: a control character; save the file as text in UTF-8")
	refused("{\"a\": 1}\n{\"a\": 2}\n", "shop.yaml:1: apiVersion and kind must both be set",
		"shop.yaml:1: not valid YAML: did not find expected <document start>; put a line --- between two objects")
	refused("kind: Secret\ndata: {{ toYaml .Values.data }}\n",
		"shop.yaml:1: not valid YAML: a map stands where a name must; put text with braces in quotes, and give what a template comes to, as helm template prints it")
	refused("kind: Secret\n{{- if .Values.data }}\ndata: {}\n{{- end }}\n",
		"shop.yaml:2: not valid YAML: could not find expected ':'; give what a template comes to, as helm template prints it")
	refused("apiVersion: v1\nkind: Namespace\napiVersion: v1\nkind: Namespace\n",
		`shop.yaml:3: not valid YAML: mapping key "apiVersion" already defined at line 1; put a line --- between two objects`)
	refused("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\n")
}

func TestDefaultsAreThoseOfTheAPIServer(t *testing.T) {
	ms, problems := reader(t).Parse("shop.yaml", []byte(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders}
spec:
  parentRefs: [{name: edge}]
  rules:
  - backendRefs: [{name: api, port: 80}]
`))
	if len(problems) > 0 || len(ms) != 1 {
		t.Fatalf("got %d manifests, problems %v", len(ms), problems)
	}
	route := ms[0].Object.(*gatewayv1.HTTPRoute)
	if route.Namespace != "default" || *route.Spec.ParentRefs[0].Kind != "Gateway" {
		t.Errorf("namespace %q, parent kind %q", route.Namespace, *route.Spec.ParentRefs[0].Kind)
	}
	rule := route.Spec.Rules[0]
	if len(rule.Matches) != 1 || *rule.Matches[0].Path.Value != "/" || *rule.BackendRefs[0].Weight != 1 {
		t.Errorf("rule %+v", rule)
	}
	if line := ms[0].Line("spec.rules[0].backendRefs[0].port"); line != 8 {
		t.Errorf("line %d, want 8", line)
	}
}

// TestVersionsOfAKindAreOne: the Gateway API's older versions say the same in the same
// fields, and an API server takes them.
func TestVersionsOfAKindAreOne(t *testing.T) {
	for _, written := range []string{
		"v1beta1\nkind: GatewayClass\nmetadata: {name: a}\nspec: {controllerName: a.example/b}",
		"v1beta1\nkind: Gateway\nmetadata: {name: a}\nspec: {gatewayClassName: a, listeners: [{name: a, port: 80, protocol: HTTP}]}",
		"v1beta1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {hostnames: [a.example]}",
		"v1beta1\nkind: ReferenceGrant\nmetadata: {name: a}\nspec: {from: [{group: '', kind: Secret, namespace: a}], to: [{group: '', kind: Secret}]}",
		"v1alpha2\nkind: TLSRoute\nmetadata: {name: a}\nspec: {hostnames: [a.example], rules: [{backendRefs: [{name: a, port: 1}]}]}",
		"v1alpha2\nkind: TCPRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: a, port: 1}]}]}",
	} {
		ms, problems := reader(t).Parse("a.yaml", []byte("apiVersion: gateway.networking.k8s.io/"+written))
		if len(problems) > 0 || len(ms) != 1 {
			t.Errorf("%s: got %d manifests, problems %v", written, len(ms), problems)
			continue
		}
		if got := ms[0].Object.GetObjectKind().GroupVersionKind().Version; got != "v1" || !store.New().Apply(ms[0].Object) {
			t.Errorf("%s: read as %T of %s, which is no change", written, ms[0].Object, got)
		}
	}
}

func TestStringDataBecomesData(t *testing.T) {
	ms, problems := reader(t).Parse("key.yaml", []byte(`
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {a: YQ==, b: YQ==}
stringData: {b: plain}
`))
	if len(problems) > 0 || len(ms) != 1 {
		t.Fatalf("got %d manifests, problems %v", len(ms), problems)
	}
	secret := ms[0].Object.(*corev1.Secret)
	if string(secret.Data["a"]) != "a" || string(secret.Data["b"]) != "plain" || secret.StringData != nil {
		t.Errorf("data %q, stringData %q", secret.Data, secret.StringData)
	}
}

// TestLinesAreFoundAgain asks for lines of a file that was read before: its nodes are
// not kept from one Load to the next.
func TestLinesAreFoundAgain(t *testing.T) {
	folder := t.TempDir()
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "
	if err := os.WriteFile(filepath.Join(folder, "shop.yaml"), []byte("---\n---\n"+namespace+"a\n---\n# none\n---\n"+namespace+"b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := reader(t)
	for range 2 {
		ms, problems := r.Load(folder)
		if len(ms) != 2 || len(problems) > 0 {
			t.Fatalf("got %d objects, %v", len(ms), problems)
		}
		for i, want := range []int{6, 13} {
			if got := ms[i].Line("metadata.name"); got != want {
				t.Errorf("%s: got line %d, want %d", ms[i].Name(), got, want)
			}
		}
	}
	made := manifests.Manifest{Object: &corev1.Namespace{}}
	if got := made.Line("metadata.name"); got != 0 {
		t.Errorf("an object of no file is at line %d", got)
	}
}

// TestListsAreTheirItems: what kubectl get prints of several objects is what it prints of
// each, and its lines are found.
func TestListsAreTheirItems(t *testing.T) {
	const list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n" +
		"- apiVersion: gateway.networking.k8s.io/v1\n  kind: HTTPRoute\n  metadata: {name: r}\n  spec:\n    ruls: []\n---\n" +
		"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n---\nkind: List\nitems: []\n"
	ms, problems := reader(t).Parse("all.yaml", []byte(list))
	if len(ms) != 2 || ms[0].Line("metadata.name") != 7 || ms[1].Line("metadata.name") != 17 {
		t.Errorf("got %d objects: %+v", len(ms), ms)
	}
	if len(problems) != 1 || problems[0].String() != "all.yaml:12: HTTPRoute r: spec.ruls: unknown field; did you mean rules?" {
		t.Errorf("got %v", problems)
	}
}

// TestVersionsAreNotRead: a file that kubectl get wrote says of which version the object is,
// and goes on saying so when somebody has edited it. Its content counts.
func TestVersionsAreNotRead(t *testing.T) {
	r, held := reader(t), store.New()
	for i, label := range []string{"a", "b"} {
		ms, problems := r.Parse("key.yaml", []byte(`
apiVersion: v1
kind: Secret
metadata: {name: key, uid: u, resourceVersion: "8", generation: 1, labels: {is: `+label+`}}
`))
		if len(problems) > 0 || len(ms) != 1 {
			t.Fatalf("got %d manifests, problems %v", len(ms), problems)
		}
		if !held.Apply(ms[0].Object) {
			t.Errorf("reading %d is no change", i)
		}
	}
	ms, _ := r.Parse("route.yaml", []byte("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, uid: u, resourceVersion: \"8\", generation: 1}\nspec: {hostnames: [a.example]}\n"))
	edited, _ := r.Parse("route.yaml", []byte("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, uid: u, resourceVersion: \"9\", generation: 1}\nspec: {hostnames: [b.example]}\n"))
	if !held.Apply(ms[0].Object) || !held.Apply(edited[0].Object) {
		t.Error("a route of another host is no change")
	}
}

// TestKindsWithoutNamespace: what is of no namespace is found by its name, whatever the file
// says, as it is in a cluster.
func TestKindsWithoutNamespace(t *testing.T) {
	ms, problems := reader(t).Parse("a.yaml", []byte(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: one, namespace: shop}
spec: {controllerName: example.com/c}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: one, namespace: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: one, namespace: shop}
`))
	if len(problems) > 0 || len(ms) != 3 {
		t.Fatalf("got %d manifests, problems %v", len(ms), problems)
	}
	held := store.New()
	for _, m := range ms {
		if held.Apply(m.Object); m.Object.GetNamespace() != "" {
			t.Errorf("%s is in namespace %q", m.Name(), m.Object.GetNamespace())
		}
	}
	if r := held.Read(); r.GatewayClass("one") == nil || r.Namespace("one") == nil {
		t.Error("they are not found")
	}
}

// TestPaths: a path may be standard input, which is read once, and a link to a folder.
func TestPaths(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "
	for _, err := range []error{os.WriteFile(filepath.Join(folder, "a.yaml"), []byte(namespace+"a"), 0o600), os.Symlink(folder, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := reader(t)
	if _, problems := r.Load(manifests.Stdin); len(problems) != 1 || problems[0].String() != "-: no such file or directory" {
		t.Errorf("got %v", problems)
	}
	r.Stdin = strings.NewReader(namespace + "b")
	for range 2 {
		ms, problems := r.Load(link, filepath.Join(link, ".", "a.yaml"), manifests.Stdin, manifests.Stdin)
		if len(problems) > 0 || len(ms) != 2 || ms[0].File != filepath.Join(link, "a.yaml") || ms[1].Name() != "Namespace b" {
			t.Errorf("got %v, %v", ms, problems)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n")
	f.Add("apiVersion: gatehouse.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: a}\nspec: {targetRefs: []}\n")
	f.Add("a: &a [*a]\n")
	f.Add("kind: [1, {}]\napiVersion: null\n")
	r, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, problems := r.Parse("x.yaml", []byte(text))
		for _, p := range problems {
			if p.Message == "" {
				t.Error("a problem without a message")
			}
		}
		for _, m := range ms {
			if m.Object.GetName() == "" {
				t.Error("an object without a name was taken")
			}
		}
	})
}

// TestNothing: a field with nothing behind it is one that is not there, and a date a text, as kubectl has it.
func TestNothing(t *testing.T) {
	read := func(spec string) *gatewayv1.HTTPRoute {
		t.Helper()
		ms, problems := reader(t).Parse("shop.yaml", []byte("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: orders}\nspec:\n"+spec))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return ms[0].Object.(*gatewayv1.HTTPRoute)
	}
	full := read("  parentRefs: [{name: web}]\n  rules: [{matches: [{headers: [{name: a, value: '2026-01-02'}]}], backendRefs: [{name: a, port: 80}]}]\n")
	bare := read("  hostnames:\n  parentRefs: [{name: web, namespace: null, group: ~}]\n  rules:\n  - matches: [{headers: [{name: a, type: null, value: 2026-01-02}]}]\n    timeouts: {request: null}\n    filters:\n    backendRefs: [{name: a, port: 80, weight: }]\n")
	bare.Spec.Rules[0].Timeouts = nil // an empty one
	if !reflect.DeepEqual(full, bare) {
		t.Errorf("got %+v\nwant %+v", bare.Spec, full.Spec)
	}
}

// What has no end is not read for ever.
func TestEndless(t *testing.T) {
	r := reader(t)
	const want = ": longer than 64 MiB, of which no more is read; split it into several files"
	if _, problems := r.Load("/dev/zero"); len(problems) != 1 || problems[0].String() != "/dev/zero"+want {
		t.Error(problems)
	}
	r.Stdin = endless{}
	if _, problems := r.Load(manifests.Stdin); len(problems) != 1 || problems[0].String() != "-"+want {
		t.Error(problems)
	}
}

// endless is a pipe that never stops.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
