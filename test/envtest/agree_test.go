//go:build envtest

package envtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	files "github.com/gatehouse-dev/gatehouse/controllers/manifests" // manifests are those of config here
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// TestRefused asks the API server about the objects of which goldens say that it refuses them.
func TestRefused(t *testing.T) {
	goldens, err := filepath.Glob("../golden/testdata/refused/*.txtar")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, golden := range goldens {
		archive, err := txtar.ParseFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range bytes.Split(archive.Files[0].Data, []byte("\n---\n")) {
			if err := offer(t, text); err == nil {
				t.Errorf("the API server takes\n%s", text)
			}
		}
	}
}

// TestTaken is about what looks as if it were wrong.
func TestTaken(t *testing.T) {
	const head = "apiVersion: gateway.networking.k8s.io/v1\nkind: %s\nmetadata: {name: %s, labels: null, annotations: {}}\nspec:\n"
	for _, text := range []string{
		fmt.Sprintf(head, "HTTPRoute", "nothing") + "  hostnames:\n  parentRefs: [{name: web, namespace: null, group: ~}]\n  rules:\n  - timeouts: {request: null}\n    filters:\n    backendRefs: [{name: a, port: 80, weight: }]\n",
		fmt.Sprintf(head, "HTTPRoute", "dates") + "  rules:\n  - matches: [{headers: [{name: a, type: null, value: 2026-01-02}, {name: b, value: 'yes'}]}]\n",
		fmt.Sprintf(head, "Gateway", "addresses") + "  gatewayClassName: a\n  addresses: [{type: Hostname, value: a.example}, {value: '2001:db8::1'}, {}]\n  listeners: [{name: a, port: 80, protocol: HTTP}]\n",
		fmt.Sprintf(head, "Gateway", "options") + "  gatewayClassName: a\n  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {options: {a: b, c: null}}}]\n",
	} {
		if err := offer(t, []byte(text)); err != nil {
			t.Errorf("%v, of\n%s", err, text)
		}
	}
}

// offer offers an object to the API server without storing it; what it says must be what is said in a file.
func offer(t *testing.T, text []byte) (err error) {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, o); err != nil {
		t.Fatal(err)
	}
	t.Run(o.GetKind()+"/"+o.GetName(), func(t *testing.T) {
		o.SetNamespace("default")
		err = Client(t).Create(context.Background(), o, client.DryRunAll, client.FieldValidation("Strict"))
		agree(t, text, err)
	})
	return err
}

// agree compares what is said of an object in a file with what the API server, err, says of it:
// both refuse it or neither, for the same fields, and where it breaks a rule, with the same words.
func agree(t *testing.T, text []byte, err error) {
	t.Helper()
	broken, rules := faults(t, text)
	switch {
	case err == nil:
		for _, p := range slices.Concat(broken, rules) {
			t.Errorf("the API server takes it, but in a file it is refused: %v", p)
		}
		return
	case len(broken)+len(rules) == 0:
		t.Errorf("in a file it is taken, but the API server says %v", err)
	case !apierrors.IsInvalid(err):
		return // a field that there is not: the server looks no further
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	causes := slices.DeleteFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return c.Field == "<nil>" // that alternatives failed, and that rules were not run: others say of which field
	})
	for _, c := range causes {
		named := slices.ContainsFunc(broken, func(p files.Problem) bool { return place(c) == p.Field })
		if !named && !slices.ContainsFunc(rules, func(p files.Problem) bool { return says(c, p) }) {
			t.Errorf("nothing in a file is like %s: %s", place(c), c.Message)
		}
	}
	for _, p := range broken {
		if !slices.ContainsFunc(causes, func(c metav1.StatusCause) bool { return place(c) == p.Field }) {
			t.Errorf("in a file it is refused: %v\nbut the API server says %v", p, err)
		}
	}
	for _, p := range rules {
		if !slices.ContainsFunc(causes, func(c metav1.StatusCause) bool { return says(c, p) }) {
			t.Errorf("in a file it breaks a rule: %v\nbut the API server says %v", p, err)
		}
	}
}

// faults are what is wrong with an object in a file: its schema, and the rules that it breaks.
func faults(t *testing.T, text []byte) (broken, rules []files.Problem) {
	t.Helper()
	reader, err := files.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	_, all := reader.Parse("case.yaml", text)
	reader.Unruled = true
	_, broken = reader.Parse("case.yaml", text)
	for _, p := range all {
		if !slices.Contains(broken, p) {
			rules = append(rules, p)
		}
	}
	return broken, rules
}

// entry is how a rule's place names an entry of a map.
var entry = regexp.MustCompile(`\[([^]0-9][^]]*)\]`)

// place is the field of a cause, as files name it.
func place(c metav1.StatusCause) string { return entry.ReplaceAllString(c.Field, ".$1") }

// says tells whether a cause is that a rule is broken, in its words; a short value stands before them.
func says(c metav1.StatusCause, p files.Problem) bool {
	return place(c) == p.Field && strings.HasPrefix(c.Message, "Invalid value: ") && strings.HasSuffix(c.Message, ": "+p.Message)
}
