//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

// tools are programs of the machine that nodes call, and the packages of Debian that have them.
var tools = map[string]string{
	"ip": "iproute2", "nft": "nftables", "iptables": "iptables", "nsenter": "util-linux", "mount": "mount",
}

// unpacked are packages that are not installed, only unpacked into the cache: runc, and the plugins that connect pods.
var unpacked = []string{"runc", "containernetworking-plugins"}

// debianPackages sees to it that both are there.
func (h home) debianPackages(log progress.Log) error {
	var missing []string
	for tool, name := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, name)
		}
	}
	_, err := os.Stat(h.debian("usr/lib/cni/bridge"))
	if err == nil && len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("runc and the CNI plugins, %q, come from packages of Debian or Ubuntu, and this machine has no apt-get: set KUBECONFIG to use a cluster of yours", missing)
	}
	if err := log.Step("apt-get update", func() error { return command("apt-get", "update", "-qq") }); err != nil {
		return err
	}
	if len(missing) > 0 {
		install := append([]string{"apt-get", "install", "-y", "-qq", "--no-install-recommends"}, missing...)
		if err := log.Step(fmt.Sprintf("install %q", missing), func() error { return command(install...) }); err != nil {
			return err
		}
	}
	return log.Step("unpack runc and the CNI plugins", h.unpack)
}

// unpack fills the folder whole or not at all.
func (h home) unpack() error {
	if err := os.MkdirAll(h.folder(), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(h.folder(), "unpacking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	download := exec.Command("apt-get", append([]string{"download", "-qq"}, unpacked...)...)
	download.Dir = work
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	packages, err := filepath.Glob(work + "/*.deb")
	if err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	for _, p := range packages {
		if err := command("dpkg-deb", "--extract", p, root); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(h.debian("")); err != nil {
		return err
	}
	return os.Rename(root, h.debian(""))
}
