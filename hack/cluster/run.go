//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/hack/programs"
	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

// insideRun is a variable that run sets for its command.
const insideRun = "CLUSTER_RUN"

func runCommand(h home, log progress.Log) *cobra.Command {
	var nodes int
	var ifPossible bool
	c := &cobra.Command{
		Use: "run [--nodes 2] -- COMMAND", Short: "Run a command that needs a cluster with the product's image", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if why := h.possible(); ifPossible && h.foreign() == "" && why != nil {
				log.Say("left out: %s: %v", strings.Join(args, " "), why)
				return nil
			}
			return h.run(c.Context(), log, nodes, args)
		},
	}
	nodesFlag(c, &nodes)
	c.Flags().BoolVar(&ifPossible, "if-possible", false, "where no cluster can run, say so and succeed")
	c.Flags().SetInterspersed(false)
	return c
}

// run runs the command beside the cluster, not in its network: it is told how to get there (environment). Another cluster that
// KUBECONFIG names is used as it is, and so is what an outer run has made. A cluster that was started for the command ends with it.
func (h home) run(ctx context.Context, log progress.Log, nodes int, args []string) (err error) {
	env := os.Environ()
	if h.foreign() == "" && os.Getenv(insideRun) == "" {
		began := len(h.nodes()) == 0
		if err := h.locked(func() error { return h.up(ctx, log, max(nodes, len(h.nodes()))) }); err != nil {
			return err
		}
		if began {
			defer func() { err = errors.Join(err, h.locked(h.down)) }()
		}
		if err := h.load(log, product); err != nil {
			return err
		}
		if env, err = h.environment(); err != nil {
			return err
		}
		env = append(env, insideRun+"=1")
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr, c.Env = os.Stdin, os.Stdout, os.Stderr, env
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	if err = c.Run(); err != nil && h.foreign() == "" {
		h.explain(os.Stderr)
	}
	return err
}

// explain prints what helps to see why a test failed.
func (h home) explain(w io.Writer) {
	for _, args := range [][]string{
		{"get", "nodes,pods", "-A", "-o", "wide"},
		{"get", "gateways.gateway.networking.k8s.io,gatewayclasses.gateway.networking.k8s.io", "-A"},
		{"-n", "gatehouse-system", "logs", "-l", "app.kubernetes.io/name=gatehouse", "--prefix", "--tail=60", "--ignore-errors"},
		{"get", "events", "-A", "--field-selector=type!=Normal", "--sort-by=.lastTimestamp"},
	} {
		fmt.Fprintf(w, "\n$ kubectl %s\n", strings.Join(args, " "))
		c := exec.Command(h.self(), append([]string{"kubectl"}, args...)...)
		out, err := c.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		fmt.Fprintln(w, strings.Join(lines[max(0, len(lines)-150):], "\n"))
		if err != nil {
			fmt.Fprintln(w, err)
		}
	}
}

// status lists what runs, one daemon a line.
func (h home) status(w io.Writer) error {
	nodes := h.nodes()
	if len(nodes) == 0 {
		fmt.Fprintln(w, "no cluster runs; `go run ./hack/cluster up` starts one")
		return nil
	}
	paths, err := programPaths()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Kubernetes %s, KUBECONFIG=%s, LoadBalancer addresses %s to %s\n", programs.KubernetesVersion, h.kubeconfig(), poolFirst, poolLast)
	for _, n := range nodes {
		all := n.daemons(paths)
		if n.k == 1 {
			all = append(all, h.balancer())
		}
		for _, d := range all {
			state := "ended"
			if pid := n.process(d); pid != 0 {
				state = fmt.Sprintf("runs as %d", pid)
			}
			fmt.Fprintf(w, "%s %s %-19s %-14s %s\n", n.name(), n.address(), d.name, state, n.log(d.name))
		}
	}
	return nil
}

// locked runs do while no other process starts or ends the cluster.
func (h home) locked(do func() error) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}
