package manifests

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// asKubectl makes of what stands below a node without quotes what kubectl makes of it,
// which reads YAML 1.1, and not 1.2: yes and off are true and false, and a date is a text.
func asKubectl(node *yaml.Node) {
	for i, n := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 { // a key
			continue
		}
		asKubectl(n)
	}
	if node.Kind != yaml.ScalarNode || node.Style != 0 {
		return
	}
	switch node.Tag {
	case "!!timestamp":
		node.Tag = "!!str"
	case "!!str":
		switch node.Value {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
			node.Tag, node.Value = "!!bool", "true"
		case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			node.Tag, node.Value = "!!bool", "false"
		}
	}
}

// unquoted finds labels and annotations whose values YAML reads as something else than
// texts, as it does true and 80.
func unquoted(value map[string]any) (problems []Problem) {
	metadata, _ := value["metadata"].(map[string]any)
	for _, part := range []string{"annotations", "labels"} {
		texts, _ := metadata[part].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			switch texts[key].(type) {
			case string, nil, map[string]any, []any: // null is the empty text
			default:
				problems = append(problems, Problem{Field: "metadata." + part + "." + key, Message: "must be a string; put it in quotes"})
			}
		}
	}
	return problems
}
