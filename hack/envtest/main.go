//go:build unix

// Command envtest prints the folder that holds kube-apiserver and etcd for the tests against a real API server: KUBEBUILDER_ASSETS
// where that is set, else a folder of the user's cache, which it fills by building both from their Go modules the first time.
// `make test-envtest` calls it. It calls the go command.
//
// The folder is printed on standard output, progress on standard error. Two that run at once build once.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// The releases of the libraries in go.mod: k8s.io/api v0.37.2 is Kubernetes v1.37.2.
const (
	kubernetesVersion = "v1.37.2"
	stagingVersion    = "v0.37.2"
	etcdVersion       = "v3.7.0"
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
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "gatehouse", "envtest")
	folder := filepath.Join(parent, "kubernetes-"+kubernetesVersion+"-etcd-"+etcdVersion)
	if exists(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(parent, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(folder) { // another process built it while this one waited
		return folder, nil
	}
	work, err := os.MkdirTemp(parent, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	b := builder{source: filepath.Join(work, "source"), bin: filepath.Join(work, "bin"), start: time.Now()}
	if err := b.run(ctx); err != nil {
		return "", err
	}
	// The folder appears whole or not at all.
	return folder, os.Rename(b.bin, folder)
}

func exists(folder string) bool {
	info, err := os.Stat(folder)
	return err == nil && info.IsDir()
}

// lock waits until this process alone holds the lock file. The kernel lets go of it when the process ends, however it ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintln(os.Stderr, "envtest: another process is building kube-apiserver and etcd; waiting for it")
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
