package manifests

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/controllers/rules"
)

// TestSchemas: every schema can be used; those of kinds that nobody has are not made.
func TestSchemas(t *testing.T) {
	s, err := loadSchemas()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.text) == 0 || len(s.kinds) > 0 {
		t.Fatalf("%d schemas, of which %d are made", len(s.text), len(s.kinds))
	}
	named := map[int]bool{}
	for name := range s.text {
		c, err := s.of(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if again, err := s.of(name); again != c || err != nil {
			t.Errorf("%s is made again: %v", name, err)
		}
		numbers(c.raw, named)
	}
	if c, err := s.of("v1/Secret"); c != nil || err != nil {
		t.Errorf("a kind without a schema: %v, %v", c, err)
	}
	if len(named) == 0 {
		t.Error("no schema has a rule")
	}
	for number := range named {
		if err := s.rules.Compile(number); err != nil {
			t.Error(err)
		}
	}
}

// numbers finds the rules that a schema names.
func numbers(v any, found map[int]bool) {
	switch v := v.(type) {
	case map[string]any:
		list, _ := v[rules.Key].([]any)
		for _, n := range list {
			found[int(n.(float64))] = true
		}
		for _, inner := range v {
			numbers(inner, found)
		}
	case []any:
		for _, inner := range v {
			numbers(inner, found)
		}
	}
}
