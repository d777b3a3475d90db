// Package access compiles effective policies: what a request must show and
// which form it must have before it passes, as table.Auth and table.Validation.
// There is one file for each kind of policy, method or rule that needs one.
//
// Compile asks it for the policies of every rule. It calls nothing but
// proxy/table, and never fails: a policy that cannot be used closes what it
// guards.
package access

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/compile/memo"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Policies keeps what effective policies compiled to. Effective policies with
// equal content share one pointer, so that a policy of a Gateway with a
// thousand routes is one Auth.
type Policies struct {
	auths       memo.Map[*attach.Effective, *compiledAuth]
	validations memo.Map[*attach.Effective, *compiledValidation]
	sameAuth    memo.Map[[32]byte, *table.Auth]
	sameChecks  memo.Map[[32]byte, *table.Validation]
	keySets     memo.Map[string, *table.KeySet]
	touched     map[*attach.RulePolicies]bool
	reach       Reach
}

// Reach returns a port of the Service that an item's references resolved to, as a
// backend that policies ask.
type Reach func(parts attach.Parts, port int32) *table.Backend

// New returns Policies that remember nothing.
func New(reach Reach) *Policies { return &Policies{reach: reach} }

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

// Turn begins the next build.
func (m *Policies) Turn() {
	m.auths.Turn()
	m.validations.Turn()
	m.sameAuth.Turn()
	m.sameChecks.Turn()
	m.keySets.Turn()
	m.touched = map[*attach.RulePolicies]bool{}
}

// Fill sets what the policies of a rule make of its action.
func (m *Policies) Fill(a *table.Action, p *attach.RulePolicies) {
	if p == nil {
		return
	}
	a.Auth, a.ShadowAuth = m.auth(p.Auth), m.auth(p.ShadowAuth)
	a.Validation, a.ShadowValidation = m.validation(p.Validation), m.validation(p.ShadowValidation)
	if p.Unguarded != nil {
		a.Reply = unguarded()
	}
}

// Touch says that a rule with these policies is still in the table.
func (m *Policies) Touch(p *attach.RulePolicies) {
	if !m.touched[p] {
		m.touched[p] = true
		m.Fill(&table.Action{}, p)
	}
}

func (m *Policies) auth(e *attach.Effective) *table.Auth {
	if e == nil {
		return nil
	}
	c := m.auths.Get(e, func() *compiledAuth {
		c := compileAuth(e, m.reach)
		if c.auth != nil {
			c.sum = table.Sum(c.auth)
			c.auth = m.sameAuth.Get(c.sum, func() *table.Auth { return c.auth })
		}
		return c
	})
	if c.auth != nil {
		m.sameAuth.Now[c.sum] = c.auth
	}
	return c.auth
}

func (m *Policies) validation(e *attach.Effective) *table.Validation {
	if e == nil {
		return nil
	}
	c := m.validations.Get(e, func() *compiledValidation {
		c := compileValidation(e)
		if c.validation != nil {
			c.sum = table.Sum(c.validation)
			c.validation = m.sameChecks.Get(c.sum, func() *table.Validation { return c.validation })
		}
		return c
	})
	if c.validation != nil {
		m.sameChecks.Now[c.sum] = c.validation
	}
	return c.validation
}

// KeySets returns the key sets of the policies in the table, by ID. It is called
// once per build, when every policy has been asked for.
func (m *Policies) KeySets() (out []*table.KeySet) {
	for _, c := range m.auths.Now {
		for _, k := range c.keySets {
			if _, seen := m.keySets.Now[k.ID]; !seen {
				out = append(out, m.keySets.Keep(k.ID, k, sameKeySet))
			}
		}
	}
	slices.SortFunc(out, func(a, b *table.KeySet) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Backends returns what the policies in the table ask, in no order.
func (m *Policies) Backends() (out []*table.Backend) {
	for _, c := range m.auths.Now {
		out = append(out, c.backends...)
	}
	return out
}

func sameKeySet(a, b *table.KeySet) bool {
	return table.Sum(a) == table.Sum(b)
}

// Rejections lists what of the policies in the table cannot be used.
func (m *Policies) Rejections() (out []table.Rejection) {
	for _, c := range m.auths.Now {
		out = append(out, c.rejected...)
	}
	for _, c := range m.validations.Now {
		out = append(out, c.rejected...)
	}
	slices.SortFunc(out, func(a, b table.Rejection) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason), cmp.Compare(a.Status, b.Status))
	})
	return slices.Compact(out)
}

// Name is how the table calls a policy: "AuthPolicy shop/orders".
func Name(k attach.PolicyKey) string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// sources gives each policy of an effective one its number, by kind and name.
func sources(items []attach.Item, when func(*attach.Policy) []string) (list []table.Source, index map[*attach.Policy]int) {
	var from []*attach.Policy
	for _, it := range items {
		if !slices.Contains(from, it.From) {
			from = append(from, it.From)
		}
	}
	slices.SortFunc(from, func(a, b *attach.Policy) int { return strings.Compare(Name(a.Key), Name(b.Key)) })
	index = map[*attach.Policy]int{}
	for i, p := range from {
		index[p] = i
		list = append(list, table.Source{Policy: Name(p.Key), When: when(p)})
	}
	return list, index
}

// closed is the answer to everyone where a policy is at fault (500).
func closed(c *attach.Closed) (*table.Reply, table.Rejection) {
	return &table.Reply{Status: 500, Code: "policy_invalid", Detail: "A policy of this route cannot be used."},
		table.Rejection{Object: Name(c.Policy), Reason: c.Reason, Status: 500}
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

// Len returns how many values are remembered.
func (m *Policies) Len() int {
	return len(m.auths.Now) + len(m.auths.Last) + len(m.validations.Now) + len(m.validations.Last) + len(m.sameAuth.Now) + len(m.sameAuth.Last) +
		len(m.sameChecks.Now) + len(m.sameChecks.Last) + len(m.keySets.Now) + len(m.keySets.Last)
}
