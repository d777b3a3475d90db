//go:build envtest

package envtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const leading = "leading: this replica writes statuses"

// TestLeader runs two replicas: one writes, and when it is gone, the other; both serve all the time.
func TestLeader(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, base, routeTo("r", "/a"), routeTo("always", "/always"))
	replica := func(name, address string) *Gatehouse {
		return w.Run("--leader-elect=true", "--identity", name, "--listen-address", address, "--addresses", "192.0.2.10,gw.example.com")
	}
	first := replica("first", "127.0.0.1").WaitReady()
	first.WaitLog(30*time.Second, leading)
	second := replica("second", "127.0.0.2").WaitReady()
	for g, want := range map[*Gatehouse]string{first: "1", second: "0"} {
		if _, _, text := ask(fresh, "http://"+g.admin+"/metrics"); !strings.Contains(text, "\ngatehouse_leader "+want+"\n") {
			t.Errorf("no gatehouse_leader %s in the metrics", want)
		}
	}

	change := func(path string, limit time.Duration, addresses ...string) {
		t.Helper()
		w.Apply(routeTo("r", path))
		for _, address := range addresses {
			eventually(t, limit, func() string {
				if status, _, text := ask(fresh, fmt.Sprintf("http://%s:%d%s", address, w.Port, path)); status != http.StatusOK {
					return fmt.Sprintf("%s at %s is answered %d %s", path, address, status, text)
				}
				return ""
			})
		}
		Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell)
	}
	change("/both", 5*time.Second, "127.0.0.1", "127.0.0.2")
	// The lease is between them by now; the second must not have written anything.
	time.Sleep(time.Second)
	if by := w.writers(); len(by) != 1 {
		t.Errorf("statuses were written by %d replicas", len(by))
	}

	stop := w.keepAsking("127.0.0.2")
	killed := time.Now()
	first.Kill()
	change("/alone", 5*time.Second, "127.0.0.2") // Status waits 20 s, and a lease lasts 15 s
	t.Logf("leader killed: statuses are written again after %v", time.Since(killed).Round(time.Millisecond))
	second.WaitLog(time.Second, leading)
	if by := w.writers(); len(by) != 2 {
		t.Errorf("statuses were written by %d replicas", len(by))
	}

	third := replica("third", "127.0.0.1").WaitReady()
	stop()
	stopped := time.Now()
	second.Stop()
	third.WaitLog(6*time.Second, leading)
	t.Logf("leader ended: another leads after %v", time.Since(stopped).Round(time.Millisecond))
	change("/third", 5*time.Second, "127.0.0.1")
}

// TestLeaderKnows runs a replica that may not read the cluster, which would have nothing to write, before one that may.
func TestLeaderKnows(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	ServiceAccount(t) // which makes the namespace, and the Role
	w.Apply(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: lame, namespace: gatehouse-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lame, namespace: gatehouse-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: gatehouse}
subjects: [{kind: ServiceAccount, name: lame, namespace: gatehouse-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lame}
rules: [{apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lame}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lame}
subjects: [{kind: ServiceAccount, name: lame, namespace: gatehouse-system}]
`)
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = "gatehouse-system", "lame"
	lame := w.Run("--leader-elect=true", "--identity=lame", "--kubeconfig", kubeconfigOf(t, w.server, account))
	lame.WaitLog(30*time.Second, "is forbidden")
	able := w.Run("--leader-elect=true", "--identity=able").WaitReady()
	able.WaitLog(30*time.Second, leading)
	if strings.Contains(lame.Log(), leading) {
		t.Error("a replica led that knows nothing")
	}
	if status, text := lame.Ready(); status != http.StatusServiceUnavailable {
		t.Errorf("it is ready: %d %s", status, text)
	}
	lame.Kill() // its log is full of errors, as it should be
	able.Stop() // the lease is free for the next test
}

// writers are the tokens that statuses of the World's were written with; every replica has one.
func (w *World) writers() (out []string) {
	w.t.Helper()
	for _, e := range writes(w.t, w.Namespace) {
		for _, token := range e.User.Extra["authentication.kubernetes.io/credential-id"] {
			if !slices.Contains(out, token) {
				out = append(out, token)
			}
		}
	}
	return out
}

// keepAsking asks for /always until the function it returns is called, which complains of every answer but 200.
func (w *World) keepAsking(address string) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	var asked int
	var wrong []string
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			asked++
			if status, _, text := ask(fresh, fmt.Sprintf("http://%s:%d/always", address, w.Port)); status != http.StatusOK && len(wrong) < 10 {
				wrong = append(wrong, fmt.Sprintf("%d %s", status, text))
			}
		}
	})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(end)
			wg.Wait()
			if asked == 0 || len(wrong) > 0 {
				w.t.Errorf("of %d requests these were not answered as they should: %v", asked, wrong)
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}
