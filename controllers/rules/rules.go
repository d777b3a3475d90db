// Package rules evaluates the rules that custom resource definitions hold in CEL
// (x-kubernetes-validations) on objects from files, as an API server does when it
// creates them: with the same costs allowed, the same paths and the same messages.
//
// It stands for the evaluator of k8s.io/apiextensions-apiserver, which would bring a second
// copy of cel-go, with the rest of an API server behind it, into the program.
package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
)

// Key is where a schema names its rules, by their numbers.
const Key = "x-kubernetes-validations"

// What an API server spends on one rule and on all rules of one object.
const (
	costOfOne = 1_000_000
	costOfAll = 10_000_000
)

// Rule is a rule, and what is said of an object that breaks it.
type Rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message,omitempty"`
}

// said is the message of what breaks the rule.
func (r Rule) said() string {
	if r.Message == "" {
		return "failed rule: " + strings.TrimSpace(r.Rule)
	}
	return strings.TrimSpace(r.Message)
}

// about names the rule in what is said of its evaluation.
func (r Rule) about() string { return strings.TrimSpace(cmp.Or(r.Message, r.Rule)) }

// Fault is a rule that a part of an object breaks.
type Fault struct {
	At      []string // the part: names of fields and numbers of items
	Message string
}

// Set is the rules that schemas name by their numbers. One is compiled when the first
// object with the part that it is about is checked: few objects have many parts.
// A Set belongs to one goroutine.
type Set struct {
	rules    []Rule
	env      *cel.Env
	programs []cel.Program
}

// NewSet returns the set of these rules.
func NewSet(all []Rule) *Set {
	return &Set{rules: all, programs: make([]cel.Program, len(all))}
}

// Check returns what an object, with its defaults, has against the rules in its schema.
func (s *Set) Check(schema, object map[string]any) []Fault {
	c := check{set: s, left: costOfAll}
	c.part(schema, object, view(schema, object), nil)
	return c.faults
}

// Compile makes a rule ready to run, where it is not yet.
func (s *Set) Compile(number int) error {
	if s.programs[number] != nil {
		return nil
	}
	if s.env == nil {
		env, err := newEnv()
		if err != nil {
			return err
		}
		s.env = env
	}
	compiled, issues := s.env.Compile(s.rules[number].Rule)
	if issues.Err() != nil {
		return issues.Err()
	}
	p, err := s.env.Program(compiled, programOptions()...)
	if err != nil {
		return err
	}
	s.programs[number] = p
	return nil
}

// Forget gives up what was compiled, some MB, until there is an object to check again.
func (s *Set) Forget() {
	s.env = nil
	clear(s.programs)
}

// check is one object's.
type check struct {
	set    *Set
	left   int64 // of what the object's rules may cost; below 0: no more are run
	faults []Fault
}

// part checks a part of an object: value as it is written, seen as rules see it.
func (c *check) part(schema map[string]any, value, seen any, at []string) {
	if value == nil || c.left < 0 {
		return
	}
	numbers, _ := schema[Key].([]any)
	for _, n := range numbers {
		if number, ok := n.(float64); ok && c.left >= 0 {
			c.rule(int(number), seen, at)
		}
	}
	switch value := value.(type) {
	case map[string]any:
		fields, _ := seen.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if of, key := field(schema, name); of != nil {
				c.part(of, value[name], fields[key], append(slices.Clip(at), name))
			}
		}
	case []any:
		items, _ := seen.([]any)
		of, _ := schema["items"].(map[string]any)
		for i := range value {
			c.part(of, value[i], items[i], append(slices.Clip(at), strconv.Itoa(i)))
		}
	}
}

// rule evaluates one rule on a part.
func (c *check) rule(number int, self any, at []string) {
	rule := c.set.rules[number]
	fault := func(format string, args ...any) {
		c.faults = append(c.faults, Fault{At: at, Message: fmt.Sprintf(format, args...)})
	}
	if err := c.set.Compile(number); err != nil {
		fault("rule compile error: %v", err)
		return
	}
	result, details, err := c.set.programs[number].Eval(map[string]any{"self": self})
	if c.left -= costOf(details); c.left < 0 {
		fault("validation failed due to running out of cost budget, no further validation rules will be run")
		return
	}
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "no such overload"):
		fault("'%v': call arguments did not match a supported operator, function or macro signature for rule: %s", err, rule.about())
	case err != nil && strings.HasPrefix(err.Error(), "operation cancelled: actual cost limit exceeded"):
		c.left = -1
		fault("'%v': no further validation rules will be run due to call cost exceeds limit for rule: %s", err, rule.about())
	case err != nil:
		fault("%v evaluating rule: %s", err, rule.about())
	case result.Value() != true:
		fault("%s", rule.said())
	}
}

// costOf is what an evaluation has cost.
func costOf(details *cel.EvalDetails) int64 {
	if cost := details.ActualCost(); cost != nil && *cost <= costOfAll {
		return int64(*cost)
	}
	return costOfAll + 1
}
