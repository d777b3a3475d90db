package keytext

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Check returns why no Secret can have this name or these labels. With --dry-run no API
// server says so, and a key is shown once.
func Check(name string, labels map[string]string) error {
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return fmt.Errorf("%q is no name of a Secret: %s", name, wrong[0])
	}
	for label, value := range labels {
		if wrong := append(validation.IsQualifiedName(label), validation.IsValidLabelValue(value)...); len(wrong) > 0 {
			return fmt.Errorf("label %s: %q: %s", label, value, wrong[0])
		}
	}
	return nil
}
