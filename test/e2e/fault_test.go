//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
)

// tries is how often a client sends a request that must outlive a crash. Until the slices say so, every other connection is led to the dead.
const tries = 20

// leader is the pod that holds the lease.
func leader(t *testing.T) (name string) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		var lease coordinationv1.Lease
		if err := theCluster.client.Get(t.Context(), k8s.ObjectKey{Namespace: system, Name: "gatehouse-leader"}, &lease); err != nil {
			return err.Error()
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return "nobody leads"
		}
		name = *lease.Spec.HolderIdentity
		for _, p := range names(t) {
			if p == name {
				return ""
			}
		}
		return name + " leads, which is no pod"
	})
	return name
}

// kill ends the process of a pod of gatehouse as a kernel short of memory does.
func kill(t *testing.T, pod string) {
	t.Helper()
	found := processes("gatehouse", func(p process) bool { return p.ofPod(pod) })
	if len(found) != 1 {
		t.Fatalf("pod %s has %d processes", pod, len(found))
	}
	found[0].signal(t, syscall.SIGKILL)
}

// recovered waits until a killed pod is ready again.
func recovered(t *testing.T, pod string, restarts int32) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		for _, p := range pods(t, system, k8s.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) {
			if p.Name == pod && len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready && p.Status.ContainerStatuses[0].RestartCount > restarts {
				return ""
			}
		}
		return pod + " is not ready again"
	})
}

func restarts(t *testing.T, pod string) int32 {
	t.Helper()
	for _, p := range pods(t, system, k8s.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) {
		if p.Name == pod && len(p.Status.ContainerStatuses) > 0 {
			return p.Status.ContainerStatuses[0].RestartCount
		}
	}
	t.Fatalf("there is no pod %s", pod)
	return 0
}

// TestPodKilled kills a process that follows. What it had in hand nobody can save: clients send those requests again.
func TestPodKilled(t *testing.T) {
	theCluster.local(t)
	gatehouse(t)
	s := newSite(t, "killed")
	to := s.target(t, "http", 80)
	to.Tries = tries
	leads := leader(t)
	for _, pod := range names(t) {
		if pod == leads {
			continue
		}
		l := start(t, to)
		l.after(100)
		before := restarts(t, pod)
		kill(t, pod)
		recovered(t, pod, before)
		l.after(200)
		l.stop()
		return
	}
	t.Fatal("no pod follows")
}

// TestLeaderKilled kills the process that writes, and waits until somebody writes again.
func TestLeaderKilled(t *testing.T) {
	theCluster.local(t)
	gatehouse(t)
	s := newSite(t, "leader")
	to := s.target(t, "http", 80)
	to.Tries = tries
	l := start(t, to)
	l.after(100)
	pod := leader(t)
	before := restarts(t, pod)
	kill(t, pod)
	killed := time.Now()
	s.accepts(t, "after")
	t.Logf("statuses were written again after %s", time.Since(killed).Round(100*time.Millisecond))
	recovered(t, pod, before)
	l.after(200)
	l.stop()
}

// TestLeaderEnded tells the leader to end, as a drained node or a rollout does.
func TestLeaderEnded(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "ended")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	pod := leader(t)
	theCluster.kubectl(t, "delete", "pod", "-n", system, pod, "--wait=false")
	ended := time.Now()
	s.accepts(t, "after")
	t.Logf("statuses were written again after %s", time.Since(ended).Round(100*time.Millisecond))
	gone(t, []string{pod})
	theCluster.kubectl(t, "rollout", "status", "-n", system, "deployment/gatehouse", "--timeout=90s")
	l.after(200)
	l.stop()
}

// accepts makes a route and waits until it is served and its status says so. Watches that broke with the API server are begun again after
// a pause that grows with the time it was away, to a minute at most: that is client-go's, which spares a server that comes back.
func (s site) accepts(t *testing.T, name string) {
	t.Helper()
	host := name + ".example.com"
	s.apply(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: $NAMESPACE}
spec:
  parentRefs: [{name: edge}]
  hostnames: [%s]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
`, name, host))
	theCluster.kubectl(t, "wait", "-n", s.namespace, "httproute/"+name, "--timeout=120s",
		`--for=jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True`)
	to := s.target(t, "http", 80)
	to.Host = host
	s.serves(t, to)
}

// TestAPIServerAway stops the API server. Pods go on serving what they know, and take up what has changed when it is back.
func TestAPIServerAway(t *testing.T) {
	theCluster.local(t)
	gatehouse(t)
	s := newSite(t, "api")
	before := map[string]int32{}
	for _, pod := range names(t) {
		before[pod] = restarts(t, pod)
	}
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	t.Cleanup(func() { // it is no failure that it runs
		if theCluster.server() == nil {
			theCluster.must(t, "", node, "start", "apiserver")
		}
	})
	theCluster.must(t, "", node, "stop", "apiserver")
	l.after(5 * rate)
	theCluster.must(t, "", node, "start", "apiserver")
	began := time.Now()
	eventually(t, time.Minute, func() string {
		if _, err := theCluster.run("", theCluster.kubectlProgram, "get", "--raw", "/readyz"); err != nil {
			return err.Error()
		}
		return ""
	})
	back := time.Now()
	s.accepts(t, "after")
	t.Logf("the API server was ready after %s, a new route served %s later", back.Sub(began).Round(100*time.Millisecond), time.Since(back).Round(100*time.Millisecond))
	l.after(100)
	l.stop()
	for pod, n := range before {
		if now := restarts(t, pod); now != n {
			t.Errorf("pod %s has restarted %d times", pod, now-n)
		}
	}
}
