package guard

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/opa"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// rego is an opa.Policy, or why there is none.
type rego struct {
	*opa.Policy
	err error
}

// rego compiles t, or finds the policy that says the same: to compile one takes a
// thousand times as long as to evaluate it.
func (b *Builder) rego(t *table.OPA) (auth.Rule, error) {
	p := b.regos.get(table.Sum(t), func() rego {
		p, err := opa.Compile(t)
		return rego{p, err}
	})
	return p.Policy, p.err
}
