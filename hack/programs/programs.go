//go:build unix

// Package programs builds the programs of other projects that the tests run, each once, into the user's cache: Kubernetes, etcd,
// containerd, CoreDNS, Helm and the Gateway API's echo server, from their Go modules. hack/envtest, hack/cluster and test/e2e call it,
// and so share one set of files. It calls the go command.
package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

// The releases of the libraries in go.mod: k8s.io/api v0.37.2 is Kubernetes v1.37.2.
const (
	KubernetesVersion = "v1.37.2"
	stagingVersion    = "v0.37.2"
	EtcdVersion       = "v3.7.0"
	containerdVersion = "v2.3.7"
	corednsVersion    = "v1.14.7"
	GatewayAPIVersion = "v1.6.3"
	HelmVersion       = "v4.3.1"
)

// Folder is where everything of ours lies in the user's cache. It can be removed at any time and fills again.
func Folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "gatehouse"), nil
}

// Build sees to it that the programs are there and returns their paths by name. Two processes that run at once build once.
func Build(ctx context.Context, log progress.Log, names ...string) (map[string]string, error) {
	parent, err := Folder()
	if err != nil {
		return nil, err
	}
	parent = filepath.Join(parent, "programs")
	paths, missing := map[string]string{}, false
	for _, s := range sets() {
		for _, p := range s.programs {
			if at := filepath.Join(parent, s.folder, p.name); slices.Contains(names, p.name) {
				paths[p.name] = at
				missing = missing || !exists(at)
			}
		}
	}
	for _, name := range names {
		if paths[name] == "" {
			return nil, fmt.Errorf("no set has the program %s", name)
		}
	}
	if !missing {
		return paths, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(log, filepath.Join(parent, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, s := range sets() {
		var lacking []program // another process may have built them while this one waited
		for _, p := range s.programs {
			if at := paths[p.name]; at != "" && !exists(at) {
				lacking = append(lacking, p)
			}
		}
		if len(lacking) > 0 {
			if err := s.build(ctx, log, filepath.Join(parent, s.folder), lacking); err != nil {
				return nil, err
			}
		}
	}
	return paths, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lock waits until this process alone holds the lock file. The kernel lets go of it when the process ends, however it ends.
func lock(log progress.Log, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		log.Say("another process is building programs; waiting for it")
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
