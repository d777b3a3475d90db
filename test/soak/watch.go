package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// What may be left over, and what memory may do.
const (
	spare     = 8        // goroutines or files more than before
	spareRSS  = 32 << 20 // bytes more than before at rest, beside a third
	wobble    = 16 << 20 // bytes that the second half may seem to grow by, beside a tenth
	restEvery = 200 * time.Millisecond
	telling   = time.Minute // of load, before memory tells anything
)

// sample is the gateway at one moment.
type sample struct {
	Seconds    float64 `json:"seconds"` // since the load began
	RSS        int64   `json:"rssBytes"`
	Goroutines int     `json:"goroutines"`
	Files      int     `json:"files"`
	Answers    int64   `json:"answers"`
}

// String implements fmt.Stringer.
func (s sample) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d files", s.RSS>>20, s.Goroutines, s.Files)
}

// report is what came of it.
type report struct {
	Duration float64          `json:"seconds"`
	Rate     float64          `json:"requestsPerSecond"` // asked for
	Answers  map[string]int64 `json:"answers"`           // right ones, by protocol
	Rude     int64            `json:"rudeCallers"`
	Changes  int64            `json:"changes"`
	Before   sample           `json:"before"` // at rest
	After    sample           `json:"after"`
	Samples  []sample         `json:"samples"` // under load
	Faults   []string         `json:"faults"`
}

// String implements fmt.Stringer: the report as a table.
func (r *report) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "load\t%.0f s at %.0f requests a second, %d changes, %d callers without manners\n", r.Duration, r.Rate, r.Changes, r.Rude)
	for _, name := range slices.Sorted(maps.Keys(r.Answers)) {
		fmt.Fprintf(w, "right answers, %s\t%d\n", name, r.Answers[name])
	}
	fmt.Fprintf(w, "at rest before\t%v\nat rest after\t%v\n", r.Before, r.After)
	if n := len(r.Samples); n > 0 {
		fmt.Fprintf(w, "under load, first\t%v\nhalfway\t%v\nlast\t%v\n", r.Samples[0], r.Samples[n/2], r.Samples[n-1])
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "FAULT\t%s\n", f)
	}
	if len(r.Faults) == 0 {
		fmt.Fprintln(w, "faults\tnone")
	}
	_ = w.Flush() // into memory
	return out.String()
}

// watch looks at the gateway from outside.
type watch struct {
	gate    *peer.Process
	admin   string
	samples []sample
}

func (w *watch) look(ctx context.Context) (s sample, err error) {
	proc := fmt.Sprintf("/proc/%d", w.gate.PID())
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return s, w.gate.Failure("ended")
	}
	s.Files = len(files)
	if s.RSS, err = w.gate.Memory(); err != nil {
		return s, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admin+"/metrics", nil)
	if err != nil {
		return s, err
	}
	q.Close = true // so that looking leaves nothing open
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return s, err
	}
	defer a.Body.Close()
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			s.Goroutines, err = strconv.Atoi(n)
		}
	}
	if err == nil && s.Goroutines == 0 {
		err = fmt.Errorf("/metrics of %s has no go_goroutines", w.admin)
	}
	return s, err
}

// settled waits until the gateway holds no more than before; without a before, until
// nothing changes any more. What it holds in the end is what it returns.
func (w *watch) settled(ctx context.Context, most time.Duration, before *sample) (last sample, err error) {
	same := 0
	for late := time.Now().Add(most); time.Now().Before(late); {
		s, err := w.look(ctx)
		if err != nil {
			return s, err
		}
		if s.Goroutines == last.Goroutines && s.Files == last.Files {
			same++
		} else {
			same = 0
		}
		last = s
		if before == nil && same >= 10 || before != nil && within(*before, s) && same >= 3 {
			break
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(restEvery):
		}
	}
	return last, nil
}

func within(before, after sample) bool {
	return after.Goroutines <= before.Goroutines+spare && after.Files <= before.Files+spare &&
		after.RSS <= before.RSS+before.RSS/3+spareRSS
}

// follow takes samples and shows progress until ctx ends.
func (w *watch) follow(ctx context.Context, d time.Duration, l *load) error {
	began, shown := time.Now(), time.Now()
	tick := time.NewTicker(max(d/200, 500*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.Seconds, s.Answers = time.Since(began).Seconds(), l.done.Load()
		w.samples = append(w.samples, s)
		if time.Since(shown) >= 10*time.Second {
			shown = time.Now()
			progress("%4.0f of %.0f s: %v, %d answers", s.Seconds, d.Seconds(), s, s.Answers)
		}
	}
}

// judge says what memory, goroutines and files show.
func (w *watch) judge(before, after sample) (faults []string) {
	if !within(before, after) {
		faults = append(faults, fmt.Sprintf("at rest it held %v before the load, and %v after it", before, after))
	}
	if n := len(w.samples); n == 0 || w.samples[n-1].Seconds < telling.Seconds()*0.9 {
		return faults
	}
	half := w.samples[len(w.samples)/2:]
	if grown, mean := growth(half); grown > mean/10+wobble {
		faults = append(faults, fmt.Sprintf("in the second half memory grew by %d MiB of %d", int64(grown)>>20, int64(mean)>>20))
	}
	return faults
}

// growth is by how much a line through the samples' memory rises, and their mean.
func growth(samples []sample) (grown, mean float64) {
	n := float64(len(samples))
	if n < 2 {
		return 0, 0
	}
	var at float64
	for _, s := range samples {
		at += s.Seconds / n
		mean += float64(s.RSS) / n
	}
	var above, below float64
	for _, s := range samples {
		above += (s.Seconds - at) * (float64(s.RSS) - mean)
		below += (s.Seconds - at) * (s.Seconds - at)
	}
	return above / below * (samples[len(samples)-1].Seconds - samples[0].Seconds), mean
}
