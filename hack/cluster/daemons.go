//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is one program of a node that stays.
type daemon struct {
	name string
	args []string // args[0] is the program's path
}

// daemons lists a node's, in the order they start. The first node has the control plane.
func (n node) daemons(programs map[string]string) []daemon {
	secret := n.h.secret
	all := []daemon{{"containerd", []string{programs["containerd"], "-c", n.file("containerd.toml")}}}
	if n.k == 1 {
		all = append(all, n.controlPlane(programs)...)
	}
	return append(all,
		daemon{"kubelet", []string{
			programs["kubelet"], "--config=" + n.file("kubelet.yaml"), "--kubeconfig=" + secret(n.name()+"-client.kubeconfig"),
			"--hostname-override=" + n.name(), "--node-ip=" + n.address().String(), "--root-dir=/var/lib/kubelet",
		}},
		daemon{"kube-proxy", []string{programs["kube-proxy"], "--config=" + n.file("kube-proxy.yaml")}})
}

// controlPlane needs no leader election: there is one of each.
func (n node) controlPlane(programs map[string]string) []daemon {
	secret := n.h.secret
	kubeconfigs := func(name string) []string {
		path := secret(name + ".kubeconfig")
		return []string{"--kubeconfig=" + path, "--authentication-kubeconfig=" + path, "--authorization-kubeconfig=" + path, "--leader-elect=false", "--bind-address=127.0.0.1"}
	}
	return []daemon{
		// No fsync: the data lives as long as the processes.
		{"etcd", []string{
			programs["etcd"], "--name=node-1", "--data-dir=" + n.file("etcd"), "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=node-1=http://127.0.0.1:2380",
		}},
		{"apiserver", []string{
			programs["kube-apiserver"], "--etcd-servers=http://127.0.0.1:2379", "--advertise-address=" + n.address().String(), "--secure-port=6443",
			"--service-cluster-ip-range=" + serviceNet, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--profiling=false",
			"--client-ca-file=" + secret("ca.crt"), "--tls-cert-file=" + secret("apiserver.crt"), "--tls-private-key-file=" + secret("apiserver.key"),
			"--kubelet-client-certificate=" + secret("apiserver-kubelet.crt"), "--kubelet-client-key=" + secret("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + secret("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--service-account-key-file=" + secret("sa.pub"), "--service-account-signing-key-file=" + secret("sa.key"),
			"--requestheader-client-ca-file=" + secret("ca.crt"), "--requestheader-allowed-names=front-proxy-client", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + secret("front-proxy.crt"), "--proxy-client-key-file=" + secret("front-proxy.key"),
			"--audit-policy-file=" + n.file("audit.yaml"), "--audit-log-path=" + n.log("audit"),
		}},
		{"controller-manager", append([]string{
			programs["kube-controller-manager"], "--service-account-private-key-file=" + secret("sa.key"), "--root-ca-file=" + secret("ca.crt"),
			"--cluster-signing-cert-file=" + secret("ca.crt"), "--cluster-signing-key-file=" + secret("ca.key"), "--use-service-account-credentials",
			"--flex-volume-plugin-dir=/var/lib/misc/flex", // made on the machine's own disk by default
		}, kubeconfigs("controller-manager")...)},
		{"scheduler", append([]string{programs["kube-scheduler"]}, kubeconfigs("scheduler")...)},
	}
}

// inside returns a command in all of the node's namespaces. Its working folder is "/": paths must be absolute.
func (n node) inside(args ...string) (*exec.Cmd, error) {
	pid, err := os.ReadFile(n.file("pid"))
	if err != nil {
		return nil, fmt.Errorf("%s does not run: %w", n.name(), err)
	}
	c := exec.Command("nsenter", append([]string{"--target", string(pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--wd=/", "--"}, args...)...)
	c.Env = append(os.Environ(), "PATH="+strings.Join([]string{filepath.Dir(args[0]), n.h.debian("usr/sbin"), "/usr/sbin:/usr/bin:/sbin:/bin"}, ":"))
	return c, nil
}

// start starts a daemon, which outlives this process.
func (n node) start(d daemon) error {
	c, err := n.inside(d.args...)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(n.log(d.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	c.Stdout, c.Stderr, c.SysProcAttr = out, out, &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	return os.WriteFile(n.file(d.name+".pid"), []byte(strconv.Itoa(c.Process.Pid)), 0o644)
}

// process is the daemon's, as this machine numbers it, or 0. What start recorded is nsenter, whose only child it is.
func (n node) process(d daemon) int {
	recorded, err := os.ReadFile(n.file(d.name + ".pid"))
	if err != nil {
		return 0
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", recorded, recorded))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return 0
	}
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || program != d.args[0] {
		return 0 // another process has the number now
	}
	return pid
}

// stop ends a daemon and waits until it is gone. One that does not end on SIGTERM within ten seconds is killed.
func (n node) stop(d daemon) error {
	pid := n.process(d)
	if pid == 0 {
		return fmt.Errorf("%s does not run on %s", d.name, n.name())
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if n.process(d) == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("%s of %s does not end", d.name, n.name())
}

// tail is the end of a daemon's log, for the message that says what went wrong.
func (n node) tail(name string) string {
	text, err := os.ReadFile(n.log(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Sprintf("%s says:\n%s", n.log(name), strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
