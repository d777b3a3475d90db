package attach

import (
	"fmt"
	"regexp"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
)

// validationPolicy checks a ValidationPolicy, names its items and resolves its
// references.
func (d *draft) validationPolicy(p *v1alpha1.ValidationPolicy) {
	d.object = p
	if !d.oneSection(p.Spec.Rules != nil, p.Spec.Defaults != nil, p.Spec.Overrides != nil) {
		return
	}
	rules, field := p.GetRules(), policy.RulesField(p.Spec.Defaults != nil, p.Spec.Overrides != nil)
	d.conditions(field+".when", rules.When)
	for _, name := range sortedKeys(rules.Checks) {
		item, check := d.item(ItemCheck, name), rules.Checks[name]
		d.check(item, field+".checks."+name, &check)
	}
}

func (d *draft) check(item, field string, c *v1alpha1.ValidationCheck) {
	if c.MaxBodyBytes != nil {
		if n, whole := c.MaxBodyBytes.AsInt64(); !whole || n < 1 {
			d.bad(field+".maxBodyBytes", "%s is not a whole number of bytes of 1 or more; write 1048576 or 1Mi", c.MaxBodyBytes)
		}
	}
	d.parameters(field+".headers", c.Headers)
	d.parameters(field+".query", c.Query)
	if c.JSONSchema == nil {
		return
	}
	switch s := c.JSONSchema; {
	case (s.Inline != nil) == (s.ConfigMapRef != nil):
		d.bad(field+".jsonSchema", "set exactly one of inline and configMapRef")
	case s.ConfigMapRef != nil:
		d.resolved[item] = d.config(s.ConfigMapRef, d.checks.Schema)
	case d.checks.Schema != nil:
		if err := d.checks.Schema(s.Inline.Raw); err != nil {
			d.bad(field+".jsonSchema.inline", "%v", err)
		}
	}
}

func (d *draft) parameters(field string, list []v1alpha1.Parameter) {
	for i, p := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		number := p.Type == v1alpha1.ParameterInteger || p.Type == v1alpha1.ParameterNumber
		switch {
		case p.Name == "":
			d.bad(at+".name", "it is empty; name the parameter")
		case !number && (p.Minimum != nil || p.Maximum != nil):
			d.bad(at, "minimum and maximum go with type integer or number; remove them or change the type")
		case p.Minimum != nil && p.Maximum != nil && *p.Minimum > *p.Maximum:
			d.bad(at, "minimum is greater than maximum")
		}
		if p.Pattern != nil {
			if _, err := regexp.Compile(*p.Pattern); err != nil {
				d.bad(at+".pattern", "%v", err)
			}
		}
	}
}
