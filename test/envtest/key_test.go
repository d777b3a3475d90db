//go:build envtest

package envtest

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// key runs `gatehouse key` against the World's API server and returns what it
// printed to standard output.
func (w *World) key(kubeconfig string, args ...string) string {
	w.t.Helper()
	c := exec.Command(binary, append([]string{"key", "--kubeconfig", kubeconfig, "-n", w.Namespace}, args...)...)
	c.Env = []string{"HOME=" + w.t.TempDir()}
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("gatehouse key %v: %v\n%s", args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// adminKubeconfig is a file by which a person who may do everything reaches the
// API server.
func adminKubeconfig(t *testing.T) string {
	t.Helper()
	c := Start(t)
	out := clientcmdapi.NewConfig()
	out.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	out.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken}
	out.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	out.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*out, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyed wants a key of everybody who asks for the route.
const keyed = `
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: keyed, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: keyed}]
  rules: {authentication: {holders: {apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: orders}}}}}}
`

func TestKeys(t *testing.T) {
	w := NewWorld(t, base, routeTo("keyed", "/"), keyed)
	w.Run().WaitReady()
	w.Expect("/", http.StatusUnauthorized)
	admin := adminKubeconfig(t)
	status := func(key string) int {
		request, err := http.NewRequest(http.MethodGet, w.URL("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-API-Key", key)
		answer, err := fresh.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	becomes := func(key string, want int) {
		t.Helper()
		eventually(t, 10*time.Second, func() string {
			if got := status(key); got != want {
				return fmt.Sprintf("the key is answered %d, want %d", got, want)
			}
			return ""
		})
	}
	first := w.key(admin, "new", "acme", "--for", "orders", "--expires", "30d")
	becomes(first, http.StatusOK)
	second := w.key(admin, "rotate", "acme", "--grace", "1h")
	becomes(second, http.StatusOK)
	becomes(first, http.StatusOK)
	if list := w.key(admin, "list"); strings.Count(list, " live ") != 2 || strings.Contains(list, first) || !strings.Contains(list, w.Namespace+"/acme-2") {
		t.Errorf("listed:\n%s", list)
	}
	w.key(admin, "revoke", "acme")
	becomes(first, http.StatusUnauthorized)
	becomes(second, http.StatusOK)
}

// untilRefused asks with a key until it is accepted, tells so, and until it is refused.
func untilRefused(c *http.Client, url, key string, accepted func()) error {
	was := false
	for late := time.Now().Add(30 * time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("X-API-Key", key)
		answer, err := c.Do(request)
		if err != nil {
			continue // nobody listens yet
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		switch {
		case answer.StatusCode == http.StatusOK && !was:
			was = true
			accepted()
		case answer.StatusCode == http.StatusUnauthorized && was:
			return nil
		}
	}
	if !was {
		accepted()
	}
	return fmt.Errorf("%s: accepted within 30 s: %t; refused: never", url, was)
}

// TestRevocation measures the way from a key's Secret deleted to its first refusal, at each of two replicas that are asked all the time.
func TestRevocation(t *testing.T) {
	w := NewWorld(t, base, routeTo("keyed", "/"), keyed)
	addresses := []string{"127.0.0.1", "127.0.0.2"}
	for i, address := range addresses {
		w.Run("--leader-elect=true", "--identity", fmt.Sprint("replica-", i), "--listen-address", address, "--log-level=info").WaitReady()
	}
	const keys, limit = 5, 5 * time.Second // a second is what we mean it to take; a machine may be busy
	var all []time.Duration
	for i := range keys {
		name, key := fmt.Sprint("key-", i), fmt.Sprint("ghk_revoked_", i)
		w.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: NS, labels: {gatehouse.dev/api-key: orders}}\nstringData: {apiKey: %s}\n", name, key))
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
		took := make([]time.Duration, len(addresses))
		var deleted atomic.Int64 // since start, once it is
		var accepted, refused sync.WaitGroup
		start := time.Now()
		for n, address := range addresses {
			accepted.Add(1)
			refused.Go(func() {
				c := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
				defer c.CloseIdleConnections()
				if err := untilRefused(c, fmt.Sprintf("http://%s:%d/", address, w.Port), key, accepted.Done); err != nil {
					t.Error(err)
				}
				took[n] = time.Since(start) - time.Duration(deleted.Load())
			})
		}
		accepted.Wait()
		deleted.Store(int64(time.Since(start)))
		if err := Client(t).Delete(t.Context(), secret); err != nil {
			t.Error(err)
		}
		refused.Wait()
		all = append(all, took...)
	}
	t.Logf("a revoked key was refused, by two replicas, after p50 %v, at most %v", percentile(all, 50), percentile(all, 100))
	if percentile(all, 100) > limit {
		t.Errorf("a revoked key was accepted for %v", percentile(all, 100))
	}
}
