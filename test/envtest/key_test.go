//go:build envtest

package envtest

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestKeys(t *testing.T) {
	w := NewWorld(t, base, routeTo("keyed", "/"), `
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: keyed, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: keyed}]
  rules: {authentication: {holders: {apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: orders}}}}}}
`)
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
	becomes := func(key string, want int) time.Duration {
		t.Helper()
		start := time.Now()
		eventually(t, 10*time.Second, func() string {
			if got := status(key); got != want {
				return fmt.Sprintf("the key is answered %d, want %d", got, want)
			}
			return ""
		})
		return time.Since(start)
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
	if took := becomes(first, http.StatusUnauthorized); took > time.Second {
		t.Errorf("a revoked key was accepted for %v", took)
	} else {
		t.Logf("a revoked key was refused after %v", took.Round(time.Millisecond))
	}
	becomes(second, http.StatusOK)
}
