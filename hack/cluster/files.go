//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// What the daemons read. Verbs: containerdConfig takes snapshotter, runc, CNI programs, CNI configurations.
const (
	containerdConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "` + runtimeSock + `"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = %q
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "` + pauseImage + `"
[plugins.'io.containerd.cri.v1.runtime']
  # Where root may not lower the score, nothing else would start.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = %q
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = [%q]
  conf_dir = %q
`
	// The node's pods.
	cniConfig = `{"cniVersion": "1.0.0", "name": "gatehouse", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}
`
	// cgroup, certificate, key, CA, resolv.conf. Nothing is thrown away when the disk fills: images cannot be fetched again.
	kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%s
containerRuntimeEndpoint: unix://` + runtimeSock + `
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[4]q}}
authorization: {mode: Webhook}
tlsCertFile: %[2]q
tlsPrivateKeyFile: %[3]q
clusterDNS: [` + serviceDNS + `]
clusterDomain: cluster.local
resolvConf: %[5]q
failSwapOn: false
imageGCHighThresholdPercent: 100
evictionHard: {imagefs.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.inodesFree: "0%%"}
serializeImagePulls: false
registryPullQPS: 0
maxPods: 250
volumePluginDir: /var/lib/kubelet/volumeplugins
oomScoreAdj: 0
`
	// kubeconfig, node. The limits of conntrack are the machine's own and cannot be set from here.
	proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
hostnameOverride: %s
clusterCIDR: ` + podPrefix + `.0.0/16
detectLocalMode: ClusterCIDR
healthzBindAddress: 0.0.0.0:10256
conntrack: {maxPerCore: 0, min: 0}
nftables: {syncPeriod: 10s, minSyncPeriod: 100ms}
`
	// Who wrote what, for tests that count.
	auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: None}
`
	// For processes of the node and for commands that run beside it.
	resolvConf = "nameserver " + serviceDNS + "\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
)

// write fills the node's folder, before anything of it runs.
func (n node) write(nodes []node) error {
	for _, folder := range []string{"log", "cni", "kubelet", "containerd", "podlogs"} {
		if err := os.MkdirAll(n.file(folder), 0o755); err != nil {
			return err
		}
	}
	snapshotter, err := snapshotterFor(n.folder())
	if err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for _, other := range nodes {
		hosts += fmt.Sprintf("%s %s\n", other.address(), other.name())
	}
	secret := n.h.secret
	for name, text := range map[string]string{
		"containerd.toml":           fmt.Sprintf(containerdConfig, snapshotter, n.h.debian("usr/sbin/runc"), n.h.debian("usr/lib/cni"), n.file("cni")),
		"cni/10-gatehouse.conflist": fmt.Sprintf(cniConfig, n.pods()),
		"kubelet.yaml":              fmt.Sprintf(kubeletConfig, n.cgroup(), secret(n.name()+"-server.crt"), secret(n.name()+"-server.key"), secret("ca.crt"), n.file("resolv-host.conf")),
		"kube-proxy.yaml":           fmt.Sprintf(proxyConfig, secret("proxy.kubeconfig"), n.name()),
		"audit.yaml":                auditPolicy,
		"resolv.conf":               resolvConf,
		"resolv-host.conf":          "nameserver 127.0.0.1\n", // for pods that want the node's: CoreDNS, which forwards nothing
		"hosts":                     hosts,
	} {
		if err := os.WriteFile(n.file(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// snapshotterFor is overlayfs but on a disk that is one itself, as in a container, where files are copied instead.
func snapshotterFor(folder string) (string, error) {
	const overlayfs = 0x794c7630 // OVERLAYFS_SUPER_MAGIC, linux/magic.h
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(folder), &fs); err != nil {
		return "", err
	}
	if fs.Type == overlayfs {
		return "native", nil
	}
	return "overlayfs", nil
}
