// Package report writes what the benchmarks found: as JSON, which is also how an
// interrupted run is kept, as tables for people, and as the tables and plots of
// docs/benchmarks.md. test/bench fills it in. It computes medians and ratios, and
// knows nothing of how things are measured.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Report is all that was measured.
type Report struct {
	Date      string            `json:"date"`
	Machine   Machine           `json:"machine"`
	Versions  map[string]string `json:"versions"`          // by peer
	Missing   map[string]string `json:"missing,omitempty"` // peers that could not be had, and why
	Scenarios []Scenario        `json:"scenarios,omitempty"`
	Apply     []Apply           `json:"apply,omitempty"`
	Start     []Start           `json:"start,omitempty"`
	Allocs    []Test            `json:"allocs,omitempty"`
	Failures  map[string]string `json:"failures,omitempty"` // by part: the others were measured
}

// Machine is where the figures are from.
type Machine struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
	LoadBefore string `json:"loadBefore"` // 1, 5 and 15 minutes
	LoadAfter  string `json:"loadAfter"`
}

// Scenario is one kind of load on several contenders, by turns.
type Scenario struct {
	Name       string      `json:"name"`
	Title      string      `json:"title"`
	Unit       string      `json:"unit"` // what is counted: "request"
	Load       string      `json:"load"` // a sentence
	Seconds    float64     `json:"seconds"`
	Goal       Goal        `json:"goal,omitzero"`
	Contenders []Contender `json:"contenders"`
	Skipped    []string    `json:"skipped,omitempty"` // sentences: who was left out and why
}

// Goal is what Gatehouse means to reach.
type Goal struct {
	// Ratio of medians that must not be exceeded: CPU per unit of the first contender,
	// to the least of those named in To.
	Ratio float64  `json:"ratio,omitempty"`
	To    []string `json:"to,omitempty"`
	// Added microseconds of each of To to the first that must not be exceeded.
	Added float64 `json:"added,omitempty"`
	// P99 makes Ratio one of the last contender's p99 to the first's, in place of CPU.
	P99 bool `json:"p99,omitempty"`
	// Memory is how many MiB more than the least of To that must not be exceeded.
	Memory float64 `json:"memory,omitempty"`
	// Second makes Ratio one of the second contender's CPU to the first's.
	Second bool `json:"second,omitempty"`
}

// Contender is one proxy in one configuration.
type Contender struct {
	Name     string  `json:"name"`
	Runs     []Run   `json:"runs"`
	Syscalls float64 `json:"syscalls,omitempty"` // per unit, of a run of its own
}

// Run is one run.
type Run struct {
	CPU  float64 `json:"cpuMicroseconds"` // of the proxy's processes, per unit
	Rate float64 `json:"perSecond"`
	Busy float64 `json:"busy"` // share of its CPUs that the proxy used
	P50  int64   `json:"p50Microseconds,omitempty"`
	P99  int64   `json:"p99Microseconds,omitempty"`
	P999 int64   `json:"p999Microseconds,omitempty"`
	// Changes of routes that were applied, per second.
	Changes float64 `json:"changesPerSecond,omitzero"`
	Memory  float64 `json:"memoryMiB"`            // resident, after the load
	Allocs  float64 `json:"allocations,omitzero"` // heap objects per unit
}

// Spread is the least, the middle and the greatest of some values.
type Spread struct{ Low, Median, High float64 }

// Spread is of one figure in a contender's runs; zero without runs.
func (c Contender) Spread(figure func(Run) float64) Spread {
	if len(c.Runs) == 0 {
		return Spread{}
	}
	values := make([]float64, 0, len(c.Runs))
	for _, r := range c.Runs {
		values = append(values, figure(r))
	}
	slices.Sort(values)
	return Spread{values[0], Median(values), values[len(values)-1]}
}

// Median is the middle of sorted values, or the mean of the two in the middle.
func Median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// CPU is a run's CPU time per unit, in microseconds.
func CPU(r Run) float64 { return r.CPU }

// Outcome is a goal and what was reached.
type Outcome struct {
	What    string // "1.05 x haproxy"
	Goal    string // "<= 0.85"
	Reached bool
}

// Outcome compares a scenario with its goal; ok is false if it has none, or the
// contenders that it needs were not measured.
func (s Scenario) Outcome() (o Outcome, ok bool) {
	g := s.Goal
	if len(s.Contenders) == 0 || len(s.Contenders[0].Runs) == 0 {
		return o, false
	}
	first := s.Contenders[0].Spread(CPU).Median
	switch {
	case g.Added > 0:
		most, name := 0.0, ""
		for _, c := range s.Contenders[1:] {
			if added := s.added(c); slices.Contains(g.To, c.Name) && len(c.Runs) > 0 && (name == "" || added > most) {
				most, name = added, c.Name
			}
		}
		return Outcome{fmt.Sprintf("%+.2f us at most, %s", most, name), fmt.Sprintf("<= +%.1f us", g.Added), most <= g.Added}, name != ""
	case g.P99, g.Second:
		if len(s.Contenders) < 2 || len(s.Contenders[1].Runs) == 0 {
			return o, false
		}
		figure, unit := CPU, ""
		if g.P99 {
			figure, unit = func(r Run) float64 { return float64(r.P99) }, "p99 "
		}
		base := s.Contenders[0].Spread(figure).Median
		if base == 0 {
			return o, false
		}
		ratio := s.Contenders[1].Spread(figure).Median / base
		return Outcome{fmt.Sprintf("%s%.2f x %s", unit, ratio, s.Contenders[0].Name), fmt.Sprintf("<= %.2f", g.Ratio), ratio <= g.Ratio}, true
	case g.Memory > 0:
		memory := func(r Run) float64 { return r.Memory }
		least, name := s.least(memory)
		more := s.Contenders[0].Spread(memory).Median - least
		return Outcome{fmt.Sprintf("%+.0f MiB to %s", more, name), fmt.Sprintf("<= +%.0f MiB", g.Memory), more <= g.Memory}, name != ""
	case g.Ratio > 0:
		best, name := s.least(CPU)
		if name == "" {
			return o, false
		}
		return Outcome{fmt.Sprintf("%.2f x %s", first/best, name), fmt.Sprintf("<= %.2f", g.Ratio), first/best <= g.Ratio}, true
	}
	return o, false
}

// added is by how much c's CPU exceeds that of the first: the median of the
// differences within each run, since both are loaded by turns in it and what else
// the machine does hits both.
func (s Scenario) added(c Contender) float64 {
	first := s.Contenders[0]
	if len(first.Runs) != len(c.Runs) || len(c.Runs) == 0 { // one failed meanwhile
		return c.Spread(CPU).Median - first.Spread(CPU).Median
	}
	differences := make([]float64, len(c.Runs))
	for i := range c.Runs {
		differences[i] = c.Runs[i].CPU - first.Runs[i].CPU
	}
	slices.Sort(differences)
	return Median(differences)
}

// least is the least median of a figure among those that the goal names, and whose it is.
func (s Scenario) least(figure func(Run) float64) (least float64, name string) {
	for _, c := range s.Contenders[1:] {
		if m := c.Spread(figure).Median; slices.Contains(s.Goal.To, c.Name) && m > 0 && (name == "" || m < least) {
			least, name = m, c.Name
		}
	}
	return least, name
}

// Put adds a scenario's figures, or replaces those that are there.
func (r *Report) Put(s Scenario) {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == s.Name {
			r.Scenarios[i] = s
			return
		}
	}
	r.Scenarios = append(r.Scenarios, s)
}

// Fail notes that a part could not be measured.
func (r *Report) Fail(part string, err error) {
	if r.Failures == nil {
		r.Failures = map[string]string{}
	}
	r.Failures[part] = err.Error()
}

// JSON is the report for machines.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Save writes the report to a file, which is whole at any time.
func (r *Report) Save(path string) error {
	b, err := r.JSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".unfinished", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".unfinished", path)
}

// Load reads what Save wrote.
func Load(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
