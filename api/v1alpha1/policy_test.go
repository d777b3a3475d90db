package v1alpha1

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// policy is what the attachment machinery may ask of any kind.
type policy interface {
	runtime.Object
	metav1.Object
	GetTargetRefs() []gatewayv1.LocalPolicyTargetReferenceWithSectionName
	GetMode() Mode
	GetSection() Section
	GetStatus() *gatewayv1.PolicyStatus
}

func kinds() map[string]func() policy {
	return map[string]func() policy{
		KindAuthPolicy:       func() policy { return &AuthPolicy{} },
		KindValidationPolicy: func() policy { return &ValidationPolicy{} },
	}
}

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for kind, empty := range kinds() {
		for _, name := range []string{kind, kind + "List"} {
			if !scheme.Recognizes(GroupVersion.WithKind(name)) {
				t.Errorf("%s is not registered", name)
			}
		}
		gvks, _, err := scheme.ObjectKinds(empty())
		if err != nil || gvks[0] != GroupVersion.WithKind(kind) {
			t.Errorf("%s is registered as %v (%v)", kind, gvks, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	const head = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web, sectionName: https}]\n"
	check := func(name, spec string, mode Mode, section Section) {
		t.Helper()
		for kind, empty := range kinds() {
			p := empty()
			if err := yaml.UnmarshalStrict([]byte("kind: "+kind+"\nspec: {"+spec+"}"), p); err != nil {
				t.Errorf("%s: %s: %v", name, kind, err)
				continue
			}
			if p.GetMode() != mode || p.GetSection() != section {
				t.Errorf("%s: %s: %v %v, want %v %v", name, kind, p.GetMode(), p.GetSection(), mode, section)
			}
		}
	}
	check("nothing", "", ModeEnforce, Section{PrecedenceDefaults, StrategyAtomic})
	check("rules", "rules: {}", ModeEnforce, Section{PrecedenceDefaults, StrategyAtomic})
	check("shadow", "mode: Shadow, rules: {}", ModeShadow, Section{PrecedenceDefaults, StrategyAtomic})
	check("defaults", "defaults: {rules: {}}", ModeEnforce, Section{PrecedenceDefaults, StrategyAtomic})
	check("merged defaults", "defaults: {strategy: Merge, rules: {}}", ModeEnforce, Section{PrecedenceDefaults, StrategyMerge})
	check("overrides", "overrides: {rules: {}}", ModeEnforce, Section{PrecedenceOverrides, StrategyAtomic})
	check("merged overrides", "overrides: {strategy: Merge, rules: {}}", ModeEnforce, Section{PrecedenceOverrides, StrategyMerge})

	for kind, empty := range kinds() {
		p := empty()
		if err := yaml.UnmarshalStrict([]byte("spec:\n  "+head), p); err != nil {
			t.Fatal(err)
		}
		refs := p.GetTargetRefs()
		if len(refs) != 1 || refs[0].Name != "web" || *refs[0].SectionName != "https" {
			t.Errorf("%s: targets %v", kind, refs)
		}
		p.GetStatus().Ancestors = make([]gatewayv1.PolicyAncestorStatus, 1)
		if len(p.GetStatus().Ancestors) != 1 {
			t.Errorf("%s: GetStatus gives a copy", kind)
		}
	}
}

func TestGetRules(t *testing.T) {
	check := func(name, spec, when string) {
		t.Helper()
		var a AuthPolicy
		var v ValidationPolicy
		if err := yaml.UnmarshalStrict([]byte(spec), &a.Spec); err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(spec), &v.Spec); err != nil {
			t.Fatal(err)
		}
		if when == "" {
			if a.GetRules() != nil || v.GetRules() != nil {
				t.Errorf("%s: rules out of nothing", name)
			}
			return
		}
		if a.GetRules().When[0] != Expression(when) || v.GetRules().When[0] != Expression(when) {
			t.Errorf("%s: %v and %v, want %s", name, a.GetRules().When, v.GetRules().When, when)
		}
	}
	check("nothing", "{}", "")
	check("rules", "rules: {when: [a]}", "a")
	check("defaults", "defaults: {rules: {when: [b]}}", "b")
	check("overrides", "overrides: {rules: {when: [c]}}", "c")
}
