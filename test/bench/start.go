package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// Where `make run` listens, and what it is asked.
const (
	runAddr  = "127.0.0.1:8080"
	runAdmin = "127.0.0.1:9901"
)

// measureStart measures the way from a fresh clone to a first answer. It clones the last commit twice: once with an empty build cache, once
// with what the first left in it. The modules are in the module cache: prepare
// has built with them.
func measureStart(ctx context.Context, b *bench, r *report.Report) error {
	for _, addr := range []string{runAddr, "127.0.0.1:8443", runAdmin} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("start is left out, since make run would find its port taken: %w", err)
		}
		l.Close()
	}
	cache := filepath.Join(b.dir, "gocache")
	for _, state := range []string{"cold", "warm"} {
		progress("start: make run, build cache %s", state)
		row, err := b.makeRun(ctx, filepath.Join(b.dir, "clone-"+state), cache)
		if err != nil {
			return fmt.Errorf("start, build cache %s: %w", state, err)
		}
		row.BuildCache = state
		r.Start = append(r.Start, row)
	}
	return nil
}

func (b *bench) makeRun(ctx context.Context, clone, cache string) (row report.Start, err error) {
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "git", "clone", "-q", "--no-local", b.module, clone).CombinedOutput(); err != nil {
		return row, fmt.Errorf("git clone: %w\n%s", err, out)
	}
	row.Clone = time.Since(began).Seconds()
	// --directory comes last: Launch names the log after the last argument.
	p, err := peer.Launch(b.dir, peer.AnyCPU, []string{"GOCACHE=" + cache}, "make", "run", "--directory", clone)
	if err != nil {
		return row, err
	}
	defer p.Stop()
	built := time.Time{}
	for deadline := began.Add(15 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
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
			return row, p.Failure("no answer in 15 minutes")
		}
	}
	row.Answer = time.Since(began).Seconds()
	if !built.IsZero() {
		row.Serve = time.Since(built).Seconds()
	}
	return row, nil
}
