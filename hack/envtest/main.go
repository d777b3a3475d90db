//go:build unix

// Command envtest prints the folder that holds kube-apiserver and etcd for the tests against a real API server: KUBEBUILDER_ASSETS
// where that is set, else a folder of the user's cache, which it fills by building both from their Go modules the first time.
// `make test-envtest` calls it. It calls hack/programs.
//
// The folder is printed on standard output, progress on standard error.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/hack/programs"
	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	folder, err := assets(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		os.Exit(1)
	}
	fmt.Println(folder)
}

// assets returns the folder, filled.
func assets(ctx context.Context) (string, error) {
	if folder := os.Getenv("KUBEBUILDER_ASSETS"); folder != "" {
		return folder, nil
	}
	paths, err := programs.Build(ctx, progress.New("envtest"), "kube-apiserver", "etcd")
	if err != nil {
		return "", err
	}
	return filepath.Dir(paths["etcd"]), nil
}
