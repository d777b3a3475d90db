package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is all that was measured.
type Report struct {
	Machine Machine  `json:"machine"`
	HTTP1   []HTTP1  `json:"http1,omitempty"`
	Apply   []Apply  `json:"apply,omitempty"`
	Start   []Start  `json:"start,omitempty"`
	Allocs  []Test   `json:"allocs,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// HTTP1 is one kind of request through each proxy.
type HTTP1 struct {
	Variant     string         `json:"variant"`
	HeaderBytes int            `json:"headerBytes"` // beside the request line and Host
	Connections int            `json:"connections"`
	Seconds     float64        `json:"seconds"` // of a run
	Proxies     []ProxyResults `json:"proxies"`
}

// ProxyResults are the runs of one proxy.
type ProxyResults struct {
	Name string `json:"name"`
	Runs []Run  `json:"runs"`
}

// Run is one run.
type Run struct {
	CPU        float64 `json:"cpuMicroseconds"`   // per request
	Throughput float64 `json:"requestsPerSecond"` // all answered 2xx
	Busy       float64 `json:"busy"`              // share of its CPU that the proxy used; well below 1: the load was the bound
	P50        int64   `json:"p50Microseconds"`
	P99        int64   `json:"p99Microseconds"`
	Memory     float64 `json:"memoryMiB"`            // resident, after the load
	Allocs     float64 `json:"allocations,omitzero"` // heap objects per request, the connections' own included
}

// Apply is how long a change takes to show.
type Apply struct {
	What         string  `json:"what"`   // that is changed
	Routes       int     `json:"routes"` // there are beside it
	Latency      Latency `json:"latency"`
	Build        Latency `json:"build,omitzero"` // graph and table, within Latency
	Swap         Latency `json:"swap,omitzero"`  // indexes and the pointer, within Latency
	CPUPerChange float64 `json:"cpuMillisecondsPerChange,omitzero"`
	MemoryBefore float64 `json:"memoryMiB,omitzero"`      // resident, once started
	MemoryAfter  float64 `json:"memoryAfterMiB,omitzero"` // resident, after the samples
	Heap         float64 `json:"heapMiB,omitzero"`        // live and not yet collected, once started
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	Samples int     `json:"samples"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
}

func latency(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	return Latency{
		Samples: len(took), P50: milliseconds(quantile(took, 0.50)), P99: milliseconds(quantile(took, 0.99)),
		Max: milliseconds(took[len(took)-1]),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile is the least of the sorted values that at least the share q does not exceed.
func quantile[T any](sorted []T, q float64) T {
	i := int(q * float64(len(sorted)))
	if float64(i) == q*float64(len(sorted)) {
		i--
	}
	return sorted[max(0, min(i, len(sorted)-1))]
}

// Start is the time from a fresh clone to a first answer, in seconds.
type Start struct {
	BuildCache string  `json:"buildCache"`
	Clone      float64 `json:"cloneSeconds"`
	Answer     float64 `json:"answerSeconds"` // clone, build and start together
	Serve      float64 `json:"serveSeconds"`  // from the binary built to the answer
}

// Test is an allocation test's outcome.
type Test struct {
	Package string `json:"package"`
	Name    string `json:"name"`
	Passed  bool   `json:"passed"`
}

// JSON writes the report for machines.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	m := r.Machine
	fmt.Fprintf(t, "%s, %d CPUs, Linux %s, %s, gatehouse %s, %s\n", m.CPU, m.CPUs, m.Kernel, m.Go, m.Commit, m.Nginx)
	fmt.Fprintf(t, "load average before %s, after %s; anything else that ran on this machine is in the figures\n", m.LoadBefore, m.LoadAfter)
	for _, h := range r.HTTP1 {
		h.text(t)
	}
	if len(r.Apply) > 0 {
		applyText(t, r.Apply)
	}
	if len(r.Start) > 0 {
		fmt.Fprintf(t, "\nFrom a fresh clone to the first answer (modules cached), seconds\nbuild cache\tclone\tall\tof which binary to answer\n")
		for _, s := range r.Start {
			fmt.Fprintf(t, "%s\t%.2f\t%.1f\t%.2f\n", s.BuildCache, s.Clone, s.Answer, s.Serve)
		}
	}
	if len(r.Allocs) > 0 {
		fmt.Fprintf(t, "\nAllocation tests\n")
		for _, a := range r.Allocs {
			fmt.Fprintf(t, "%s\t%s\t%s\n", a.Package, a.Name, map[bool]string{true: "pass", false: "FAIL"}[a.Passed])
		}
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(t, "\n%s\n", strings.Join(r.Notes, "\n"))
	}
	return t.Flush()
}

// columns are a Run's figures, as they are printed.
func columns() []column {
	return []column{
		{"CPU/request, us", "%.2f", func(r Run) float64 { return r.CPU }},
		{"requests/s", "%.0f", func(r Run) float64 { return r.Throughput }},
		{"share of its CPU", "%.2f", func(r Run) float64 { return r.Busy }},
		{"latency p50, us", "%.0f", func(r Run) float64 { return float64(r.P50) }},
		{"latency p99, us", "%.0f", func(r Run) float64 { return float64(r.P99) }},
		{"memory, MiB", "%.1f", func(r Run) float64 { return r.Memory }},
		{"allocations/request", "%.3f", func(r Run) float64 { return r.Allocs }},
	}
}

type column struct {
	name, format string
	of           func(Run) float64
}

// text writes a line per figure: median [least-greatest] of each proxy, and
// Gatehouse's median as a share of each other's.
func (h *HTTP1) text(w io.Writer) {
	fmt.Fprintf(w, "\nHTTP/1.1, %s (%d B), %d connections, %d runs of %.0f s: median [min-max]\n\t",
		h.Variant, h.HeaderBytes, h.Connections, len(h.Proxies[0].Runs), h.Seconds)
	for i, p := range h.Proxies {
		fmt.Fprintf(w, "%s\t", p.Name)
		if i > 0 {
			fmt.Fprintf(w, "ratio\t")
		}
	}
	fmt.Fprintln(w)
	for _, c := range columns() {
		fmt.Fprintf(w, "%s\t", c.name)
		first := 0.0
		for i, p := range h.Proxies {
			low, middle, high := c.spread(p.Runs)
			switch {
			case i == 0:
				first = middle
				fmt.Fprintf(w, c.format+" ["+c.format+"-"+c.format+"]\t", middle, low, high)
			case middle == 0:
				fmt.Fprintf(w, "-\t-\t")
			default:
				fmt.Fprintf(w, c.format+" ["+c.format+"-"+c.format+"]\t%.2f\t", middle, low, high, first/middle)
			}
		}
		fmt.Fprintln(w)
	}
}

// spread is the least, the middle and the greatest value of the runs.
func (c column) spread(runs []Run) (low, middle, high float64) {
	values := make([]float64, 0, len(runs))
	for _, run := range runs {
		values = append(values, c.of(run))
	}
	slices.Sort(values)
	return values[0], quantile(values, 0.5), values[len(values)-1]
}

func applyText(w io.Writer, rows []Apply) {
	fmt.Fprintf(w, "\nFrom a route applied to the first answer that shows it, ms; polled every %v\n"+
		"applied\troutes\tsamples\tp50\tp99\tmax\tbuild p50\tp99\tswap p50\tp99\tCPU/change, ms\tmemory, MiB\tafter samples\theap\n", pollEvery)
	for _, a := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t", a.What, a.Routes, a.Latency.Samples, a.Latency.P50, a.Latency.P99, a.Latency.Max)
		for _, l := range []Latency{a.Build, a.Swap} {
			if l.Samples == 0 {
				fmt.Fprintf(w, "\t\t")
				continue
			}
			fmt.Fprintf(w, "%.2f\t%.2f\t", l.P50, l.P99)
		}
		if a.MemoryBefore > 0 {
			fmt.Fprintf(w, "%.1f\t%.1f\t%.1f\t%.1f", a.CPUPerChange, a.MemoryBefore, a.MemoryAfter, a.Heap)
		}
		fmt.Fprintln(w)
	}
}
