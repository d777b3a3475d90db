// Command bench measures what Gatehouse costs: CPU and memory per request beside
// the proxies that people use, the time from a changed route to the first answer
// that shows it, the time from a fresh clone to a first answer, and allocations.
//
// `make bench` runs all of it and writes docs/benchmarks.md. It builds and runs the
// gatehouse binary as a user would, and joins controllers and proxy in a process
// of its own where routes change. Its rooms: peer runs proxies, load makes
// requests and answers them, report writes tables and plots. Everything stays on
// loopback and is bounded in time. docs/benchmarks.md says how to read the figures.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// bench is what all parts share.
type bench struct {
	options
	module      string // root of the repository
	dir         string // temporary, gone at the end
	self        string // this program
	binary      string // gatehouse, built by prepare
	certificate peer.Certificate
	contenders  map[string]found // by name; gatehouse too
	left        estimate
}

// options are what the user chose.
type options struct {
	scenarios, peers []string
	runs             int
	seconds          float64
	output, results  string
	write, resume    bool
	cold             bool
	install          bool
	other            string
	samples          int
}

// found is a peer that is there.
type found struct {
	peer.Peer
	program string
}

func newCommand() *cobra.Command {
	b := &bench{}
	root := &cobra.Command{
		Use: "bench", Short: "Measure what Gatehouse costs, beside other proxies", Args: cobra.NoArgs, SilenceUsage: true,
		Long: "Measure what Gatehouse costs, beside other proxies.\n\nScenarios and parts:\n" + describe(),
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := root.Flags()
	f.StringSliceVar(&b.scenarios, "scenario", nil, "measure only these")
	f.StringSliceVar(&b.peers, "peers", nil, "beside Gatehouse only these: nginx, haproxy, envoy, caddy (default: those that each scenario names)")
	f.IntVar(&b.runs, "runs", 7, "runs of each proxy, by turns")
	f.Float64Var(&b.seconds, "seconds", 1, "length of a run")
	f.StringVar(&b.output, "output", "text", "what to print: text or json")
	f.StringVar(&b.results, "results", "bin/bench.json", "file that keeps what was measured, after each scenario")
	f.BoolVar(&b.write, "write", false, "write docs/benchmarks.md and its plots")
	f.BoolVar(&b.resume, "resume", false, "keep what the results file holds of this commit, and measure the rest")
	f.BoolVar(&b.cold, "cold", false, "in part start, build with an empty cache too: 6 to 15 minutes of all CPUs")
	f.BoolVar(&b.install, "install", true, "install what is missing with apt-get, if we are root")
	f.StringVar(&b.other, "other", "", "another gatehouse binary to measure beside this one, such as the last release's")
	f.IntVar(&b.samples, "samples", 100, "routes applied one after the other in part apply")
	root.AddCommand(
		newRender(),
		child("load", func(ctx context.Context, spec load.Spec) error {
			totals, err := load.Run(ctx, spec)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(totals)
		}),
		child("backends", load.Backends),
		child("pipeline", servePipeline),
	)
	return root
}

func newRender() *cobra.Command {
	var results string
	c := &cobra.Command{Use: "render", Short: "Write docs/benchmarks.md from the results file", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		r, err := report.Load(results)
		if err != nil {
			return err
		}
		return r.Write("docs")
	}}
	c.Flags().StringVar(&results, "results", "bin/bench.json", "file with what was measured")
	return c
}

// child is a command that bench starts on a CPU of its own, with its task as JSON.
func child[T any](name string, run func(context.Context, T) error) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		var task T
		if err := json.Unmarshal([]byte(args[0]), &task); err != nil {
			return err
		}
		return run(c.Context(), task)
	}}
}

// task is the command line of a child.
func (b *bench) task(name string, task any) ([]string, error) {
	text, err := json.Marshal(task)
	return []string{b.self, name, string(text)}, err
}

// prepare finds the repository, makes the temporary folder, builds gatehouse and
// sees which peers are there.
func (b *bench) prepare(ctx context.Context, r *report.Report) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("finding the repository (run this inside it): %w", err)
	}
	b.module = strings.TrimSpace(string(out))
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return err
	}
	// nginx's worker has given up root when it opens files.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	if b.certificate, err = peer.NewCertificate(b.dir); err != nil {
		return err
	}
	b.binary = filepath.Join(b.dir, "gatehouse")
	progress("building gatehouse")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/gatehouse")
	build.Dir = b.module
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/gatehouse: %w\n%s", err, out)
	}
	return b.find(ctx, r)
}

// find sees which programs are there, or can be had.
func (b *bench) find(ctx context.Context, r *report.Report) error {
	may := peer.Permission{Install: b.install, Say: progress}
	if cache, err := os.UserCacheDir(); err == nil {
		may.Cache = filepath.Join(cache, "gatehouse", "peers")
		if err := os.MkdirAll(may.Cache, 0o755); err != nil {
			return err
		}
	}
	for program, pkg := range map[string]string{"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux"} {
		if err := peer.Need(ctx, may, program, pkg); err != nil {
			return err
		}
	}
	if err := peer.Need(ctx, may, "perf", "linux-perf"); err != nil {
		progress("system calls are not counted: %v", err)
	}
	b.contenders = map[string]found{}
	all := []peer.Peer{peer.Gatehouse("gatehouse", b.binary)}
	if b.other != "" {
		all = append(all, peer.Gatehouse("other", b.other))
	}
	wanted := b.wantedPeers()
	for _, p := range append(all, peer.Others()...) {
		if p.Name != "gatehouse" && p.Name != "other" && !wanted[p.Name] {
			continue
		}
		program, version, err := p.Find(ctx, may)
		if err != nil {
			progress("%s is left out: %v", p.Name, err)
			r.Missing[p.Name] = err.Error()
			continue
		}
		b.contenders[p.Name] = found{p, program}
		r.Versions[p.Name] = version
		if p.Name == gatehouse {
			r.Versions[gatehouse] = r.Machine.Commit
		}
	}
	if _, ok := b.contenders["gatehouse"]; !ok {
		return fmt.Errorf("gatehouse: %s", r.Missing["gatehouse"])
	}
	return nil
}

// progress says on standard error what is going on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
