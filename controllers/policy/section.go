package policy

import (
	"fmt"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// StrategyOf returns the strategy of a section.
func StrategyOf(s v1alpha1.Section) Strategy {
	overrides, merge := s.Precedence == v1alpha1.PrecedenceOverrides, s.Strategy == v1alpha1.StrategyMerge
	switch {
	case overrides && merge:
		return MergeOverrides
	case overrides:
		return AtomicOverrides
	case merge:
		return MergeDefaults
	}
	return AtomicDefaults
}

// TargetOf returns what a reference of a policy in namespace names.
func TargetOf(namespace string, ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) Target {
	t := Target{Kind: string(ref.Kind), Namespace: namespace, Name: string(ref.Name)}
	if ref.Group != gatewayv1.GroupName {
		t.Kind = string(ref.Group) + "/" + t.Kind
	}
	if ref.SectionName != nil {
		t.Section = string(*ref.SectionName)
	}
	return t
}

// RulesField is where the rules of a policy stand.
func RulesField(defaults, overrides bool) string {
	switch {
	case overrides:
		return "spec.overrides.rules"
	case defaults:
		return "spec.defaults.rules"
	}
	return "spec.rules"
}

// HtpasswdNotes says of the lines of an htpasswd file that let nobody in why they do
// not. check, unless it is nil, judges the hash of one.
func HtpasswdNotes(file []byte, check func(hash string) error) (notes []string) {
	number := 0
	for line := range strings.Lines(string(file)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		_, hash, ok := strings.Cut(line, ":")
		if !ok {
			notes = append(notes, fmt.Sprintf("line %d is not name:hash and counts for nobody", number))
		} else if check != nil {
			if err := check(hash); err != nil {
				notes = append(notes, fmt.Sprintf("line %d lets nobody in: %v", number, err))
			}
		}
	}
	return notes
}
