//go:build envtest

package envtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Gatehouse is a `gatehouse run` under way, as a process of its own.
type Gatehouse struct {
	t     *testing.T
	cmd   *exec.Cmd
	admin string
	log   lockedBuffer
	ended chan struct{}
	err   error // of the process, once ended is closed
}

// Run starts `gatehouse run` with the rights that config/rbac grants. Further args win over those it is given anyway. It is stopped
// with the test, and must then end well.
func (w *World) Run(args ...string) *Gatehouse {
	w.t.Helper()
	g := &Gatehouse{t: w.t, admin: fmt.Sprintf("127.0.0.1:%d", freePort(w.t)), ended: make(chan struct{})}
	args = append([]string{
		"run", "--kubeconfig", kubeconfig(w.t, w.server), "--controller-name", w.controller, "--admin-address", g.admin,
		"--leader-elect=false", "--drain-delay=-1s", "--log-level=debug", "--listen-address=127.0.0.1",
	}, args...)
	g.cmd = exec.Command(binary, args...)
	g.cmd.Env = []string{"HOME=" + w.t.TempDir(), "GATEHOUSE_GATEWAYS=host"} // listeners bind ports of this machine
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a child it left would be found
	if err := g.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		g.err = g.cmd.Wait()
	}()
	w.t.Cleanup(func() {
		if g.running() {
			g.Stop()
		}
		if g.t.Failed() {
			g.t.Logf("gatehouse said:\n%s", g.Log())
		}
	})
	return g
}

func (g *Gatehouse) running() bool {
	select {
	case <-g.ended:
		return false
	default:
		return true
	}
}

// wait returns the exit code.
func (g *Gatehouse) wait(limit time.Duration) int {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(limit):
		_ = g.cmd.Process.Kill()
		<-g.ended
		g.t.Fatalf("gatehouse did not end within %v", limit)
	}
	return g.cmd.ProcessState.ExitCode()
}

// bad is what no log may say.
var bad = regexp.MustCompile(`(?i)forbidden|panic|data race|goroutine \d+ \[`)

// Stop ends the process as Kubernetes does, and demands that it ends well and leaves no process behind.
func (g *Gatehouse) Stop() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	if code := g.wait(20 * time.Second); code != 0 {
		g.t.Errorf("gatehouse ended with %d, want 0", code)
	}
	if err := syscall.Kill(-g.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		g.t.Errorf("gatehouse left processes behind: %v", err)
	}
	for line := range strings.Lines(g.Log()) {
		if bad.MatchString(line) {
			g.t.Errorf("gatehouse said: %s", line)
		}
	}
}

// Kill ends the process at once, as a power cut does.
func (g *Gatehouse) Kill() {
	g.t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		g.t.Fatal(err)
	}
	<-g.ended
}

// Log is what the process has said so far.
func (g *Gatehouse) Log() string { return g.log.String() }

// Ready is what /readyz says: the status, 0 when nothing answers, and the text.
func (g *Gatehouse) Ready() (int, string) {
	status, _, text := ask(fresh, "http://"+g.admin+"/readyz")
	return status, strings.TrimSpace(text)
}

// WaitReady waits until the first table is applied.
func (g *Gatehouse) WaitReady() *Gatehouse {
	g.t.Helper()
	eventually(g.t, 30*time.Second, func() string {
		if !g.running() {
			g.t.Fatalf("gatehouse ended:\n%s", g.Log())
		}
		if status, text := g.Ready(); status != http.StatusOK {
			return fmt.Sprintf("/readyz says %d %s", status, text)
		}
		return ""
	})
	return g
}

// WaitLog waits until the process has said something.
func (g *Gatehouse) WaitLog(limit time.Duration, text string) {
	g.t.Helper()
	eventually(g.t, limit, func() string {
		if !strings.Contains(g.Log(), text) {
			return fmt.Sprintf("the log does not say %q", text)
		}
		return ""
	})
}

// kubeconfig writes a file that leads to the API server at an address, with a token of Gatehouse's service account.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	ServiceAccount(t) // which makes the account and its roles
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = "gatehouse-system", "gatehouse"
	return kubeconfigOf(t, server, account)
}

func kubeconfigOf(t *testing.T, server string, account *corev1.ServiceAccount) string {
	t.Helper()
	token := &authenticationv1.TokenRequest{}
	if err := Client(t).SubResource("token").Create(context.Background(), account, token); err != nil {
		t.Fatal(err)
	}
	out := clientcmdapi.NewConfig()
	out.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://" + server, CertificateAuthorityData: Start(t).CAData}
	out.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	out.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	out.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*out, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// freePort is a port that nobody listens on now. It is below the range that
// outgoing connections take theirs from, so that none of those takes it either.
func freePort(t *testing.T) int {
	t.Helper()
	for tries := 0; ; tries++ {
		port := 10000 + rand.IntN(20000)
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err == nil {
			_ = ln.Close()
			return port
		}
		if tries > 100 {
			t.Fatal(err)
		}
	}
}

// eventually asks until there is nothing to complain of.
func eventually(t *testing.T, limit time.Duration, complaint func() string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text := complaint()
		if text == "" {
			return
		}
		if time.Since(start) > limit {
			t.Fatalf("after %v: %s", limit, text)
		}
	}
}

// throughout asks again and again for a while, and there must never be anything to complain of.
func throughout(t *testing.T, span time.Duration, complaint func() string) {
	t.Helper()
	for start := time.Now(); time.Since(start) < span; time.Sleep(20 * time.Millisecond) {
		if text := complaint(); text != "" {
			t.Fatalf("after %v: %s", time.Since(start), text)
		}
	}
}

// lockedBuffer is a bytes.Buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
