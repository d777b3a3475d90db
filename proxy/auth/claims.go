package auth

import "github.com/gatehouse-dev/gatehouse/proxy/table"

// KeyClaims is what CEL sees of a key's holder as auth.claims; its metadata is auth.metadata.
func KeyClaims(k *table.APIKey) map[string]any {
	scopes := k.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	metadata := make(map[string]any, len(k.Metadata)+2)
	for name, value := range k.Metadata {
		metadata[name] = value
	}
	metadata["scopes"] = scopes
	if k.Plan != "" {
		metadata["plan"] = k.Plan
	}
	return map[string]any{"scopes": scopes, "plan": k.Plan, "metadata": metadata}
}

// Weight is about how many bytes v takes, which was read from JSON.
func Weight(v any) int {
	const group, slots, value = 312, 8, 16 // a map has room for 8 members at least
	switch v := v.(type) {
	case map[string]any:
		n := group * (1 + len(v)/slots)
		for name, member := range v {
			n += len(name) + Weight(member)
		}
		return n
	case []any:
		n := value + value*len(v)
		for _, element := range v {
			n += Weight(element)
		}
		return n
	case string:
		return value + len(v)
	}
	return value
}
