// Command bench measures what Gatehouse costs: CPU and memory per request
// beside nginx, the time from a changed route to the first answer that shows
// it, the time from a fresh clone to a first answer, and allocations.
//
// `make bench` runs all of it. It builds and runs the gatehouse binary as a
// user would, and for one figure joins controllers and proxy in this process.
// Everything stays on loopback and is bounded in time. docs/benchmarks.md says
// how to read the figures.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// bench is what all scenarios share.
type bench struct {
	asJSON  bool
	install bool
	module  string // root of the repository
	dir     string // temporary, gone at the end
	binary  string // gatehouse, built by prepare
}

// scenario is one thing to measure.
type scenario interface {
	measure(ctx context.Context, b *bench, r *Report) error
}

func newCommand() *cobra.Command {
	b := &bench{}
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Measure what Gatehouse costs",
		SilenceUsage:  true,
		SilenceErrors: false,
	}
	root.PersistentFlags().BoolVar(&b.asJSON, "json", false, "print JSON in place of tables")
	root.PersistentFlags().BoolVar(&b.install, "install", true, "install wrk and nginx with apt-get where they are missing and we are root")

	http1, apply, start, allocs := &http1{}, &apply{}, &start{}, &allocs{}
	one := func(name, short string, scenarios ...scenario) *cobra.Command {
		c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return b.run(c, scenarios)
		}}
		root.AddCommand(c)
		return c
	}
	http1.flags(one("http1", "CPU per request, throughput, allocations and memory beside nginx", http1))
	apply.flags(one("apply", "From a route applied to the first answer that shows it", apply))
	one("start", "From a fresh clone, by make run, to the first answer", start)
	one("allocs", "The forward path's allocation tests", allocs)
	all := one("all", "Everything", http1, apply, start, allocs)
	http1.flags(all)
	apply.flags(all)
	root.AddCommand(newBackend())
	return root
}

// run measures the scenarios one after the other. One that fails is reported,
// with what the others found.
func (b *bench) run(c *cobra.Command, scenarios []scenario) error {
	ctx := c.Context()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	r := &Report{Machine: machine(ctx)}
	var failed []error
	for _, s := range scenarios {
		if err := s.measure(ctx, b, r); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	r.Machine.LoadAfter = loadAverage()
	if b.asJSON {
		failed = append(failed, r.JSON(c.OutOrStdout()))
	} else {
		failed = append(failed, r.Text(c.OutOrStdout()))
	}
	return errors.Join(failed...)
}

// prepare finds the repository, makes the temporary folder and builds gatehouse.
func (b *bench) prepare(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("finding the repository (run this inside it): %w", err)
	}
	b.module = strings.TrimSpace(string(out))
	if b.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return err
	}
	// nginx's worker has given up root when it opens files.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	b.binary = filepath.Join(b.dir, "gatehouse")
	progress("building gatehouse")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/gatehouse")
	build.Dir = b.module
	if out, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(b.dir)
		return fmt.Errorf("go build ./cmd/gatehouse: %w\n%s", err, out)
	}
	return nil
}

// progress says on standard error what is going on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
