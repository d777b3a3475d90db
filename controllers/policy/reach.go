package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is a policy's Programmed condition under one Gateway (GEP-713, "Policy
// status").
type Verdict struct {
	Programmed bool
	Reason     string // Programmed, PartiallyProgrammed or Overridden
	Message    string
}

// Reach counts what became of one policy on the rules it reaches under one
// Gateway.
type Reach struct {
	rules, whole, none int
	lost               map[Loss]bool
	closed             map[*Policy]bool // broken policies that close rules it reaches
}

// maxWinners is how many policies a message names: thousands of routes may have one each.
const maxWinners = 8

// Add counts n rules on paths where e is what the policies make.
func (r *Reach) Add(p *Policy, e *Effective, n int) {
	if r.lost == nil {
		r.lost, r.closed = map[Loss]bool{}, map[*Policy]bool{}
	}
	lost := 0
	for _, l := range e.Lost {
		if l.Policy == p {
			lost++
			r.lost[l] = true
		}
	}
	inEffect := 0
	for _, it := range e.Items {
		if it.From == p {
			inEffect++
		}
	}
	r.rules += n
	if e.Closed != nil {
		r.closed[e.Closed] = true
	}
	switch {
	case e.Closed != nil:
		r.none += n
	case lost == 0:
		r.whole += n
	case inEffect == 0:
		r.none += n
	}
}

// Verdict says what the policy's status must say.
func (r *Reach) Verdict() Verdict {
	switch {
	case r.rules == 0:
		return Verdict{true, "Programmed", "it reaches no rule yet: no route is attached where it applies"}
	case r.whole == r.rules:
		return Verdict{true, "Programmed", fmt.Sprintf("in effect on %s", count(r.rules, "rule"))}
	case r.none == r.rules:
		return Verdict{false, "Overridden", fmt.Sprintf("not in effect on %s: %s", count(r.rules, "rule"), r.superseded())}
	}
	return Verdict{true, "PartiallyProgrammed", r.shares() + ": " + r.superseded()}
}

// shares says on how many rules how much is in effect: "in effect on 2 rules,
// not on 1 rule".
func (r *Reach) shares() string {
	var out []string
	for _, share := range []struct {
		words string
		n     int
	}{{"in effect on ", r.whole}, {"in part on ", r.rules - r.whole - r.none}, {"not on ", r.none}} {
		if share.n > 0 {
			out = append(out, share.words+count(share.n, "rule"))
		}
	}
	return strings.Join(out, ", ")
}

// superseded names by whom, by which strategy and, for merges, which items:
// "superseded by AuthPolicy shop/a (Atomic Defaults)".
func (r *Reach) superseded() string {
	type winner struct {
		by *Policy
		s  Strategy
	}
	items := map[winner][]string{}
	for l := range r.lost {
		w := winner{l.By, l.Strategy}
		items[w] = append(items[w], l.Item)
	}
	var out []string
	for w, names := range items {
		s := fmt.Sprintf("superseded by %s (%s)", w.by.Key, w.s)
		if w.s == MergeDefaults || w.s == MergeOverrides {
			slices.Sort(names)
			s = strings.Join(slices.Compact(names), ", ") + " " + s
		}
		out = append(out, s)
	}
	for p := range r.closed {
		out = append(out, fmt.Sprintf("closed by %s, which is not accepted", p.Key))
	}
	slices.Sort(out)
	if more := len(out) - maxWinners; more > 0 {
		out = append(out[:maxWinners], fmt.Sprintf("and by %d more", more))
	}
	return strings.Join(out, "; ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
