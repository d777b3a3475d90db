package attach

import (
	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
)

// metadata checks a step, and finds its Service and its Secret.
func (d *draft) metadata(item, field string, m *v1alpha1.MetadataStep) {
	d.conditions(field+".when", m.When)
	policy.CheckMetadata(m, func(at, why string) { d.bad(field+at, "%s", why) })
	policy.MetadataExpressions(m,
		func(at string, e v1alpha1.Expression) { d.expression(field+at, d.checks.Value, e) },
		func(at string, e v1alpha1.Expression) { d.expression(field+at, d.checks.Claim, e) })
	h, parts := m.HTTP, Parts{}
	if h != nil && h.BackendRef != nil {
		parts = d.service(h.BackendRef)
	}
	if h != nil && h.SecretHeader != nil && parts.Broken == "" {
		found := d.secretValue(h.SecretHeader.SecretRef.SecretReference, h.SecretHeader.SecretRef.Key)
		parts.Secrets, parts.Broken, parts.Forbidden = found.Secrets, found.Broken, found.Forbidden
	}
	d.resolved[item] = parts
}

// known notes which metadata an expression reads.
func (d *draft) known(field string, e v1alpha1.Expression) {
	if d.checks.Facts == nil {
		return
	}
	names, more := d.checks.Facts(string(e))
	if !d.late && (more || len(names) > 0) {
		d.bad(field, "metadata is fetched when it is known who calls, for authorization and response; it cannot be read here")
		return
	}
	for _, name := range names {
		d.facts[name] = field
	}
}
