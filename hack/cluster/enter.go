//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter replaces this process by the command, in the network of a node or of the outside client, with the cluster's DNS and host names.
// Everything else is the machine's: files, processes, terminal.
func (h home) enter(where string, args []string) error {
	if h.foreign() != "" {
		return become(args, os.Environ())
	}
	nodes := h.nodes()
	if len(nodes) == 0 {
		return fmt.Errorf("no cluster runs; `go run ./hack/cluster up` starts one, KUBECONFIG names another")
	}
	env, err := h.environment()
	if err != nil {
		return err
	}
	ns, err := os.Open(network(where))
	if err != nil {
		return fmt.Errorf("the cluster has no %s: %w", where, err)
	}
	runtime.LockOSThread() // namespaces are those of a thread, and exec keeps the ones of the thread that calls it
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network of %s: %w", where, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	for _, name := range []string{"resolv.conf", "hosts"} {
		if err := bind(nodes[0].file(name), "/etc/"+name); err != nil {
			return err
		}
	}
	return become(args, env)
}

// environment is what a command finds in the cluster: KUBECONFIG, kubectl in its PATH, this program as CLUSTER, as CLUSTER_POOL the first
// and the last address that Services of type LoadBalancer can have, and as CLUSTER_AUDIT the API server's log of who wrote what. A proxy of
// the machine's is out of reach.
func (h home) environment() ([]string, error) {
	kubectl, err := programPaths()
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}, strings.ToUpper(name))
	})
	return append(env,
		"KUBECONFIG="+h.kubeconfig(),
		"CLUSTER="+h.self(),
		"CLUSTER_POOL="+poolFirst+"-"+poolLast,
		"CLUSTER_AUDIT="+node{1, h}.log("audit"),
		"PATH="+filepath.Dir(kubectl["kubectl"])+":"+os.Getenv("PATH")), nil
}

// become replaces this process.
func become(args, env []string) error {
	path := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, args, env))
}
