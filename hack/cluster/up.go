//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/hack/cluster/pki"
	"github.com/gatehouse-dev/gatehouse/hack/programs"
	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

//go:embed dns.yaml
var dnsManifest []byte

// names are the programs of a node.
func names() []string {
	return []string{
		"containerd", "containerd-shim-runc-v2", "ctr", "pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kubelet", "kube-proxy", "kubectl", "coredns", "echo-basic",
	}
}

// programPaths are the programs' paths once they are built.
func programPaths() (map[string]string, error) {
	return programs.Build(context.Background(), progress.New("cluster"), names()...)
}

// possible says why this machine cannot run the cluster, or nil.
func (h home) possible() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster is made of network namespaces and mounts, for which it needs root: run this as root, or set KUBECONFIG to use a cluster of yours")
	}
	for _, folder := range covered {
		if inside, err := filepath.Rel(folder, h.cache); err == nil && !strings.HasPrefix(inside, "..") {
			return fmt.Errorf("%s lies in %s, of which a node has its own: set XDG_CACHE_HOME to a folder elsewhere", h.cache, folder)
		}
	}
	return nil
}

// up starts a cluster, which outlives this process. One that runs stays as it is.
func (h home) up(ctx context.Context, log progress.Log, count int) error {
	if running := h.nodes(); len(running) > 0 {
		if len(running) != count {
			return fmt.Errorf("a cluster of %d node(s) runs, and %d were asked for: take it down first", len(running), count)
		}
		log.Say("it runs already")
		return nil
	}
	if err := h.possible(); err != nil {
		return err
	}
	if err := h.debianPackages(log); err != nil {
		return err
	}
	paths, err := programs.Build(ctx, log, names()...)
	if err != nil {
		return err
	}
	if err := log.Step("write images", func() error { return h.writeImages(paths) }); err != nil {
		return err
	}
	if err := h.down(); err != nil { // what a run that broke off has left
		return fmt.Errorf("remove the remains of another cluster: %w", err)
	}
	var nodes []node
	for k := 1; k <= count; k++ {
		nodes = append(nodes, node{k, h})
	}
	if err := h.bring(ctx, log, nodes, paths); err != nil {
		return errors.Join(err, h.down())
	}
	log.Say("up after %.1fs: %d node(s), Kubernetes %s; to reach it: go run ./hack/cluster exec -- COMMAND", log.Seconds(), count, programs.KubernetesVersion)
	return nil
}

// bring starts everything, in the order it depends on each other.
func (h home) bring(ctx context.Context, log progress.Log, nodes []node, paths map[string]string) error {
	if err := h.prepare(nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.boot(paths["pause"]); err != nil {
			return err
		}
	}
	// containerd needs a second, and the images another; the control plane starts beside it.
	for _, n := range nodes {
		for _, d := range n.daemons(paths) {
			if d.name == "containerd" || d.name == "etcd" || d.name == "apiserver" {
				if err := n.start(d); err != nil {
					return err
				}
			}
		}
	}
	first := nodes[0]
	for _, n := range nodes {
		if err := n.wait(ctx, log, "containerd", []string{paths["ctr"], "version"}); err != nil {
			return err
		}
	}
	tars := []string{h.image("pause"), h.image("coredns"), h.image("echo-basic")}
	if err := log.Step("import images", func() error { return importImages(nodes, tars...) }); err != nil {
		return err
	}
	kubectl := func(args ...string) []string {
		return append([]string{paths["kubectl"], "--kubeconfig=" + h.kubeconfig()}, args...)
	}
	if err := first.wait(ctx, log, "apiserver", kubectl("get", "--raw=/readyz")); err != nil {
		return err
	}
	for _, n := range nodes {
		for _, d := range n.daemons(paths) {
			if _, err := os.Stat(n.file(d.name + ".pid")); err == nil {
				continue
			}
			if err := n.start(d); err != nil {
				return err
			}
		}
	}
	if err := first.start(h.balancer()); err != nil {
		return err
	}
	if err := log.Step("apply the Gateway API's CRDs and the cluster's DNS", func() error { return h.apply(first, kubectl) }); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := first.wait(ctx, log, "kubelet", kubectl("wait", "--for=condition=Ready", "node/"+n.name(), "--timeout=1s")); err != nil {
			return err
		}
	}
	// The default ServiceAccount, without which no pod is made, comes from the controller manager.
	if err := first.wait(ctx, log, "controller-manager", kubectl("get", "serviceaccount", "default")); err != nil {
		return err
	}
	return first.wait(ctx, log, "kube-proxy", kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=2s"))
}

// balancer is the stand-in for a cloud's load balancer, which runs on the first node.
func (h home) balancer() daemon { return daemon{"balancer", []string{h.self(), "balance"}} }

// prepare makes what the nodes need before they boot.
func (h home) prepare(nodes []node) error {
	if err := os.MkdirAll(h.state(), 0o755); err != nil {
		return err
	}
	// A copy of this program: `go run` removes its own.
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyProgram(self, h.self()); err != nil {
		return err
	}
	if err := saveSysctls(filepath.Join(h.state(), "sysctls")); err != nil {
		return err
	}
	var machines []pki.Node
	for _, n := range nodes {
		machines = append(machines, pki.Node{Name: n.name(), Address: n.address()})
	}
	if err := pki.Write(h.secret(""), netip.MustParseAddr(serviceAPI), machines); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.write(nodes); err != nil {
			return err
		}
		if err := n.makeCgroup(); err != nil {
			return fmt.Errorf("make the control group %s: %w", n.cgroup(), err)
		}
	}
	return connect(nodes)
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// wait asks again until the command succeeds in the node. It says what the daemon logged if that takes more than a minute.
func (n node) wait(ctx context.Context, log progress.Log, name string, args []string) error {
	return log.Step("wait for "+name+" of "+n.name(), func() error {
		for deadline := time.Now().Add(time.Minute); ; {
			c, err := n.inside(args...)
			if err != nil {
				return err
			}
			out, err := c.CombinedOutput()
			if err == nil {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%w: %s; %s", err, out, n.tail(name))
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

// apply installs the CRDs of the Gateway API release that the product is built with, all of them, and DNS.
func (h home) apply(n node, kubectl func(...string) []string) error {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the Gateway API module, from a folder of this repository: %w", err)
	}
	crds, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "experimental", "gateway.*.yaml"))
	if err != nil || len(crds) == 0 {
		return fmt.Errorf("the Gateway API module holds %d CRDs: %w", len(crds), err)
	}
	args := []string{"apply", "--server-side", "--filename=-"}
	for _, crd := range crds {
		args = append(args, "--filename="+crd)
	}
	return n.pipe(dnsManifest, kubectl(args...)...)
}

// pipe runs a command in the node with text as its input.
func (n node) pipe(text []byte, args ...string) error {
	c, err := n.inside(args...)
	if err != nil {
		return err
	}
	c.Stdin = bytes.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out)
	}
	return nil
}

// lock keeps two processes from starting or ending the cluster at once.
func (h home) lock() (unlock func(), err error) {
	if err := os.MkdirAll(h.folder(), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(h.folder(), "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	// Set close-on-exec by os.OpenFile: the daemons do not inherit it.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
