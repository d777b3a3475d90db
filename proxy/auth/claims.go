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
