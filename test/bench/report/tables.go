package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is a table of text; a row's first cell is its name.
type table struct {
	title string
	notes []string
	rows  [][]string // the first is the head
}

// column is a figure, as it is printed.
type column struct {
	name, format string
	of           func(Run) float64
}

func columns() []column {
	return []column{
		{"per second", "%.0f", func(r Run) float64 { return r.Rate }},
		{"share of its CPU", "%.2f", func(r Run) float64 { return r.Busy }},
		{"p50, us", "%.0f", func(r Run) float64 { return float64(r.P50) }},
		{"p99, us", "%.0f", func(r Run) float64 { return float64(r.P99) }},
		{"p99.9, us", "%.0f", func(r Run) float64 { return float64(r.P999) }},
		{"changes/s", "%.1f", func(r Run) float64 { return r.Changes }},
		{"memory, MiB", "%.1f", func(r Run) float64 { return r.Memory }},
	}
}

// table is the scenario's: CPU as median [least-greatest], and of the other
// figures, where they were taken, the median.
func (s Scenario) table() table {
	t := table{title: s.Title, notes: append([]string{s.Load}, s.Skipped...)}
	head := []string{"", "CPU/" + s.Unit + ", us", "ratio"}
	if s.Goal.Second || s.Goal.P99 || s.Goal.Added > 0 {
		head[2] = "added, us"
	}
	var some []column
	for _, c := range columns() {
		if slices.ContainsFunc(s.Contenders, func(p Contender) bool { return p.Spread(c.of).High > 0 }) {
			some, head = append(some, c), append(head, c.name)
		}
	}
	allocs := func(r Run) float64 { return r.Allocs }
	withAllocs := slices.ContainsFunc(s.Contenders, func(p Contender) bool { return p.Spread(allocs).High > 0 })
	withSyscalls := slices.ContainsFunc(s.Contenders, func(p Contender) bool { return p.Syscalls > 0 })
	if withSyscalls {
		head = append(head, "syscalls")
	}
	if withAllocs {
		head = append(head, "allocations")
	}
	t.rows = append(t.rows, head)
	var first float64
	for i, p := range s.Contenders {
		if len(p.Runs) == 0 {
			continue
		}
		cpu := p.Spread(CPU)
		row := []string{p.Name, fmt.Sprintf("%.2f [%.2f-%.2f]", cpu.Median, cpu.Low, cpu.High)}
		switch {
		case i == 0:
			first = cpu.Median
			row = append(row, "")
		case head[2] == "ratio" && first > 0:
			row = append(row, fmt.Sprintf("%.2f", first/cpu.Median))
		default:
			row = append(row, fmt.Sprintf("%+.2f", s.added(p)))
		}
		for _, c := range some {
			row = append(row, fmt.Sprintf(c.format, p.Spread(c.of).Median))
		}
		if withSyscalls {
			row = append(row, orNothing("%.2f", p.Syscalls))
		}
		if withAllocs {
			row = append(row, orNothing("%.3f", p.Spread(allocs).Median))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func orNothing(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// summary is one row a scenario: the medians of CPU per unit, and the goal.
func (r *Report) summary() table {
	t := table{title: "CPU time per request, microseconds"}
	peers := slices.Sorted(maps.Keys(r.Versions))
	peers = slices.DeleteFunc(peers, func(p string) bool { return p == "gatehouse" })
	t.rows = append(t.rows, slices.Concat([]string{"", "gatehouse"}, peers, []string{"compared", "goal", "reached"}))
	for _, s := range r.Scenarios {
		row := []string{s.Title}
		for _, name := range slices.Concat([]string{"gatehouse"}, peers) {
			cell := ""
			for _, c := range s.Contenders {
				if c.Name == name && len(c.Runs) > 0 {
					cell = fmt.Sprintf("%.1f", c.Spread(CPU).Median)
				}
			}
			row = append(row, cell)
		}
		if o, ok := s.Outcome(); ok {
			row = append(row, o.What, o.Goal, map[bool]string{true: "yes", false: "no"}[o.Reached])
		} else {
			row = append(row, "", "", "")
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// parts are the tables of what is not load.
func (r *Report) parts() (out []table) {
	if len(r.Apply) > 0 {
		t := table{title: "From a route applied to the first answer that shows it, ms"}
		t.rows = append(t.rows, []string{
			"applied", "routes", "samples", "p50", "p99", "max", "build p50", "swap p50", "CPU/change", "memory, MiB", "after samples",
		})
		for _, a := range r.Apply {
			t.rows = append(t.rows, []string{
				a.What, fmt.Sprint(a.Routes), fmt.Sprint(a.Latency.Samples),
				fmt.Sprintf("%.1f", a.Latency.P50), fmt.Sprintf("%.1f", a.Latency.P99), fmt.Sprintf("%.1f", a.Latency.Max),
				orNothing("%.2f", a.Build.P50), orNothing("%.2f", a.Swap.P50), orNothing("%.1f", a.CPUPerChange),
				orNothing("%.1f", a.MemoryBefore), orNothing("%.1f", a.MemoryAfter),
			})
		}
		out = append(out, t)
	}
	if len(r.Start) > 0 {
		t := table{title: "From a fresh clone to the first answer, seconds (modules cached)"}
		t.rows = append(t.rows, []string{"build cache", "clone", "all", "of which binary to answer"})
		if !slices.ContainsFunc(r.Start, func(s Start) bool { return s.BuildCache == "cold" }) {
			t.notes = append(t.notes, "With an empty build cache it was not measured: that takes minutes, and is asked for by `--cold`.")
		}
		for _, s := range r.Start {
			t.rows = append(t.rows, []string{s.BuildCache, fmt.Sprintf("%.2f", s.Clone), fmt.Sprintf("%.1f", s.Answer), fmt.Sprintf("%.2f", s.Serve)})
		}
		out = append(out, t)
	}
	if len(r.Allocs) > 0 {
		t := table{title: "Allocation tests", rows: [][]string{{"package", "test", ""}}}
		for _, a := range r.Allocs {
			t.rows = append(t.rows, []string{a.Package, a.Name, map[bool]string{true: "pass", false: "FAIL"}[a.Passed]})
		}
		out = append(out, t)
	}
	return out
}

// origin says in sentences where the figures are from.
func (r *Report) origin() []string {
	m := r.Machine
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	out := []string{
		fmt.Sprintf("%s; %s, %d CPUs, Linux %s, %s; %s.", r.Date, m.CPU, m.CPUs, m.Kernel, m.Go, strings.Join(versions, ", ")),
		fmt.Sprintf("Load average before %s, after %s: anything else that ran on the machine is in the figures.", m.LoadBefore, m.LoadAfter),
	}
	for _, name := range slices.Sorted(maps.Keys(r.Missing)) {
		out = append(out, fmt.Sprintf("%s is left out: %s.", name, strings.TrimSuffix(r.Missing[name], ".")))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failures)) {
		out = append(out, fmt.Sprintf("%s failed: %s.", name, strings.TrimSuffix(r.Failures[name], ".")))
	}
	return out
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(r.origin(), "\n"))
	tables := []table{}
	for _, s := range r.Scenarios {
		tables = append(tables, s.table())
	}
	if len(r.Scenarios) > 1 {
		tables = append(tables, r.summary())
	}
	for _, one := range append(tables, r.parts()...) {
		fmt.Fprintf(t, "\n%s\n", one.title)
		for _, n := range one.notes {
			fmt.Fprintln(t, n)
		}
		for _, row := range one.rows {
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
	}
	return t.Flush()
}
