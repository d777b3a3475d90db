//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	k8s "sigs.k8s.io/controller-runtime/pkg/client"
)

// TestRollingRestartOfGatehouse does it more than once, since pods may come to nodes of their own by chance.
func TestRollingRestartOfGatehouse(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "restart")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	for range 5 {
		restart(t)
	}
	l.after(200)
	l.stop()
}

// restart replaces the pods of gatehouse, which then are on as many nodes as before: one that dies must not take all of them.
func restart(t *testing.T) {
	t.Helper()
	old := names(t)
	theCluster.kubectl(t, "rollout", "restart", "-n", system, "deployment/gatehouse")
	theCluster.kubectl(t, "rollout", "status", "-n", system, "deployment/gatehouse", "--timeout=120s")
	nodes := map[string]bool{}
	for _, p := range pods(t, system, k8s.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) {
		if !slices.Contains(old, p.Name) {
			nodes[p.Spec.NodeName] = true
		}
	}
	if len(nodes) < 2 {
		t.Errorf("all pods are on one node after a rollout: %v", nodes)
	}
}

func TestRollingRestartOfBackends(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "backends")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	theCluster.kubectl(t, "rollout", "restart", "-n", s.namespace, "deployment/backend")
	theCluster.kubectl(t, "rollout", "status", "-n", s.namespace, "deployment/backend", "--timeout=120s")
	l.after(500)
	l.stop()
	if len(l.pods) < 4 {
		t.Errorf("answers came from %d pods; two went and two came", len(l.pods))
	}
}

// TestNodeDrained takes a node away that has a pod of gatehouse and one of the backend, and gives it back.
func TestNodeDrained(t *testing.T) {
	gatehouse(t)
	s := newSite(t, "drain")
	node := ""
	restart(t) // pods that are made together keep apart
	eventually(t, time.Minute, func() string {
		var nodes []string
		for _, p := range pods(t, system, k8s.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) {
			nodes = append(nodes, p.Spec.NodeName)
		}
		slices.Sort(nodes)
		if nodes = slices.Compact(nodes); len(nodes) < 2 {
			return "gatehouse runs on one node"
		}
		node = nodes[1]
		return ""
	})
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	t.Cleanup(func() { theCluster.kubectl(t, "uncordon", node) })
	theCluster.kubectl(t, "cordon", node)
	theCluster.kubectl(t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
	for _, namespace := range []string{system, s.namespace} {
		for _, p := range pods(t, namespace, nil) {
			if p.Spec.NodeName == node {
				t.Errorf("pod %s is on the node that was drained", p.Name)
			}
		}
	}
	l.after(200)
	theCluster.kubectl(t, "uncordon", node)
	l.stop()
}
