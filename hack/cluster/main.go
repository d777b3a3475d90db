//go:build linux

// Command cluster runs a real Kubernetes cluster of one or two nodes on this machine, for tests: without a container tool, a registry or
// a route to the outside. `make cluster`, `make e2e` and `make conformance` call it. It calls hack/programs, which builds Kubernetes
// from source once, and programs of the machine: ip, nsenter, apt-get.
//
//	up [--nodes 2]         starts it; one that runs stays
//	down                   ends it and leaves nothing
//	load gatehouse[:TAG]   builds the product's image from this source and puts it on every node
//	load IMAGE=FILE        does so with an image of one program
//	kubectl ARGS...        as usual
//	exec [--in lan] -- CMD runs CMD on this machine in the network of node-1, node-2 or, as a client outside, the lan
//	run [--nodes 2] -- CMD starts a cluster for CMD alone, with the product's image, or uses the one that runs
//	stop|start DAEMON      ends or starts a daemon: apiserver, etcd, kubelet, ...
//	status, env            say what runs and how to reach it
//
// The API server, Services and LoadBalancer addresses can be reached only from the cluster's own networks: through exec. With KUBECONFIG
// set to another cluster's, exec and run use that one and start nothing.
//
// A node is a set of namespaces (mount, process, network, host name) with a control group of its own; its files lie in the user's cache.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Root's own PATH has these, one that sudo or a build server gives may not.
	err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if err == nil {
		err = root().ExecuteContext(ctx)
	}
	stop()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.Exited():
		os.Exit(ended.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	h, homeErr := newHome()
	log := progress.New("cluster")
	all := &cobra.Command{
		Use: "cluster", Short: "A real Kubernetes cluster on this machine, for tests", SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return homeErr },
	}
	all.AddCommand(upCommand(h, log), execCommand(h), runCommand(h, log))
	all.AddCommand(initCommand(h), balanceCommand(h))
	all.AddCommand(daemonCommands(h)...)
	all.AddCommand(
		&cobra.Command{Use: "down", Short: "End it and leave nothing", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			return h.locked(h.down)
		}},
		&cobra.Command{Use: "load gatehouse[:TAG]|IMAGE=FILE", Short: "Put an image on every node", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			return h.load(log, args[0])
		}},
		&cobra.Command{Use: "kubectl ARGS...", Short: "Run kubectl", DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
			return h.enter("node-1", append([]string{"kubectl"}, args...))
		}},
		&cobra.Command{Use: "status", Short: "Say what runs", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return h.status(os.Stdout) }},
		&cobra.Command{Use: "env", Short: "Print what a shell sets to use it", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			fmt.Printf("export KUBECONFIG=%q\n# It answers in its own network: go run ./hack/cluster exec -- COMMAND\n", h.kubeconfig())
			return nil
		}},
	)
	return all
}

func upCommand(h home, log progress.Log) *cobra.Command {
	var nodes int
	c := &cobra.Command{Use: "up", Short: "Start it", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return h.locked(func() error { return h.up(c.Context(), log, nodes) })
	}}
	nodesFlag(c, &nodes)
	return c
}

func nodesFlag(c *cobra.Command, nodes *int) {
	c.Flags().IntVar(nodes, "nodes", 1, fmt.Sprintf("how many, up to %d", maxNodes))
	c.PreRunE = func(*cobra.Command, []string) error {
		if *nodes < 1 || *nodes > maxNodes {
			return fmt.Errorf("--nodes %d: from 1 to %d", *nodes, maxNodes)
		}
		return nil
	}
}

func execCommand(h home) *cobra.Command {
	var where string
	c := &cobra.Command{Use: "exec [--in node-1|node-2|lan] -- COMMAND", Short: "Run a command in the cluster's network", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		return h.enter(where, args)
	}}
	c.Flags().StringVar(&where, "in", "node-1", "whose network: node-1, node-2, or lan for a client outside")
	c.Flags().SetInterspersed(false)
	return c
}

// initCommand and balanceCommand are what this program runs as inside a node.
func initCommand(h home) *cobra.Command {
	return &cobra.Command{Use: "init NODE PAUSE", Hidden: true, Args: cobra.ExactArgs(2), RunE: func(_ *cobra.Command, args []string) error {
		var k int
		if _, err := fmt.Sscan(args[0], &k); err != nil {
			return err
		}
		return node{k, h}.initNode(args[1])
	}}
}

func balanceCommand(h home) *cobra.Command {
	return &cobra.Command{Use: "balance", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return h.balance(c.Context()) }}
}

func daemonCommands(h home) []*cobra.Command {
	var k int
	find := func(name string) (node, daemon, error) {
		paths, err := programPaths()
		if err != nil {
			return node{}, daemon{}, err
		}
		for _, n := range h.nodes() {
			if n.k != k {
				continue
			}
			for _, d := range append(n.daemons(paths), h.balancer()) {
				if d.name == name {
					return n, d, nil
				}
			}
		}
		return node{}, daemon{}, fmt.Errorf("node %d has no daemon %s", k, name)
	}
	stop := &cobra.Command{Use: "stop DAEMON", Short: "End a daemon of a node", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		n, d, err := find(args[0])
		if err != nil {
			return err
		}
		return n.stop(d)
	}}
	start := &cobra.Command{Use: "start DAEMON", Short: "Start it again", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		n, d, err := find(args[0])
		if err != nil {
			return err
		}
		if n.process(d) != 0 {
			return fmt.Errorf("%s runs", d.name)
		}
		return n.start(d)
	}}
	for _, c := range []*cobra.Command{stop, start} {
		c.Flags().IntVar(&k, "node", 1, "the node's number")
	}
	return []*cobra.Command{stop, start}
}
