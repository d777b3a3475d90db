package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// YAML writes objects as documents, without what an API server adds to them.
func YAML(objects []Object) ([]byte, error) {
	var b bytes.Buffer
	for i, o := range objects {
		fields, err := bare(o)
		if err != nil {
			return nil, err
		}
		text, err := yaml.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", called(o), err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// JSON writes objects as one List.
func JSON(objects []Object) ([]byte, error) {
	items := make([]any, 0, len(objects))
	for _, o := range objects {
		fields, err := bare(o)
		if err != nil {
			return nil, err
		}
		items = append(items, fields)
	}
	return json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
}

// called is an object's kind, namespace and name: "HTTPRoute shop/orders".
func called(o Object) string {
	return o.GetObjectKind().GroupVersionKind().Kind + " " + o.GetNamespace() + "/" + o.GetName()
}

// File is a name for the file of an object.
func File(o Object) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", "/", "-").Replace(called(o)))
}

// bare are the fields of an object that its author writes.
func bare(o Object) (map[string]any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", called(o), err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("writing %s: %w", called(o), err)
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return fields, nil
}
