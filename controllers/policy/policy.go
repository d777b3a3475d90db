// Package policy is GEP-713 written once, for policies of any kind: which policy
// stands at a target when several claim it, what the policies on a path make
// together, which of their parts are in effect and which were superseded by
// whom.
//
// controllers/attach calls it with values it made of AuthPolicies and
// ValidationPolicies, whose kinds those parts do not know. Beside them stands
// what several packages read of a policy's own text: where its keys, metadata and
// Secrets are, and which section of its target it names (jwt.go, metadata.go,
// secret.go, section.go). All of it is pure: no store and no clock.
//
// Two rules go beyond GEP-713. Of two policies on one target the older stands
// and the younger takes no part, whatever their strategies: a new policy never
// silently takes over. And what an override has put in place stays, however many
// levels follow it: a policy further down cannot get rid of it.
package policy

import (
	"strings"
	"time"
)

// Key names a policy.
type Key struct {
	Kind, Namespace, Name string
}

// String prints "AuthPolicy shop/orders".
func (k Key) String() string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// Target is an object, or a section of one, that a policy attaches to. The zero
// Target is no target.
type Target struct {
	Kind, Namespace, Name string
	Section               string // "" for the whole object
}

// Strategy says how a policy combines with a more specific one (GEP-713, "Merge
// strategies").
type Strategy uint8

// The strategies. Merge is GEP-713's custom atomicity: item by item, by name.
const (
	AtomicDefaults  Strategy = iota // the more specific policy stands, whole
	AtomicOverrides                 // the less specific policy stands, whole
	MergeDefaults                   // both, the more specific policy's items win
	MergeOverrides                  // both, the less specific policy's items win
)

// String prints the strategy's name as GEP-713 spells it.
func (s Strategy) String() string {
	return [...]string{"Atomic Defaults", "Atomic Overrides", "Merge Defaults", "Merge Overrides"}[s&3]
}

// Policy is what matters of a policy object here. Policies are compared by
// pointer; nothing writes to one that has been handed over.
type Policy struct {
	Key      Key
	Created  time.Time
	Targets  []Target
	Strategy Strategy
	Shadow   bool     // evaluated, never enforced
	Items    []string // names of its parts, sorted
	Broken   string   // set: the policy is at fault for this reason; where it would have a say, everything is closed
}

// older says which of two policies was there first (GEP-713, "Conflict
// resolution").
func older(a, b *Policy) bool {
	if !a.Created.Equal(b.Created) {
		return a.Created.Before(b.Created)
	}
	return strings.Compare(a.Key.Namespace+"/"+a.Key.Name, b.Key.Namespace+"/"+b.Key.Name) < 0
}
