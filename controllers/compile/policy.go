package compile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// policyMemo keeps what effective policies compiled to. Effective policies with
// equal content share one pointer, so that a policy of a Gateway with a
// thousand routes is one Auth.
type policyMemo struct {
	auths       memo[*attach.Effective, *compiledAuth]
	validations memo[*attach.Effective, *compiledValidation]
	sameAuth    memo[[32]byte, *table.Auth]
	sameChecks  memo[[32]byte, *table.Validation]
	keySets     memo[string, *table.KeySet]
	touched     map[*attach.RulePolicies]bool
}

// compiledAuth is an effective AuthPolicy with what it needs beside itself.
type compiledAuth struct {
	auth     *table.Auth // nil: open
	sum      [32]byte
	keySets  []*table.KeySet
	backends []*table.Backend // that are asked
	rejected []table.Rejection
}

// compiledValidation is an effective ValidationPolicy.
type compiledValidation struct {
	validation *table.Validation
	sum        [32]byte
	rejected   []table.Rejection
}

func (m *policyMemo) turn() {
	m.auths.turn()
	m.validations.turn()
	m.sameAuth.turn()
	m.sameChecks.turn()
	m.keySets.turn()
	m.touched = map[*attach.RulePolicies]bool{}
}

// fill sets what the policies of a rule make of its action.
func (m *policyMemo) fill(a *table.Action, p *attach.RulePolicies) {
	if p == nil {
		return
	}
	a.Auth, a.ShadowAuth = m.auth(p.Auth), m.auth(p.ShadowAuth)
	a.Validation, a.ShadowValidation = m.validation(p.Validation), m.validation(p.ShadowValidation)
	if p.Unguarded != nil {
		a.Reply = unguarded()
	}
}

// touch says that a rule with these policies is still in the table.
func (m *policyMemo) touch(p *attach.RulePolicies) {
	if !m.touched[p] {
		m.touched[p] = true
		m.fill(&table.Action{}, p)
	}
}

func (m *policyMemo) auth(e *attach.Effective) *table.Auth {
	if e == nil {
		return nil
	}
	c := m.auths.get(e, func() *compiledAuth {
		c := compileAuth(e)
		if c.auth != nil {
			c.sum = table.Sum(c.auth)
			c.auth = m.sameAuth.get(c.sum, func() *table.Auth { return c.auth })
		}
		return c
	})
	if c.auth != nil {
		m.sameAuth.now[c.sum] = c.auth
	}
	return c.auth
}

func (m *policyMemo) validation(e *attach.Effective) *table.Validation {
	if e == nil {
		return nil
	}
	c := m.validations.get(e, func() *compiledValidation {
		c := compileValidation(e)
		if c.validation != nil {
			c.sum = table.Sum(c.validation)
			c.validation = m.sameChecks.get(c.sum, func() *table.Validation { return c.validation })
		}
		return c
	})
	if c.validation != nil {
		m.sameChecks.now[c.sum] = c.validation
	}
	return c.validation
}

// used returns the key sets of the policies in the table, by ID. It is called
// once per build, when every policy has been asked for.
func (m *policyMemo) used() (out []*table.KeySet) {
	for _, c := range m.auths.now {
		for _, k := range c.keySets {
			if _, seen := m.keySets.now[k.ID]; !seen {
				out = append(out, m.keySets.keep(k.ID, k, sameKeySet))
			}
		}
	}
	slices.SortFunc(out, func(a, b *table.KeySet) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// backends returns what the policies in the table ask, in no order.
func (m *policyMemo) backends() (out []*table.Backend) {
	for _, c := range m.auths.now {
		out = append(out, c.backends...)
	}
	return out
}

func sameKeySet(a, b *table.KeySet) bool {
	return a.URI == b.URI && a.Discovery == b.Discovery && string(a.Inline) == string(b.Inline)
}

// rejections lists what of the policies in the table cannot be used.
func (m *policyMemo) rejections() (out []table.Rejection) {
	for _, c := range m.auths.now {
		out = append(out, c.rejected...)
	}
	for _, c := range m.validations.now {
		out = append(out, c.rejected...)
	}
	slices.SortFunc(out, func(a, b table.Rejection) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason), cmp.Compare(a.Status, b.Status))
	})
	return slices.Compact(out)
}

func policyName(k attach.PolicyKey) string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// sources gives each policy of an effective one its number, by kind and name.
func sources(items []attach.Item, when func(*attach.Policy) []string) (list []table.Source, index map[*attach.Policy]int) {
	var from []*attach.Policy
	for _, it := range items {
		if !slices.Contains(from, it.From) {
			from = append(from, it.From)
		}
	}
	slices.SortFunc(from, func(a, b *attach.Policy) int { return strings.Compare(policyName(a.Key), policyName(b.Key)) })
	index = map[*attach.Policy]int{}
	for i, p := range from {
		index[p] = i
		list = append(list, table.Source{Policy: policyName(p.Key), When: when(p)})
	}
	return list, index
}

// closed is the answer to everyone where a policy is at fault (500).
func closed(c *attach.Closed) (*table.Reply, table.Rejection) {
	return &table.Reply{Status: 500, Code: "policy_invalid", Detail: "A policy of this route cannot be used."},
		table.Rejection{Object: policyName(c.Policy), Reason: c.Reason, Status: 500}
}

// unguarded is the answer to everyone where authentication is demanded and none
// is asked for (403).
func unguarded() *table.Reply {
	return &table.Reply{Status: 403, Code: "route_unguarded", Detail: "The gateway serves no route that does not say who may use it."}
}

// unavailable is the answer to everyone where something a policy needs is
// missing (503).
func unavailable() *table.Reply {
	return &table.Reply{
		Status: 503, Code: "policy_unavailable", Detail: "A policy of this route is waiting for something it needs.",
		RetryAfter: 5 * time.Second,
	}
}
