package docs

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
)

// policiesPage is about policies as a whole.
const policiesPage = "docs/policies.md"

// TestPoliciesAreAccepted builds a cluster of each block of manifests in a page, and
// of each sample: what the schema cannot say, such as whether an expression
// compiles, is right too.
func TestPoliciesAreAccepted(t *testing.T) {
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	checks, err := proxy.NewChecks()
	if err != nil {
		t.Fatal(err)
	}
	const controller = "gatehouse.dev/gateway"
	judged := 0
	accepted := func(name string, all []*manifests.Manifest) {
		s := store.New()
		for _, m := range append(surroundings(t, reader, all), all...) {
			s.Apply(m.Object)
		}
		g := graph.NewBuilder(graph.Config{Controller: controller}).Build(s)
		policies := attach.NewBuilder(attach.Config{Controller: controller, Checks: attach.Checks(checks)}).Build(s, g)
		for _, p := range policies.All {
			judged++
			for _, a := range p.Ancestors {
				for _, c := range a.Conditions {
					if c.Type == "Accepted" && c.Status != "True" {
						t.Errorf("%s: %s: %s: %s", name, p.Key, c.Reason, c.Message)
					}
				}
			}
		}
	}
	for _, name := range samples(t) {
		all, _ := reader.Parse(name, []byte(page(t, name)))
		accepted(name, all)
	}
	for _, name := range pages(t) {
		for _, b := range blocks(t, name) {
			if b.language == "yaml" {
				all, _ := reader.Parse(name, []byte(b.text)) // TestManifestsAreGood tells what is wrong with them
				accepted(fmt.Sprintf("%s:%d", name, b.line), all)
			}
		}
	}
	if judged < 30 {
		t.Errorf("%d policies were judged; the pages of %s alone have more", judged, policyPages)
	}
}

// surroundings are the targets that the policies of all name and that are not
// among them: a Gateway, and routes under it with the sections that are named.
func surroundings(t *testing.T, reader *manifests.Reader, all []*manifests.Manifest) []*manifests.Manifest {
	t.Helper()
	const head = "apiVersion: %snetworking.k8s.io/v1\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec:\n"
	text := "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: gatehouse}\nspec: {controllerName: gatehouse.dev/gateway}\n---\n"
	there := map[string]bool{}
	key := func(kind string, name types.NamespacedName) string { return kind + " " + name.String() }
	for _, m := range all {
		there[key(m.Object.GetObjectKind().GroupVersionKind().Kind, types.NamespacedName{Namespace: m.Object.GetNamespace(), Name: m.Object.GetName()})] = true
	}
	add := func(kind string, name types.NamespacedName, section string) {
		if there[key(kind, name)] {
			return
		}
		there[key(kind, name)] = true
		group := "gateway."
		if kind == "Ingress" {
			group = ""
		}
		text += fmt.Sprintf(head, group, kind, name.Name, name.Namespace)
		switch kind {
		case "Ingress":
			text += "  ingressClassName: gatehouse\n  defaultBackend: {service: {name: any, port: {number: 80}}}\n---\n"
		case "Gateway":
			text += "  gatewayClassName: gatehouse\n  listeners: [{name: http, port: 80, protocol: HTTP}]\n---\n"
		default:
			rule := "{}"
			if section != "" {
				rule = "{name: " + section + "}"
			}
			text += "  parentRefs: [{name: edge}]\n  rules: [" + rule + "]\n---\n"
		}
	}
	for _, m := range all {
		p, ok := m.Object.(interface {
			GetTargetRefs() []gatewayv1.LocalPolicyTargetReferenceWithSectionName
			GetNamespace() string
		})
		if !ok {
			continue
		}
		add("Gateway", types.NamespacedName{Namespace: p.GetNamespace(), Name: "edge"}, "")
		for _, ref := range p.GetTargetRefs() {
			section := ""
			if ref.SectionName != nil {
				section = string(*ref.SectionName)
			}
			add(string(ref.Kind), types.NamespacedName{Namespace: p.GetNamespace(), Name: string(ref.Name)}, section)
		}
	}
	ms, problems := reader.Parse("surroundings", []byte(text))
	for _, p := range problems {
		t.Error(p)
	}
	return ms
}

// samples are the manifests of config/samples, relative to root.
func samples(t *testing.T) (out []string) {
	t.Helper()
	found, err := filepath.Glob(root + "/config/samples/gatehouse_*.yaml")
	if err != nil || len(found) < 10 {
		t.Fatalf("found %d samples: %v", len(found), err)
	}
	for _, name := range found {
		out = append(out, "config/samples/"+filepath.Base(name))
	}
	return out
}

// TestEveryKindOfItemHasPageAndSample goes by the fields of the API: each method,
// rule and credential is named on a page of its own, which docs/policies.md
// links to, and is in a sample.
func TestEveryKindOfItemHasPageAndSample(t *testing.T) {
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	note := func(item any) {
		v := reflect.ValueOf(item)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				used[v.Type().Name()+"."+tag(v.Type().Field(i))] = true
			}
		}
	}
	for _, name := range samples(t) {
		ms, problems := reader.Parse(name, []byte(page(t, name)))
		for _, p := range problems {
			t.Error(p)
		}
		for _, m := range ms {
			p, ok := m.Object.(*v1alpha1.AuthPolicy)
			if !ok || p.GetRules() == nil {
				continue
			}
			for _, m := range p.GetRules().Authentication {
				note(m)
			}
			for _, r := range p.GetRules().Authorization {
				note(r)
			}
			if p.GetRules().Response != nil {
				for _, c := range p.GetRules().Response.Credentials {
					note(c)
				}
			}
		}
	}
	titles := ""
	for _, name := range pages(t) {
		if filepath.Dir(name) == policyPages {
			title, _, _ := strings.Cut(page(t, name), "\n")
			titles += title + "\n"
			if name == policyPages+"/credentials.md" {
				titles += page(t, name)
			}
		}
	}
	shared := []string{"when", "mode", "header", "scheme", ""} // what goes with each kind of item
	for _, item := range []any{v1alpha1.AuthenticationMethod{}, v1alpha1.AuthorizationRule{}, v1alpha1.BackendCredential{}} {
		kind := reflect.TypeOf(item)
		for i := range kind.NumField() {
			field := tag(kind.Field(i))
			if slices.Contains(shared, field) {
				continue
			}
			if !used[kind.Name()+"."+field] {
				t.Errorf("no sample has the field %s of %s", field, kind.Name())
			}
			if !strings.Contains(titles, "`"+field+"`") {
				t.Errorf("no page of %s is about %s of %s: none has `%s` in its title", policyPages, field, kind.Name(), field)
			}
			if !strings.Contains(page(t, policiesPage), "`"+field+"`") && kind.Name() != "BackendCredential" {
				t.Errorf("%s does not name %s of %s", policiesPage, field, kind.Name())
			}
		}
	}
}

// tag is the name of a field in JSON.
func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
