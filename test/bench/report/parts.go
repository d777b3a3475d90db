package report

import (
	"slices"
	"time"
)

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

// NewLatency sorts what things took.
func NewLatency(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	return Latency{
		Samples: len(took), P50: Milliseconds(Quantile(took, 0.50)), P99: Milliseconds(Quantile(took, 0.99)),
		Max: Milliseconds(took[len(took)-1]),
	}
}

// Milliseconds is d as a number.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Quantile is the least of the sorted values that at least the share q does not exceed.
func Quantile[T any](sorted []T, q float64) T {
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
