package manifests

import "testing"

// TestSchemas: every schema can be used; those of kinds that nobody has are not made.
func TestSchemas(t *testing.T) {
	s, err := loadSchemas()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.text) == 0 || len(s.kinds) > 0 {
		t.Fatalf("%d schemas, of which %d are made", len(s.text), len(s.kinds))
	}
	for name := range s.text {
		c, err := s.of(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if again, err := s.of(name); again != c || err != nil {
			t.Errorf("%s is made again: %v", name, err)
		}
	}
	if c, err := s.of("v1/Secret"); c != nil || err != nil {
		t.Errorf("a kind without a schema: %v, %v", c, err)
	}
}
