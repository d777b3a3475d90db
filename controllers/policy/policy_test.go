package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a topology and the policies on it, in words.
type world struct {
	policies []*Policy
	paths    []Path
}

// policy adds one: "p3 overrides merge g2 light,dark"; the words broken and
// shadow may follow.
func (w *world) policy(line string) {
	f := strings.Fields(line)
	p := &Policy{Key: Key{"ColorPolicy", "ns", f[0]}, Created: time.Unix(int64(len(w.policies)), 0), Items: strings.Split(f[4], ",")}
	p.Strategy = map[string]Strategy{
		"defaults atomic": AtomicDefaults, "defaults merge": MergeDefaults,
		"overrides atomic": AtomicOverrides, "overrides merge": MergeOverrides,
	}[f[1]+" "+f[2]]
	for _, t := range strings.Split(f[3], ",") {
		p.Targets = append(p.Targets, target(t))
	}
	for _, word := range f[5:] {
		switch word {
		case "broken":
			p.Broken = "its expression cannot be compiled"
		case "shadow":
			p.Shadow = true
		}
	}
	slices.Sort(p.Items)
	w.policies = append(w.policies, p)
}

// path adds one: "g1 g1/http r1 r1/rule"; - for a level without a name.
func (w *world) path(line string) {
	var p Path
	for i, word := range strings.Fields(line) {
		p[i] = target(word)
	}
	w.paths = append(w.paths, p)
}

func target(word string) Target {
	if word == "-" {
		return Target{}
	}
	name, section, _ := strings.Cut(word, "/")
	return Target{Kind: name[:1], Namespace: "ns", Name: name, Section: section}
}

// text prints the effective policy of each path, then each policy's verdict.
func (w *world) text() string {
	var out strings.Builder
	a := Attach(w.policies)
	for _, c := range a.Conflicts {
		fmt.Fprintf(&out, "%s conflicts with %s at %s\n", c.Loser.Key.Name, c.Winner.Key.Name, c.Target.Name)
	}
	reach := map[*Policy]*Reach{}
	for _, path := range w.paths {
		enforced, shadow := a.On(path)
		fmt.Fprintf(&out, "%s>%s:", path[0].Name, path[2].Name)
		for i, stack := range []Stack{enforced, shadow} {
			if stack.Empty() {
				continue
			}
			e := merge(stack)
			if i == 1 {
				out.WriteString(" | shadow")
			}
			for _, it := range e.Items {
				fmt.Fprintf(&out, " %s=%s", it.Name, it.From.Key.Name)
			}
			if e.Closed != nil {
				fmt.Fprintf(&out, " closed by %s", e.Closed.Key.Name)
			}
			for _, p := range stack {
				if p != nil && p.Shadow == (i == 1) {
					if reach[p] == nil {
						reach[p] = &Reach{}
					}
					reach[p].Add(p, e, 1)
				}
			}
		}
		out.WriteByte('\n')
	}
	for _, p := range w.policies {
		if r := reach[p]; r != nil {
			v := r.Verdict()
			fmt.Fprintf(&out, "%s %s: %s\n", p.Key.Name, v.Reason, v.Message)
		}
	}
	return out.String()
}

func check(t *testing.T, policies, paths, want string) {
	t.Helper()
	var w world
	for line := range strings.Lines(policies) {
		if strings.TrimSpace(line) != "" {
			w.policy(line)
		}
	}
	for line := range strings.Lines(paths) {
		if strings.TrimSpace(line) != "" {
			w.path(line)
		}
	}
	trimmed := ""
	for line := range strings.Lines(want) {
		if strings.TrimSpace(line) != "" {
			trimmed += strings.TrimSpace(line) + "\n"
		}
	}
	if got := w.text(); got != trimmed {
		t.Errorf("got:\n%s\nwant:\n%s", got, trimmed)
	}
}

const gepPaths = `
g1 g1/http r1 -
g1 g1/http r2 -
g2 g2/http r3 -
g2 g2/http r4 -`

// GEP-713, end-to-end example 2: defaults and overrides, atomic.
func TestDefaultsAndOverrides(t *testing.T) {
	check(t, `
		p1 defaults atomic g1 color
		p2 defaults atomic r1 color
		p3 overrides atomic g2 color
		p4 defaults atomic r4 color`, gepPaths, `
		g1>r1: color=p2
		g1>r2: color=p1
		g2>r3: color=p3
		g2>r4: color=p3
		p1 PartiallyProgrammed: in effect on 1 rule, not on 1 rule: superseded by ColorPolicy ns/p2 (Atomic Defaults)
		p2 Programmed: in effect on 1 rule
		p3 Programmed: in effect on 2 rules
		p4 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p3 (Atomic Overrides)`)
}

// GEP-713, end-to-end example 3: merged specs.
func TestMergedSpecs(t *testing.T) {
	check(t, `
		p1 defaults atomic g1 dark,light
		p2 defaults atomic r1 light
		p3 overrides merge g2 light
		p4 defaults atomic r4 dark,light`, gepPaths, `
		g1>r1: light=p2
		g1>r2: dark=p1 light=p1
		g2>r3: light=p3
		g2>r4: dark=p4 light=p3
		p1 PartiallyProgrammed: in effect on 1 rule, not on 1 rule: superseded by ColorPolicy ns/p2 (Atomic Defaults)
		p2 Programmed: in effect on 1 rule
		p3 Programmed: in effect on 2 rules
		p4 PartiallyProgrammed: in part on 1 rule: light superseded by ColorPolicy ns/p3 (Merge Overrides)`)
}

func TestMergeDefaults(t *testing.T) {
	check(t, `
		p1 defaults merge g1 dark,light
		p2 defaults atomic r1 light,warm`, "g1 g1/http r1 -", `
		g1>r1: dark=p1 light=p2 warm=p2
		p1 PartiallyProgrammed: in part on 1 rule: light superseded by ColorPolicy ns/p2 (Merge Defaults)
		p2 Programmed: in effect on 1 rule`)
}

// A route's own overrides do not beat the Gateway's defaults setting: both are
// asked for by the Gateway's strategy, and the route stands because it is more
// specific.
func TestEstablishedDecides(t *testing.T) {
	check(t, `
		p1 defaults merge g1 light
		p2 overrides atomic r1 dark`, "g1 g1/http r1 -", `
		g1>r1: dark=p2 light=p1
		p1 Programmed: in effect on 1 rule
		p2 Programmed: in effect on 1 rule`)
}

// What an override put in place stays, however many levels follow.
func TestOverrideBindsAllLevels(t *testing.T) {
	path := "g1 g1/http r1 r1/rule"
	check(t, `
		p1 overrides atomic g1 light
		p2 defaults atomic r1 light
		p3 defaults atomic r1/rule light,dark`, path, `
		g1>r1: light=p1
		p1 Programmed: in effect on 1 rule
		p2 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p1 (Atomic Overrides)
		p3 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p1 (Atomic Overrides)`)
	check(t, `
		p1 overrides merge g1 light
		p2 defaults atomic r1 dark
		p3 defaults atomic r1/rule light,warm`, path, `
		g1>r1: light=p1 warm=p3
		p1 Programmed: in effect on 1 rule
		p2 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p3 (Atomic Defaults)
		p3 PartiallyProgrammed: in part on 1 rule: light superseded by ColorPolicy ns/p1 (Merge Overrides)`)
	check(t, `
		p1 defaults merge g1 light
		p2 overrides atomic r1 dark
		p3 defaults atomic r1/rule light,dark`, path, `
		g1>r1: dark=p2 light=p1
		p1 Programmed: in effect on 1 rule
		p2 Programmed: in effect on 1 rule
		p3 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p2 (Atomic Overrides)`)
}

// Of two overrides the less specific one is named as the winner all the way down.
func TestOverrideUnderOverride(t *testing.T) {
	check(t, `
		p1 overrides atomic g1 light
		p2 overrides atomic r1 light
		p3 defaults atomic r1/rule light`, "g1 g1/http r1 r1/rule", `
		g1>r1: light=p1
		p1 Programmed: in effect on 1 rule
		p2 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p1 (Atomic Overrides)
		p3 Overridden: not in effect on 1 rule: superseded by ColorPolicy ns/p1 (Atomic Overrides)`)
}

// Who asks for a credential and who lets everybody in contradict each other, as two items of one name do.
func TestPublic(t *testing.T) {
	path := "g1 g1/http r1 -"
	check(t, `
		g defaults merge g1 public,header/x
		r defaults atomic r1 authentication/keys`, path, `
		g1>r1: authentication/keys=r header/x=g
		g PartiallyProgrammed: in part on 1 rule: public superseded by ColorPolicy ns/r (Merge Defaults)
		r Programmed: in effect on 1 rule`)
	check(t, `
		g defaults merge g1 authentication/keys
		l defaults merge g1/http public
		r defaults atomic r1 require`, path, `
		g1>r1: authentication/keys=g require=r
		g Programmed: in effect on 1 rule
		l Overridden: not in effect on 1 rule: public superseded by ColorPolicy ns/r (Merge Defaults)
		r Programmed: in effect on 1 rule`)
	check(t, `
		g defaults merge g1 authentication/keys
		r defaults atomic r1 public`, path, `
		g1>r1: authentication/keys=g public=r
		g Programmed: in effect on 1 rule
		r Programmed: in effect on 1 rule`)
	check(t, `
		g overrides merge g1 authentication/keys,authentication/staff
		l defaults merge g1/http header/x
		r defaults atomic r1 public,header/y`, path, `
		g1>r1: authentication/keys=g authentication/staff=g header/x=l header/y=r
		g Programmed: in effect on 1 rule
		l Programmed: in effect on 1 rule
		r PartiallyProgrammed: in part on 1 rule: public superseded by ColorPolicy ns/g (Merge Overrides)`)
	check(t, `
		g overrides merge g1 public
		r defaults atomic r1 authentication/keys,require`, path, `
		g1>r1: public=g
		g Programmed: in effect on 1 rule
		r Overridden: not in effect on 1 rule: authentication/keys, require superseded by ColorPolicy ns/g (Merge Overrides)`)
}

// At the same target the older stands; ties go by namespace and name. A whole
// object and a section of it are two targets.
func TestConflicts(t *testing.T) {
	check(t, `
		old defaults atomic r1 light
		new overrides merge r1,r2 light
		rule defaults atomic r1/rule light`, "g1 g1/http r1 -\ng1 g1/http r2 -", `
		new conflicts with old at r1
		g1>r1: light=old
		g1>r2: light=new
		old Programmed: in effect on 1 rule
		new Programmed: in effect on 1 rule`)

	at := time.Unix(9, 0)
	b := &Policy{Key: Key{"K", "ns", "b"}, Created: at, Targets: []Target{target("r1")}}
	a := &Policy{Key: Key{"K", "ns", "a"}, Created: at, Targets: []Target{target("r1")}}
	got := Attach([]*Policy{b, a})
	if stands := got.at[target("r1")]; len(got.Conflicts) != 1 || got.Conflicts[0].Loser != b || stands.enforced != a || stands.shadow != nil {
		t.Errorf("tie: %+v", got.Conflicts)
	}
}

// A broken policy closes what it would have a say in, and nothing else.
func TestBroken(t *testing.T) {
	closes := func(gateway, route, want string) {
		t.Helper()
		var w world
		w.policy("gw " + gateway)
		w.policy("rt " + route)
		w.path("g1 g1/http r1 -")
		stack, _ := Attach(w.policies).On(w.paths[0])
		e, got := merge(stack), "open"
		if e.Closed != nil {
			got = e.Closed.Key.Name
		}
		if got != want {
			t.Errorf("%s with %s: closed by %s, want %s", gateway, route, got, want)
		}
	}
	closes("defaults atomic g1 a", "defaults atomic r1 a broken", "rt")
	closes("defaults atomic g1 a broken", "defaults atomic r1 a", "open") // replaced whole
	closes("defaults merge g1 a broken", "defaults atomic r1 a", "gw")
	closes("defaults merge g1 a", "defaults atomic r1 a broken", "rt")
	closes("overrides atomic g1 a", "defaults atomic r1 a broken", "open") // the override stands
	closes("overrides atomic g1 a broken", "defaults atomic r1 a", "gw")
	closes("overrides merge g1 a", "defaults atomic r1 b broken", "rt")
	closes("overrides merge g1 a broken", "defaults atomic r1 b", "gw")

	check(t, `
		p1 overrides merge g1 light broken
		p2 defaults atomic r1 dark
		p3 defaults atomic r1/rule warm`, "g1 g1/http r1 r1/rule", `
		g1>r1: light=p1 warm=p3 closed by p1
		p1 Overridden: not in effect on 1 rule: closed by ColorPolicy ns/p1, which is not accepted
		p2 Overridden: not in effect on 1 rule: closed by ColorPolicy ns/p1, which is not accepted; superseded by ColorPolicy ns/p3 (Atomic Defaults)
		p3 Overridden: not in effect on 1 rule: closed by ColorPolicy ns/p1, which is not accepted`)
}

// A shadow policy never touches what is enforced, and rehearses taking the
// place of an enforced one at its target.
func TestShadow(t *testing.T) {
	check(t, `
		p1 defaults atomic g1 light
		p2 defaults atomic r1 light
		p3 defaults merge r1 dark shadow
		p4 defaults atomic r1 warm shadow`, "g1 g1/http r1 -\ng1 g1/http r2 -", `
		p4 conflicts with p3 at r1
		g1>r1: light=p2 | shadow dark=p3
		g1>r2: light=p1
		p1 PartiallyProgrammed: in effect on 1 rule, not on 1 rule: superseded by ColorPolicy ns/p2 (Atomic Defaults)
		p2 Programmed: in effect on 1 rule
		p3 Programmed: in effect on 1 rule`)
}

func TestSelf(t *testing.T) {
	check(t, "p1 defaults merge g1,r1 light", "g1 g1/http r1 -", `
		g1>r1: light=p1
		p1 Programmed: in effect on 2 rules`)
	if v := (&Reach{}).Verdict(); !v.Programmed || !strings.Contains(v.Message, "no rule yet") {
		t.Errorf("nothing reached: %+v", v)
	}
}

// An opt-out has no items and still wins or loses.
func TestNoItems(t *testing.T) {
	gw := &Policy{Key: Key{"K", "ns", "gw"}, Items: []string{"a"}, Strategy: AtomicDefaults}
	none := &Policy{Key: Key{"K", "ns", "none"}}
	if e := merge(Stack{gw, nil, none}); len(e.Items) != 0 || len(e.Lost) != 1 || e.Lost[0].Policy != gw {
		t.Errorf("opt-out: %+v", e)
	}
	gw = &Policy{Key: gw.Key, Items: gw.Items, Strategy: AtomicOverrides}
	e := merge(Stack{gw, nil, none})
	var r Reach
	r.Add(none, e, 1)
	if v := r.Verdict(); len(e.Items) != 1 || v.Reason != "Overridden" {
		t.Errorf("opt-out under an override: %+v %+v", e, v)
	}
}

// TestManyWinners names a few of the policies that stand in the place of another.
func TestManyWinners(t *testing.T) {
	edge := &Policy{Key: Key{"ColorPolicy", "ns", "edge"}, Items: []string{"dark", "light"}}
	var r Reach
	for i := range 1000 {
		r.Add(edge, merge(Stack{edge, 4: &Policy{Key: Key{"ColorPolicy", "ns", fmt.Sprintf("p%03d", i)}, Items: []string{"light"}}}), 1)
	}
	v := r.Verdict()
	if v.Reason != "Overridden" || len(v.Message) > 1000 || !strings.HasPrefix(v.Message, "not in effect on 1000 rules: superseded by ColorPolicy ns/p000 (Atomic Defaults); ") ||
		!strings.HasSuffix(v.Message, "ns/p007 (Atomic Defaults); and by 992 more") {
		t.Errorf("got %s %q", v.Reason, v.Message)
	}
}

func TestCache(t *testing.T) {
	p := &Policy{Key: Key{"K", "ns", "p"}, Items: []string{"a"}}
	var c Cache
	c.Turn()
	first := c.Merge(Stack{p})
	c.Turn()
	if c.Merge(Stack{p}) != first || c.Merge(Stack{}) != nil {
		t.Error("the same stack gave another result")
	}
	c.Turn()
	c.Turn()
	if c.Merge(Stack{p}) == first {
		t.Error("a stack nobody asked for was kept")
	}
}
