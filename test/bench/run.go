package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// estimate says how long the rest will take.
type estimate struct {
	began time.Time
	done  int // runs
	all   int
}

func (e estimate) String() string {
	if e.done == 0 {
		return ""
	}
	left := time.Since(e.began) / time.Duration(e.done) * time.Duration(e.all-e.done)
	return fmt.Sprintf(" (%v left)", left.Round(time.Second))
}

// part is something to measure that is not a load.
type part struct {
	name, title string
	measure     func(context.Context, *bench, *report.Report) error
}

func parts() []part {
	return []part{
		{"apply", "from a route applied to the first answer that shows it", measureApply},
		{"start", "from a fresh clone, by make run, to the first answer", measureStart},
		{"allocs", "the tests that hold the request path to its allocations", measureAllocs},
	}
}

// describe lists what can be named to --scenario.
func describe() (out string) {
	for _, s := range scenarios() {
		out += fmt.Sprintf("  %-15s %s\n", s.name, s.title)
	}
	for _, p := range parts() {
		out += fmt.Sprintf("  %-15s %s\n", p.name, p.title)
	}
	return out
}

// chosen reports whether a scenario or part is to be measured.
func (b *bench) chosen(name string) bool {
	return len(b.scenarios) == 0 || slices.Contains(b.scenarios, name)
}

// wantedPeers are those that the chosen scenarios need.
func (b *bench) wantedPeers() map[string]bool {
	wanted := map[string]bool{}
	for _, s := range scenarios() {
		if b.chosen(s.name) {
			for _, c := range b.entries(s) {
				wanted[c.peer] = true
			}
		}
	}
	if len(b.scenarios) == 0 && len(b.peers) == 0 {
		wanted["traefik"] = true // to say why it is not there
	}
	return wanted
}

// run measures what was chosen, one after the other. What fails is reported, with
// what the others found.
func (b *bench) run(c *cobra.Command) error {
	ctx := c.Context()
	known := []string{}
	for _, s := range scenarios() {
		known = append(known, s.name)
	}
	for _, p := range parts() {
		known = append(known, p.name)
	}
	for _, name := range b.scenarios {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no scenario %q; there are %v", name, known)
		}
	}
	if b.output != "text" && b.output != "json" {
		return fmt.Errorf("--output is text or json, not %q", b.output)
	}
	r := &report.Report{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(ctx), Versions: map[string]string{}, Missing: map[string]string{},
	}
	if r.Machine.CPUs < 2 {
		return errors.New("two CPUs are needed, one for the proxy and one for the load")
	}
	if b.resume {
		r = b.resumed(r)
	}
	err := b.prepare(ctx, r)
	defer func() { _ = os.RemoveAll(b.dir) }()
	if err != nil {
		return err
	}
	failed := b.measure(ctx, r)
	if b.output == "json" {
		text, err := r.JSON()
		if err != nil {
			return err
		}
		_, err = c.OutOrStdout().Write(text)
		failed = append(failed, err)
	} else {
		failed = append(failed, r.Text(c.OutOrStdout()))
	}
	if b.write && ctx.Err() == nil {
		failed = append(failed, r.Write(filepath.Join(b.module, "docs")))
	}
	return errors.Join(failed...)
}

// resumed is the report of an earlier run of this commit, if there is one.
func (b *bench) resumed(r *report.Report) *report.Report {
	old, err := report.Load(b.results)
	if err != nil {
		progress("there is nothing to go on from: %v", err)
		return r
	}
	if old.Machine.Commit != r.Machine.Commit {
		progress("%s is of %s, not of this commit: beginning anew", b.results, old.Machine.Commit)
		return r
	}
	old.Failures, old.Missing = nil, map[string]string{}
	return old
}

func (b *bench) measure(ctx context.Context, r *report.Report) (failed []error) {
	note := func(name string, err error) {
		r.Machine.LoadAfter = loadAverage()
		if err != nil {
			progress("%s: %v", name, err)
			if ctx.Err() == nil { // to be interrupted is not to fail: --resume goes on from here
				r.Fail(name, err)
			}
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		if err := r.Save(b.results); err != nil {
			failed = append(failed, err)
		}
	}
	there := func(name string) bool {
		return slices.ContainsFunc(r.Scenarios, func(s report.Scenario) bool { return s.Name == name })
	}
	var todo []scenario
	for _, s := range scenarios() {
		if b.chosen(s.name) && !(b.resume && there(s.name)) {
			todo = append(todo, s)
			b.left.all += b.times(s) * len(b.entries(s))
		}
	}
	b.left.began = time.Now()
	for _, s := range todo {
		if ctx.Err() != nil {
			return append(failed, ctx.Err())
		}
		got, err := b.scenario(ctx, s)
		if len(got.Contenders) > 0 {
			r.Put(got)
		}
		note(s.name, err)
	}
	for _, p := range parts() {
		if ctx.Err() != nil {
			return append(failed, ctx.Err())
		}
		if b.chosen(p.name) {
			progress("%s: %s", p.name, p.title)
			note(p.name, p.measure(ctx, b, r))
		}
	}
	return failed
}
