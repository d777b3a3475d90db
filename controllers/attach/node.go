package attach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// policyObject is what every kind of policy has.
type policyObject interface {
	metav1.Object
	GetTargetRefs() []gatewayv1.LocalPolicyTargetReferenceWithSectionName
	GetMode() v1alpha1.Mode
	GetSection() v1alpha1.Section
}

// statusOf is a policy's status as it is now: it changes without the policy's node.
func statusOf(r *store.Reader, key PolicyKey) *gatewayv1.PolicyStatus {
	if key.Kind == v1alpha1.KindAuthPolicy {
		return r.AuthPolicy(key.NamespacedName).GetStatus()
	}
	return r.ValidationPolicy(key.NamespacedName).GetStatus()
}

// policyNode is one policy, checked and with its references resolved. It depends
// on the policy, Secrets and ConfigMaps alone.
type policyNode struct {
	object policyObject
	core   *Policy        // what Items point to: all but Ancestors
	rule   *policy.Policy // what merging knows of it
	notes  []string       // what is wrong, but keeps nothing from working

	requires bool              // rules below its targets must ask who calls, or say why not
	facts    map[string]string // the metadata its expressions read, and a field that does
}

// draft collects what is found out about a policy.
type draft struct {
	reads    *store.Reader
	checks   *Checks
	object   policyObject
	problems []*spec.Problem
	items    []string
	resolved map[string]Parts
	notes    []string
	requires bool
	facts    map[string]string
	late     bool // what is looked at comes after metadata is fetched

	clusterless string // why no API server can be asked
}

// policyNode checks and resolves one policy.
func (b *Builder) policyNode(r *store.Reader, key PolicyKey) *policyNode {
	d := &draft{reads: r, checks: &b.config.Checks, resolved: map[string]Parts{}, facts: map[string]string{}, clusterless: b.config.Clusterless}
	switch key.Kind {
	case v1alpha1.KindAuthPolicy:
		d.authPolicy(r.AuthPolicy(key.NamespacedName))
	default:
		d.validationPolicy(r.ValidationPolicy(key.NamespacedName))
	}
	slices.Sort(d.items)
	n := &policyNode{
		object: d.object,
		core:   &Policy{Key: key, Generation: d.object.GetGeneration(), Object: d.object, Resolved: d.resolved},
		rule: &policy.Policy{
			Key:      policy.Key{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name},
			Created:  d.object.GetCreationTimestamp().Time,
			Strategy: policy.StrategyOf(d.object.GetSection()),
			Shadow:   d.object.GetMode() == v1alpha1.ModeShadow,
			Items:    d.items,
		},
		notes:    d.notes,
		requires: d.requires,
		facts:    d.facts,
	}
	for _, ref := range d.object.GetTargetRefs() {
		n.rule.Targets = append(n.rule.Targets, policy.TargetOf(key.Namespace, ref))
	}
	if p := spec.Sentences(d.problems); p != nil {
		n.rule.Broken = p.Text
	}
	return n
}

// demands says whether all the policy does is to demand authentication.
func (n *policyNode) demands() bool {
	return n.requires && len(n.rule.Items) == 0 && n.rule.Broken == ""
}

// item notes a part of the policy.
func (d *draft) item(section string, names ...string) string {
	name := strings.Join(append([]string{section}, names...), "/")
	d.items = append(d.items, name)
	return name
}

// bad notes what is wrong with a field. The policy is refused for it.
func (d *draft) bad(field, format string, args ...any) {
	d.problems = append(d.problems, spec.Problemf(gatewayv1.PolicyReasonInvalid, "%s: %s", field, fmt.Sprintf(format, args...)))
}

// conditions checks a list of CEL conditions.
func (d *draft) conditions(field string, list []v1alpha1.Expression) {
	for i, e := range list {
		d.expression(fmt.Sprintf("%s[%d]", field, i), d.checks.Condition, e)
	}
}

func (d *draft) expression(field string, check func(string) error, e v1alpha1.Expression) {
	if check == nil {
		return
	}
	if err := check(string(e)); err != nil {
		d.bad(field, "%v", err)
		return
	}
	d.known(field, e)
}

// config resolves a key of a ConfigMap and checks its value. What is missing or
// wrong there may be mended any moment: it breaks the part, not the policy.
func (d *draft) config(ref *v1alpha1.ConfigMapKeyReference, check func([]byte) error) Parts {
	name := ref.Name
	c := d.reads.ConfigMap(inNamespace(d.object, name))
	if c == nil {
		return Parts{Broken: fmt.Sprintf("ConfigMap %s/%s does not exist", d.object.GetNamespace(), name)}
	}
	value := ConfigValue(c, ref.Key)
	if value == nil {
		return Parts{Broken: fmt.Sprintf("ConfigMap %s/%s has no key %s", d.object.GetNamespace(), name, ref.Key)}
	}
	if check != nil {
		if err := check(value); err != nil {
			return Parts{Broken: fmt.Sprintf("ConfigMap %s/%s key %s: %v", d.object.GetNamespace(), name, ref.Key, err)}
		}
	}
	return Parts{Config: c}
}

// oneSection checks which of rules, defaults and overrides are there; false if none is.
func (d *draft) oneSection(set ...bool) bool {
	n := 0
	for _, is := range set {
		if is {
			n++
		}
	}
	if n != 1 {
		d.bad("spec", "%d of rules, defaults and overrides are set; set exactly one", n)
	}
	return n > 0
}

func splitItem(item string) (section, name string) {
	section, name, _ = strings.Cut(item, "/")
	return section, name
}

func comparePolicyKeys(a, b PolicyKey) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
