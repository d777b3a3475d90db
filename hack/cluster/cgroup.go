//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroups = "/sys/fs/cgroup"

// hierarchies are the folders that each hold a tree of control groups: one under cgroup v2, one for each controller under v1.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}, nil
	}
	found, err := filepath.Glob(cgroups + "/*/cgroup.procs")
	for i, file := range found {
		found[i] = filepath.Dir(file)
	}
	return found, err
}

// makeCgroup makes the node's group in each hierarchy: kubelet wants it there.
func (n node) makeCgroup() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range all {
		group := filepath.Join(tree, n.cgroup())
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		// v2 hands controllers down only when told to.
		if controllers, err := os.ReadFile(filepath.Join(tree, "cgroup.controllers")); err == nil && tree == cgroups {
			enable := "+" + strings.Join(strings.Fields(string(controllers)), " +")
			for _, folder := range []string{tree, group} {
				if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(enable), 0o644); err != nil {
					return err
				}
			}
		}
		// v1 starts with no processor and no memory, which no process can join.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			above, err := os.ReadFile(filepath.Join(tree, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(group, name), above, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroups removes every node's groups. The kernel lets go of an ended process a little after its parent has heard of it.
func removeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var folders []string
		for _, tree := range all {
			groups, err := filepath.Glob(filepath.Join(tree, namePrefix+"node-*"))
			if err != nil {
				return err
			}
			for _, group := range groups {
				err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
					if err == nil && d.IsDir() {
						folders = append(folders, path)
					}
					return err
				})
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		if len(folders) == 0 {
			return nil
		}
		var last error
		for _, folder := range slices.Backward(folders) {
			if err := os.Remove(folder); err != nil {
				last = err
			}
		}
		if last != nil && time.Now().After(deadline) {
			return last
		}
	}
}
