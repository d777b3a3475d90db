//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sysctls are settings of the whole machine that kubelet changes, or that a node needs higher.
var sysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"fs/inotify/max_user_instances",
}

// saveSysctls notes their values, and raises the number of inotify instances: each container takes some.
func saveSysctls(to string) error {
	var saved strings.Builder
	for _, name := range sysctls {
		value, err := os.ReadFile("/proc/sys/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&saved, "%s %s\n", name, strings.TrimSpace(string(value)))
	}
	if err := os.WriteFile(to, []byte(saved.String()), 0o644); err != nil {
		return err
	}
	return raise("/proc/sys/fs/inotify/max_user_instances", 1024)
}

func raise(path string, least int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if have, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && have >= least {
		return nil
	}
	return os.WriteFile(path, []byte(strconv.Itoa(least)), 0o644)
}

func restoreSysctls(from string) error {
	saved, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []error
	for line := range strings.Lines(string(saved)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, os.WriteFile("/proc/sys/"+name, []byte(value), 0o644))
	}
	return errors.Join(all...)
}

// down ends whatever there is of a cluster, whole or half, and removes what it leaves. It goes by names that only clusters of ours have,
// not by notes: what has lost its notes is found as well.
func (h home) down() error {
	spaces, err := filepath.Glob(network("*"))
	if err != nil {
		return err
	}
	if err := endProcesses(spaces); err != nil {
		return err
	}
	var all []error
	for _, path := range spaces {
		all = append(all, command("ip", "netns", "delete", filepath.Base(path)))
	}
	all = append(all, removeCgroups(), restoreSysctls(filepath.Join(h.state(), "sysctls")))
	if err := errors.Join(all...); err != nil {
		return err // the notes stay, for another try
	}
	return os.RemoveAll(h.state())
}

// endProcesses kills every process of the network namespaces, but this one and those it descends from. The first process of a node takes
// with it all that it knows of: pods, which have networks of their own, and mounts.
func endProcesses(spaces []string) error {
	inodes := map[uint64]bool{}
	for _, path := range spaces {
		var s syscall.Stat_t
		if err := syscall.Stat(path, &s); err != nil {
			return err
		}
		inodes[s.Ino] = true
	}
	spared := map[int]bool{}
	for pid := os.Getpid(); pid > 0; pid = parent(pid) {
		spared[pid] = true
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		links, err := filepath.Glob("/proc/[0-9]*/ns/net")
		if err != nil {
			return err
		}
		for _, link := range links {
			var s syscall.Stat_t
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			// A process that has ended has no namespaces any more.
			if err != nil || spared[pid] || syscall.Stat(link, &s) != nil || !inodes[s.Ino] {
				continue
			}
			left++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d process(es) of the cluster do not end", left)
		}
	}
}

// parent is the process that started this one, 0 if there is none.
func parent(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			above, _ := strconv.Atoi(strings.TrimSpace(value))
			return above
		}
	}
	return 0
}
