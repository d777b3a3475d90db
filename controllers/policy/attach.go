package policy

import "slices"

// levels is how many levels a path has.
const levels = 6

// Path is what one rule is reached by, from the least specific to the most:
// Gateway, listener of the Gateway, ListenerSet, listener of the ListenerSet,
// route, rule. A level that is not on the path or cannot be named, such as a rule
// without a name, is the zero Target.
type Path [levels]Target

// Stack is the policies on a path, level by level; nil where there is none.
type Stack [levels]*Policy

// Empty says whether no policy is on the stack.
func (s Stack) Empty() bool { return s == Stack{} }

// Attached is the policies of one kind by what they attach to.
type Attached struct {
	at map[Target]slot
	// Conflicts lists the policies that lost a target, in the order of their keys.
	Conflicts []Conflict
}

// slot is who stands at a target. A shadow policy does not conflict with an
// enforced one: it rehearses taking its place.
type slot struct {
	enforced, shadow *Policy
}

// Conflict says that a policy takes no part at a target, because an older one
// stands there.
type Conflict struct {
	Target        Target
	Loser, Winner *Policy
}

// Attach finds who stands at each target.
func Attach(policies []*Policy) *Attached {
	a := &Attached{at: map[Target]slot{}}
	sorted := slices.Clone(policies)
	slices.SortStableFunc(sorted, func(x, y *Policy) int {
		switch {
		case older(x, y):
			return -1
		case older(y, x):
			return 1
		}
		return 0
	})
	for _, p := range sorted {
		for _, t := range p.Targets {
			s := a.at[t]
			stands := &s.enforced
			if p.Shadow {
				stands = &s.shadow
			}
			switch {
			case *stands == nil:
				*stands = p
				a.at[t] = s
			case *stands != p:
				a.Conflicts = append(a.Conflicts, Conflict{Target: t, Loser: p, Winner: *stands})
			}
		}
	}
	return a
}

// On returns the enforced policies on a path, and the policies that would be on
// it if those in shadow mode were enforced. The second is empty when no shadow
// policy is on the path.
func (a *Attached) On(path Path) (enforced, shadow Stack) {
	rehearsed := false
	for i, t := range path {
		if t == (Target{}) {
			continue
		}
		s := a.at[t]
		enforced[i], shadow[i] = s.enforced, s.enforced
		if s.shadow != nil {
			shadow[i] = s.shadow
			rehearsed = true
		}
	}
	if !rehearsed {
		shadow = Stack{}
	}
	return enforced, shadow
}
