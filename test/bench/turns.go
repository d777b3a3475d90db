package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// turn is how long one contender is loaded before the next one is. What else a
// machine does comes and goes within seconds: of turns this short each contender
// gets a like share of it.
const turn = 100 * time.Millisecond

// generator makes a load in processes of its own on the load's CPU, and can be
// stopped meanwhile.
type generator struct {
	cmd       *exec.Cmd
	out, said bytes.Buffer
	ended     chan error
	over      bool
	pausedAt  time.Time
	paused    time.Duration // in all
	ran       time.Duration
}

// generate starts a load of so many seconds, those included in which it is paused.
func (b *bench) generate(ctx context.Context, spec load.Spec, seconds float64) (*generator, error) {
	spec.Seconds = seconds
	argv, err := b.task("load", spec)
	if err != nil {
		return nil, err
	}
	g := &generator{cmd: exec.CommandContext(ctx, "taskset", append([]string{"-c", peer.LoadCPU}, argv...)...), ended: make(chan error, 1)}
	g.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.said
	// A group of its own: wrk and h2load are children of it.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.cmd.Cancel = func() error { return g.signal(syscall.SIGKILL) }
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { g.ended <- g.cmd.Wait() }()
	return g, nil
}

func (g *generator) signal(s syscall.Signal) error { return syscall.Kill(-g.cmd.Process.Pid, s) }

// run lets it go on for so long, or to its end, and pauses it.
func (g *generator) run(d time.Duration) error {
	began := time.Now()
	defer func() { g.ran += time.Since(began) }()
	if !g.pausedAt.IsZero() {
		g.paused += began.Sub(g.pausedAt)
	}
	// That there is no such process is no error: it ended as the turn did.
	if err := g.signal(syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case err := <-g.ended:
		g.over = true
		return g.failure(err)
	case <-time.After(d):
	}
	g.pausedAt = time.Now()
	if err := g.signal(syscall.SIGSTOP); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// totals are what it came to, without the time in which it was paused.
func (g *generator) totals() (t load.Totals, err error) {
	if err := json.Unmarshal(g.out.Bytes(), &t); err != nil {
		return t, fmt.Errorf("a load wrote %q: %w", g.out.Bytes(), err)
	}
	t.Microseconds -= g.paused.Microseconds()
	return t, nil
}

// load makes a contender's load from begin to end.
func (b *bench) load(ctx context.Context, spec load.Spec, seconds float64) (t load.Totals, err error) {
	g, err := b.generate(ctx, spec, seconds)
	if err != nil {
		return t, err
	}
	if err := g.failure(<-g.ended); err != nil {
		return t, err
	}
	return g.totals()
}

// failure is what it said of the error it ended with, if there was one.
func (g *generator) failure(err error) error {
	if err == nil || g.said.Len() == 0 {
		return err
	}
	return errors.New(oneLine(strings.TrimPrefix(g.said.String(), "Error: ")))
}

// While a paused load's requests are finished, its proxy is looked at this often, and
// for so long at most.
const (
	look   = 5 * time.Millisecond // longer than between two of the scheduler's counts, by a tick
	finish = 100 * time.Millisecond
)

// turn has a contender's load go on for one turn, and waits until what was under way
// at its end is done: a proxy that takes long for it would else take from the next
// one's turn. Where several contenders are one process, what it uses in a turn is
// the contender's whose turn it is.
func (m *measurement) turn(g *generator) error {
	before, err := m.process.CPU()
	if err != nil {
		return err
	}
	if err := g.run(turn); err != nil {
		return err
	}
	after, err := rest(m.process.CPU, look)
	if m.shared {
		m.used += after - before
	}
	return err
}

// rest waits until a process is at rest, and returns what it has used by then.
func rest(used func() (time.Duration, error), look time.Duration) (time.Duration, error) {
	last, err := used()
	for range finish / look {
		time.Sleep(look)
		before := last
		if last, err = used(); err != nil || last-before < look/10 {
			break
		}
	}
	return last, err
}

// together is one run of each contender by turns: every load lasts for as long as
// all take together, and one at a time goes on.
func (b *bench) together(ctx context.Context, all []*running, first int) []outcome {
	ctx, stop := context.WithCancel(ctx)
	defer stop() // the loads that are left when one cannot go on
	out := make([]outcome, len(all))
	begun := make([]*measurement, len(all))
	loads := make([]*generator, len(all))
	for i, r := range all {
		if out[i].err = b.warm(ctx, r); out[i].err == nil {
			begun[i], out[i].err = begin(ctx, r)
		}
	}
	for left := true; left; {
		left = false
		for i := range all {
			i = (i + first) % len(all)
			if out[i].err != nil || loads[i] != nil && loads[i].over {
				continue
			}
			if loads[i] == nil {
				if loads[i], out[i].err = b.generate(ctx, all[i].spec, b.seconds*float64(len(all))); out[i].err != nil {
					continue
				}
			}
			out[i].err = begun[i].turn(loads[i])
			left = true
		}
	}
	for i, m := range begun {
		if out[i].err != nil {
			continue
		}
		var t load.Totals
		if t, out[i].err = loads[i].totals(); out[i].err == nil {
			out[i].run, out[i].err = m.end(t, 0, loads[i].ran)
		}
	}
	return out
}
