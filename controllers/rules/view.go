package rules

import "strings"

// view is a value as rules see it: with names that an expression can say, and numbers of
// the kinds that the schema has.
func view(schema map[string]any, value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for name, inner := range value {
			of, key := field(schema, name)
			out[key] = view(of, inner)
		}
		return out
	case []any:
		of, _ := schema["items"].(map[string]any)
		out := make([]any, len(value))
		for i, inner := range value {
			out[i] = view(of, inner)
		}
		return out
	case int:
		if schema["type"] == "number" {
			return float64(value)
		}
	case float64:
		if schema["type"] == "integer" {
			return int64(value)
		}
	}
	return value
}

// field is the schema of an object's field, or of a map's entry, and what it is called in a rule.
// The schema is nil where a definition leaves open what is there.
func field(schema map[string]any, name string) (of map[string]any, key string) {
	properties, _ := schema["properties"].(map[string]any)
	if of, is := properties[name].(map[string]any); is {
		return of, escape(name)
	}
	of, _ = schema["additionalProperties"].(map[string]any)
	return of, name
}

// reserved are words of CEL, which no field can be called by.
var reserved = [...]string{
	"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
	"loop", "package", "namespace", "return", "var", "void", "while",
}

var escapes = strings.NewReplacer("__", "__underscores__", ".", "__dot__", "-", "__dash__", "/", "__slash__")

// escape is what a field is called in a rule.
func escape(name string) string {
	for _, word := range reserved {
		if name == word {
			return "__" + name + "__"
		}
	}
	return escapes.Replace(name)
}
