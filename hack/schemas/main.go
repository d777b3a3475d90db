// Command schemas writes what controllers/manifests checks files against: the
// schemas of the custom resources, taken from their definitions, without
// descriptions. `make generate` runs it.
//
//	schemas OUT CRD.yaml...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// kept are the kinds that the gateway reads.
var kept = [...]string{"AuthPolicy", "BackendTLSPolicy", "GRPCRoute", "Gateway", "GatewayClass", "GatewayParameters", "HTTPRoute", "ListenerSet", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute", "ValidationPolicy", "XBackend", "XBackendTrafficPolicy"}

func main() {
	if len(os.Args) < 3 {
		fail(errors.New("usage: schemas OUT CRD.yaml ... CRD.yaml"))
	}
	out := map[string]any{}
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
			add(out, &crd)
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
func add(out map[string]any, crd *apiextensionsv1.CustomResourceDefinition) {
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
		strip(schema)
		schema["properties"].(map[string]any)["status"] = map[string]any{} // the controller's: nobody writes it in a file
		out[crd.Spec.Group+"/"+v.Name+"/"+crd.Spec.Names.Kind] = schema
	}
}

// strip removes what a reader needs and a check does not, and closes objects:
// a field that is not in the schema is an error, as with kubectl's strict
// validation.
func strip(schema map[string]any) {
	for _, k := range []string{"description", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-map-type", "format", "example"} {
		delete(schema, k)
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		for _, p := range properties {
			strip(p.(map[string]any))
		}
		if _, open := schema["x-kubernetes-preserve-unknown-fields"]; !open {
			schema["additionalProperties"] = false
		}
	}
	for _, k := range []string{"items", "additionalProperties", "not"} {
		if s, ok := schema[k].(map[string]any); ok {
			strip(s)
		}
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := schema[k].([]any)
		for _, s := range list {
			strip(s.(map[string]any))
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "schemas:", err)
	os.Exit(1)
}
