//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
)

// main runs commands on a cluster that KUBECONFIG names. One of namespaces, which only Linux has, it cannot make, and says what to do.
func main() {
	dash := slices.Index(os.Args, "--")
	if os.Getenv("KUBECONFIG") != "" && len(os.Args) > 1 && (os.Args[1] == "exec" || os.Args[1] == "run") && dash > 0 && dash+1 < len(os.Args) {
		c := exec.Command(os.Args[dash+1], os.Args[dash+2:]...)
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := c.Run()
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			os.Exit(ended.ExitCode())
		}
		if err == nil {
			return
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "cluster: left out: a cluster is made of Linux namespaces, and this is %s: set KUBECONFIG to use a cluster of yours; `make kind-e2e` starts one with kind\n", runtime.GOOS)
	if !slices.Contains(os.Args, "--if-possible") {
		os.Exit(1)
	}
}
