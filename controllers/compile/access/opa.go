package access

import (
	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// opa compiles an opa rule.
func (c *authCompiler) opa(r *table.AuthRule, spec *v1alpha1.OPAAuthorization) error {
	parts := c.from.Resolved[c.name]
	if r.Unavailable = c.broken(parts); r.Unavailable != "" {
		return nil
	}
	data, err := attach.RegoData(spec, parts.Data)
	r.OPA = &table.OPA{Policy: attach.Rego(spec, parts), Query: spec.Query, Data: data}
	return err
}
