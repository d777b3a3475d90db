package migrate

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPageNamesWhatIsKnown: docs/ingress.md says of each annotation that the account knows what becomes of it.
func TestPageNamesWhatIsKnown(t *testing.T) {
	page, err := os.ReadFile("../../docs/ingress.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9-]+\\*?)`").FindAllStringSubmatch(string(page), -1)
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(notCarried())), slices.Sorted(maps.Keys(different()))) {
		if !slices.ContainsFunc(named, func(m []string) bool {
			prefix, more := strings.CutSuffix(m[1], "*")
			return m[1] == name || more && strings.HasPrefix(name, prefix)
		}) {
			t.Errorf("docs/ingress.md does not say what becomes of %s", name)
		}
	}
}
