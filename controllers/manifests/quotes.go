package manifests

import (
	"maps"
	"slices"
)

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
