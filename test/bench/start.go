package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// Where `make run` listens, and what it is asked.
const (
	runAddr  = "127.0.0.1:8080"
	runAdmin = "127.0.0.1:9901"
)

// How long a start may take at most; then its row is left out, and the report says why.
const (
	warmLimit = 3 * time.Minute
	coldLimit = 15 * time.Minute
)

// measureStart measures the way from a fresh clone to a first answer. It clones the last commit twice: once with the user's build
// cache, which has what the gateway depends on since prepare has built it, and with --cold once with an empty one. That takes minutes
// of all CPUs, so it is left out unless it is asked for. The modules are in the module cache.
func measureStart(ctx context.Context, b *bench, r *report.Report) error {
	for _, addr := range []string{runAddr, "127.0.0.1:8443", runAdmin} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("start is left out, since make run would find its port taken: %w", err)
		}
		l.Close()
	}
	for _, state := range []string{"warm", "cold"} {
		if state == "cold" && !b.cold {
			continue
		}
		if slices.ContainsFunc(r.Start, func(row report.Start) bool { return row.BuildCache == state }) {
			continue // by the run that is resumed
		}
		progress("start: make run, build cache %s", state)
		var env []string
		limit := warmLimit
		if state == "cold" {
			limit = coldLimit
			env = []string{"GOCACHE=" + filepath.Join(b.dir, "gocache")}
		}
		row, err := b.makeRun(ctx, filepath.Join(b.dir, "clone-"+state), limit, env)
		if err != nil {
			return fmt.Errorf("start, build cache %s: %w", state, err)
		}
		row.BuildCache = state
		r.Start = append(r.Start, row)
		if err := r.Save(b.results); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) makeRun(ctx context.Context, clone string, limit time.Duration, env []string) (row report.Start, err error) {
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "git", "clone", "-q", "--no-local", b.module, clone).CombinedOutput(); err != nil {
		return row, fmt.Errorf("git clone: %w\n%s", err, out)
	}
	row.Clone = time.Since(began).Seconds()
	// --directory comes last: Launch names the log after the last argument.
	p, err := peer.Launch(b.dir, peer.AnyCPU, env, "make", "run", "--directory", clone)
	if err != nil {
		return row, err
	}
	defer p.Stop()
	built := time.Time{}
	for deadline := began.Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(clone, "bin", "gatehouse")); err == nil && built.IsZero() {
			built = time.Now()
		}
		if status, _, err := get(ctx, runAddr, "/"); err == nil && status == http.StatusOK {
			break
		}
		select {
		case <-p.Done():
			return row, p.Failure("ended at once")
		case <-ctx.Done():
			return row, ctx.Err()
		default:
		}
		if time.Now().After(deadline) {
			return row, p.Failure(fmt.Sprintf("no answer in %v", limit))
		}
	}
	row.Answer = time.Since(began).Seconds()
	if !built.IsZero() {
		row.Serve = time.Since(built).Seconds()
	}
	return row, nil
}
