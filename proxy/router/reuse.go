package router

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// reuse says which parts of the router before are still good. A part is when
// its table value is the same pointer and the key sets its policies verify with
// are what they were: a policy holds its key set, and one made from keys that
// have been replaced would go on accepting what they signed.
type reuse struct {
	prev    *Router
	changed map[string]bool // key sets, by ID
}

func newReuse(t *table.Table, prev *Router) reuse {
	if prev == nil {
		return reuse{prev: &Router{}}
	}
	u := reuse{prev: prev, changed: map[string]bool{}}
	for _, k := range t.KeySets {
		if old := prev.keySets[k.ID]; old == nil || !sameKeys(old, k) {
			u.changed[k.ID] = true
		}
	}
	return u
}

func sameKeys(a, b *table.KeySet) bool { return a == b || table.Sum(a) == table.Sum(b) }

// host returns what the router before has built from t, or nil.
func (u *reuse) host(t *table.Host) *host {
	h := u.prev.hosts[t]
	if h == nil || slices.ContainsFunc(t.Rules, func(r *table.Rule) bool { return u.stale(r.Action) }) {
		return nil
	}
	return h
}

// action returns what the router before has built from t, or nil.
func (u *reuse) action(t *table.Action) *Action {
	if u.stale(t) {
		return nil
	}
	return u.prev.actions[t]
}

// stale reports whether a policy of t verifies with a key set that has changed.
func (u *reuse) stale(t *table.Action) bool {
	return len(u.changed) > 0 && (u.uses(t.Auth) || u.uses(t.ShadowAuth))
}

func (u *reuse) uses(a *table.Auth) bool {
	return a != nil && slices.ContainsFunc(a.Methods, func(m table.AuthMethod) bool {
		return m.JWT != nil && u.changed[m.JWT.KeySet] || m.OIDC != nil && u.changed[m.OIDC.KeySet]
	})
}
