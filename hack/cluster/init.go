//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// covered are folders that a node has of its own, empty at first, so that nothing of it stays on the machine's disk.
var covered = []string{"/run", "/var/lib", "/var/log"}

// boot starts the node: this program again, as the first process of namespaces of its own, where it becomes initNode.
func (n node) boot(pause string) error {
	// nsenter replaces itself, so that the process started here stays the first.
	c := exec.Command("nsenter", "--net="+network(n.name()), n.h.self(), "init", strconv.Itoa(n.k), pause)
	out, err := os.Create(n.log("init"))
	if err != nil {
		return err
	}
	defer out.Close()
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended at once: %w; %s", n.name(), err, n.tail("init"))
		case <-deadline:
			return fmt.Errorf("%s does not start; %s", n.name(), n.tail("init"))
		case <-time.After(10 * time.Millisecond):
			if _, err := os.Stat(n.file("ready")); err == nil {
				return os.WriteFile(n.file("pid"), []byte(strconv.Itoa(c.Process.Pid)), 0o644)
			}
		}
	}
}

// initNode makes the node's own file systems, and becomes the program that collects its orphans.
func (n node) initNode(pause string) error {
	if err := syscall.Sethostname([]byte(n.name())); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, folder := range covered {
		if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	for _, folder := range []string{
		"/run/lock", "/run/netns", "/run/containerd", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/lib/kube-proxy",
		"/var/lib/misc", "/var/log/pods", "/var/log/containers",
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{
		"kubelet": "/var/lib/kubelet", "containerd": "/var/lib/containerd", "podlogs": "/var/log/pods",
		"resolv.conf": "/etc/resolv.conf", "hosts": "/etc/hosts",
	} {
		if err := bind(n.file(from), to); err != nil {
			return err
		}
	}
	// containerd is to see what kubelet mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	// Both are settings of the network namespace.
	for name, value := range map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/disable_ipv6": "0"} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0o644); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.WriteFile(n.file("ready"), nil, 0o644); err != nil {
		return err
	}
	return syscall.Exec(pause, []string{"pause"}, nil)
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", from, to, err)
	}
	return nil
}
