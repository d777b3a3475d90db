// Command soak keeps a gateway busy for a long time, and tells whether it is still
// what it was: every answer right, memory flat, and no goroutine and no file left
// over when the load has gone.
//
// `make soak` runs it. It builds the gatehouse binary and serves manifests with it,
// which change all the while: routes, endpoints, certificates. Clients of all
// protocols send 70 % of what the machine takes and check every answer; others
// break off, dawdle and send nonsense. Everything stays on loopback and ends by
// itself. It calls test/bench/peer for processes and ports.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// share of what the machine takes is asked for.
const share = 0.7

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

type options struct {
	duration time.Duration
	output   string
}

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:           "soak",
		Short:         "Keep a gateway busy while its routes, endpoints and certificates change; fail if it answers wrongly or leaks",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: false,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.output != "text" && o.output != "json" {
				return fmt.Errorf("--output is %q; text and json are known", o.output)
			}
			r, err := soak(c.Context(), o)
			if err != nil {
				return err
			}
			if o.output == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(r)
			} else {
				_, err = fmt.Fprint(c.OutOrStdout(), r)
			}
			if len(r.Faults) > 0 {
				return errors.New("the gateway is not what it was: " + strings.Join(r.Faults, "; "))
			}
			return err
		},
	}
	c.Flags().DurationVar(&o.duration, "duration", 8*time.Minute, "how long the load lasts")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	return c
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// soak runs the whole: warm-up, a look at the gateway at rest, the load, and a look
// at it at rest again.
func soak(ctx context.Context, o options) (*report, error) {
	dir, err := os.MkdirTemp("", "gatehouse-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := newSite(dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	gate, err := launch(ctx, dir, s)
	if err != nil {
		return nil, err
	}
	defer gate.Stop()
	r := &report{Duration: o.duration.Seconds()}
	w := &watch{gate: gate, admin: peer.Local(s.ports.admin)}
	l := newLoad(s)
	defer l.close()

	warm := max(o.duration/10, 2*time.Second)
	progress("measuring what the machine takes, for %v", warm)
	if err := l.run(ctx, warm, 0, nil); err != nil {
		return nil, err
	}
	rate := share * float64(l.done.Load()) / warm.Seconds()
	r.Rate = rate
	l.rest()
	if r.Before, err = w.settled(ctx, 30*time.Second, nil); err != nil {
		return nil, err
	}
	progress("at rest: %v; now %.0f requests a second for %v", r.Before, rate, o.duration)
	if err := under(ctx, o.duration, rate, l, w); err != nil {
		return nil, err
	}
	l.rest()
	progress("the load is gone; waiting for the gateway to let go")
	if r.After, err = w.settled(ctx, 2*time.Minute, &r.Before); err != nil {
		return nil, err
	}
	r.Answers, r.Rude, r.Changes = l.counts(), l.rude.Load(), s.changes.Load()
	r.Faults = append(l.faults(), w.judge(r.Before, r.After)...)
	r.Samples = w.samples
	r.Faults = append(r.Faults, farewell(ctx, gate, l)...)
	return r, nil
}

// under is the load itself, with everything that changes meanwhile.
func under(ctx context.Context, d time.Duration, rate float64, l *load, w *watch) error {
	during, stop := context.WithTimeout(ctx, d)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- l.site.churn(during) }()
	go func() { ended <- w.follow(during, d, l) }()
	err := l.run(ctx, d, rate, l.site)
	stop()
	return errors.Join(err, <-ended, <-ended)
}

// launch builds the gateway, starts it and waits until it serves.
func launch(ctx context.Context, dir string, s *site) (*peer.Process, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the repository (run this inside it): %w", err)
	}
	binary := filepath.Join(dir, "gatehouse")
	progress("building gatehouse")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/gatehouse")
	build.Dir = strings.TrimSpace(string(module))
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build ./cmd/gatehouse: %w\n%s", err, out)
	}
	gate, err := peer.Launch(dir, peer.AnyCPU, nil, binary, "standalone", "-f", s.folder, "--admin-address", peer.Local(s.ports.admin))
	if err != nil {
		return nil, err
	}
	for _, port := range []int{s.ports.http, s.ports.https, s.ports.tcp, s.ports.admin} {
		if err := gate.Opened(ctx, peer.Local(port)); err != nil {
			gate.Stop()
			return nil, err
		}
	}
	return gate, nil
}

// farewell sees that the gateway still serves every protocol, and ends as it should.
func farewell(ctx context.Context, gate *peer.Process, l *load) (faults []string) {
	for _, k := range l.kinds {
		if err := k.once(ctx); err != nil {
			faults = append(faults, fmt.Sprintf("after all: %s: %v", k.name, err))
		}
	}
	l.rest()
	if err := syscall.Kill(gate.PID(), syscall.SIGTERM); err != nil {
		return append(faults, err.Error())
	}
	select {
	case <-gate.Done():
		if code := gate.ExitCode(); code != 0 {
			faults = append(faults, fmt.Sprintf("it ended with exit code %d after SIGTERM", code))
		}
	case <-time.After(time.Minute):
		faults = append(faults, "it did not end within a minute of SIGTERM")
	}
	return faults
}
