// Command schemas writes what controllers/manifests checks files against: the
// schemas of the custom resources, taken from their definitions, without
// descriptions, and the rules that the schemas name by their numbers. `make generate` runs it.
//
//	schemas OUT CRD.yaml...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/controllers/rules"
)

// kept are the kinds that the gateway reads.
var kept = [...]string{"AuthPolicy", "BackendTLSPolicy", "GRPCRoute", "Gateway", "GatewayClass", "GatewayParameters", "HTTPRoute", "ListenerSet", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute", "ValidationPolicy", "XBackend", "XBackendTrafficPolicy"}

// bundle is what is written.
type bundle struct {
	Kinds   map[string]any `json:"kinds"` // schemas by "apiVersion/kind"
	Rules   []rules.Rule   `json:"rules"` // most stand at many places of the schemas
	numbers map[rules.Rule]int
	within  []string // allOf and the like around the schema at hand
}

func main() {
	if len(os.Args) < 3 {
		fail(errors.New("usage: schemas OUT CRD.yaml ... CRD.yaml"))
	}
	out := bundle{Kinds: map[string]any{}, numbers: map[rules.Rule]int{}}
	for _, name := range os.Args[2:] {
		text, err := os.ReadFile(name)
		if err != nil {
			fail(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			fail(fmt.Errorf("%s: %w", name, err))
		}
		if wanted(crd.Spec.Names.Kind) {
			out.add(&crd)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		fail(err)
	}
	if err := os.WriteFile(os.Args[1], append(text, '\n'), 0o644); err != nil {
		fail(err)
	}
}

func wanted(kind string) bool {
	for _, k := range kept {
		if k == kind {
			return true
		}
	}
	return false
}

// add puts each served version under "apiVersion/kind".
func (b *bundle) add(crd *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range crd.Spec.Versions {
		if !v.Served {
			continue
		}
		text, err := json.Marshal(v.Schema.OpenAPIV3Schema)
		if err != nil {
			fail(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(text, &schema); err != nil {
			fail(err)
		}
		schema["properties"].(map[string]any)["status"] = map[string]any{} // the controller's: nobody writes it in a file
		b.strip(schema)
		b.Kinds[crd.Spec.Group+"/"+v.Name+"/"+crd.Spec.Names.Kind] = schema
	}
}

// strip removes what a reader needs and a check does not, and closes objects:
// a field that is not in the schema is an error, as with kubectl's strict
// validation.
func (b *bundle) strip(schema map[string]any) {
	for _, k := range []string{"description", "x-kubernetes-map-type", "example"} {
		delete(schema, k)
	}
	if f := schema["format"]; f != "ipv4" && f != "ipv6" { // the others say of what size a number is
		delete(schema, "format")
	}
	if schema["x-kubernetes-list-type"] != "set" { // lists of type map have their keys beside it
		delete(schema, "x-kubernetes-list-type")
	}
	b.number(schema)
	if properties, ok := schema["properties"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			b.strip(properties[name].(map[string]any))
		}
		if _, open := schema["x-kubernetes-preserve-unknown-fields"]; !open && len(b.within) == 0 { // an alternative names only what differs
			schema["additionalProperties"] = false
		}
	}
	for _, k := range []string{"items", "additionalProperties"} {
		if s, ok := schema[k].(map[string]any); ok {
			b.strip(s)
		}
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf", "not"} {
		list, _ := schema[k].([]any)
		if s, ok := schema[k].(map[string]any); ok {
			list = []any{s}
		}
		b.within = append(b.within, k)
		for _, s := range list {
			b.strip(s.(map[string]any))
		}
		b.within = b.within[:len(b.within)-1]
	}
}

// number puts the numbers of a schema's rules in their place.
func (b *bundle) number(schema map[string]any) {
	written, _ := schema[rules.Key].([]any)
	delete(schema, rules.Key)
	if len(written) > 0 && len(b.within) > 0 {
		fail(fmt.Errorf("a rule within %v, where controllers/rules does not look for any", b.within))
	}
	var numbers []any
	for _, w := range written {
		var rule rules.Rule
		for k, v := range w.(map[string]any) {
			switch k {
			case "rule":
				rule.Rule = v.(string)
			case "message":
				rule.Message = v.(string)
			default:
				fail(fmt.Errorf("a rule with %s, which controllers/rules does not know: %v", k, w))
			}
		}
		if strings.Contains(rule.Rule, "oldSelf") { // how an object may change: nobody asks when it is made
			continue
		}
		number, known := b.numbers[rule]
		if !known {
			number = len(b.Rules)
			b.numbers[rule], b.Rules = number, append(b.Rules, rule)
		}
		numbers = append(numbers, number)
	}
	if len(numbers) > 0 {
		schema[rules.Key] = numbers
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "schemas:", err)
	os.Exit(1)
}
