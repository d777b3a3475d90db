//go:build unix

package programs

import "fmt"

// set is programs that are built from one scratch module.
type set struct {
	folder   string   // in the cache; names every version, so that a new one is another folder
	requires []string // "path version"
	staging  bool     // replaces the staging modules of k8s.io/kubernetes
	programs []program
}

// program is one main package: of another module, or, where main is set, written here.
type program struct {
	name     string
	pkg      string // import path
	main     string // source of the main package, in place of pkg
	tags     string
	linkVars string // what the linker sets, "path.name=value"
}

// etcdMain and corednsMain stand in for mains that cannot be imported, or that bring more than a test cluster needs.
const (
	etcdMain = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`
	corednsMain = `package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
	_ "github.com/coredns/coredns/plugin/whoami"
)

func main() { coremain.Run() }
`
	// pauseMain is the first process of a pod's sandbox, and of a node: it collects the orphans and does nothing else.
	pauseMain = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
`
)

// sets lists what can be built.
func sets() []set {
	kubernetes := set{
		folder:   "kubernetes-" + KubernetesVersion + "-etcd-" + EtcdVersion,
		requires: []string{"k8s.io/kubernetes " + KubernetesVersion, "go.etcd.io/etcd/server/v3 " + EtcdVersion},
		staging:  true,
		programs: []program{{name: "etcd", main: etcdMain}},
	}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"} {
		kubernetes.programs = append(kubernetes.programs, program{
			name: name, pkg: "k8s.io/kubernetes/cmd/" + name,
			linkVars: "k8s.io/component-base/version.gitVersion=" + KubernetesVersion,
		})
	}
	containerd := set{
		folder:   "containerd-" + containerdVersion,
		requires: []string{"github.com/containerd/containerd/v2 " + containerdVersion},
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		containerd.programs = append(containerd.programs, program{
			name: name, pkg: "github.com/containerd/containerd/v2/cmd/" + name,
			tags:     "no_btrfs no_devmapper no_zfs osusergo netgo static_build urfave_cli_no_docs",
			linkVars: "github.com/containerd/containerd/v2/version.Version=" + containerdVersion,
		})
	}
	return []set{
		kubernetes,
		containerd,
		{
			folder:   "coredns-" + corednsVersion,
			requires: []string{"github.com/coredns/coredns " + corednsVersion},
			programs: []program{{name: "coredns", main: corednsMain}},
		},
		{
			folder: "echo-basic-" + GatewayAPIVersion,
			// The suite's own go.mod requires the API at v0.0.0, beside a replacement that does not count for those who import it.
			requires: []string{"sigs.k8s.io/gateway-api/conformance " + GatewayAPIVersion, "sigs.k8s.io/gateway-api " + GatewayAPIVersion},
			programs: []program{{name: "echo-basic", pkg: "sigs.k8s.io/gateway-api/conformance/echo-basic"}},
		},
		{
			folder:   "helm-" + HelmVersion,
			requires: []string{"helm.sh/helm/v4 " + HelmVersion},
			programs: []program{{name: "helm", pkg: "helm.sh/helm/v4/cmd/helm"}},
		},
		{folder: "pause-1", programs: []program{{name: "pause", main: pauseMain}}},
	}
}

// source is the import path that go build gets.
func (p program) source() string {
	if p.main != "" {
		return "./" + p.name
	}
	return p.pkg
}

// ldflags leave out symbols and debugging data, which nobody looks at here.
func (p program) ldflags() string {
	if p.linkVars == "" {
		return "-s -w"
	}
	return fmt.Sprintf("-s -w -X %s", p.linkVars)
}
