//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/hack/programs"
)

// The cluster's addresses. They exist only in its network namespaces, from which no route leads anywhere else.
const (
	lanPrefix   = "10.99.0"        // the network the nodes and an outside client share; node K is .10+K
	podPrefix   = "10.244"         // node K's pods are .K.0/24
	serviceNet  = "10.96.0.0/16"   //
	serviceAPI  = "10.96.0.1"      // Service kubernetes
	serviceDNS  = "10.96.0.10"     // Service kube-dns
	poolNet     = "10.99.0.192/26" // routed to node 1; LoadBalancer Services get poolFirst to poolLast of it
	poolFirst   = "10.99.0.200"
	poolLast    = "10.99.0.250"
	outside     = "lan" // a client's place in that network, that is no node
	maxNodes    = 2
	namePrefix  = "gatehouse-" // of network namespaces and cgroups
	runtimeSock = "/run/containerd/containerd.sock"
)

// node is one machine of the cluster, K from 1.
type node struct {
	k int
	h home
}

func (n node) name() string { return fmt.Sprintf("node-%d", n.k) }
func (n node) address() netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%s.%d", lanPrefix, 10+n.k))
}
func (n node) pods() string             { return fmt.Sprintf("%s.%d.0/24", podPrefix, n.k) }
func (n node) cgroup() string           { return namePrefix + n.name() }
func (n node) folder() string           { return filepath.Join(n.h.state(), n.name()) }
func (n node) file(name string) string  { return filepath.Join(n.folder(), name) }
func (n node) log(daemon string) string { return filepath.Join(n.folder(), "log", daemon+".log") }

// network is the path of a node's network namespace, or of the outside client's.
func network(name string) string { return "/run/netns/" + namePrefix + name }

// home is where things lie in the user's cache.
type home struct{ cache string }

func newHome() (home, error) {
	folder, err := programs.Folder()
	return home{folder}, err
}

// folder is of the cluster, whether one runs or not; state of the one that runs.
func (h home) folder() string            { return filepath.Join(h.cache, "cluster") }
func (h home) state() string             { return filepath.Join(h.folder(), "state") }
func (h home) debian(path string) string { return filepath.Join(h.folder(), "debian", path) }
func (h home) image(name string) string  { return filepath.Join(h.folder(), "images", name+".tar") }
func (h home) secret(name string) string { return filepath.Join(h.state(), "pki", name) }
func (h home) kubeconfig() string        { return h.secret("admin.kubeconfig") }
func (h home) self() string              { return filepath.Join(h.state(), "cluster") }

// nodes are those of the running cluster; none if there is none.
func (h home) nodes() (out []node) {
	for k := 1; k <= maxNodes; k++ {
		n := node{k, h}
		if !n.runs() {
			return out
		}
		out = append(out, n)
	}
	return out
}

// runs tells whether the process that boot noted is in the node's network. The note may be older than the machine's last start.
func (n node) runs() bool {
	pid, err := os.ReadFile(n.file("pid"))
	if err != nil {
		return false
	}
	want, err := os.Stat(network(n.name()))
	if err != nil {
		return false
	}
	have, err := os.Stat(filepath.Join("/proc", string(pid), "ns", "net"))
	return err == nil && os.SameFile(want, have)
}

// foreign is the kubeconfig of another cluster than ours, which KUBECONFIG names, or "".
func (h home) foreign() string {
	if named := os.Getenv("KUBECONFIG"); named != h.kubeconfig() {
		return named
	}
	return ""
}
