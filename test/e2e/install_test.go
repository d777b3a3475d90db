//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/sharedkey"
)

// system is the namespace that Gatehouse is installed in.
const system = "gatehouse-system"

// installed is whether config/default is applied.
var installed bool

// gatehouse sees to it that Gatehouse is installed by kubectl, and ready.
func gatehouse(t *testing.T) {
	t.Helper()
	if !installed {
		theCluster.kubectl(t, "apply", "-k", "config/default")
		installed = true
	}
	theCluster.kubectl(t, "rollout", "status", "-n", system, "deployment/gatehouse", "--timeout=90s")
}

// absent sees to it that Gatehouse is not installed.
func absent(t *testing.T) {
	t.Helper()
	theCluster.kubectl(t, "delete", "-k", "config/default", "--ignore-not-found")
	installed = false
}

func TestInstallByKubectl(t *testing.T) {
	absent(t)
	before := everything(t)
	gatehouse(t)
	s := newSite(t, "kubectl")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	l.stop()
	theCluster.kubectl(t, "delete", "namespace", s.namespace)
	absent(t)
	nothingLeft(t, before)
}

// TestInstallOnHostNetwork reaches Gateways at the node's address, and the admin address at none that callers reach.
func TestInstallOnHostNetwork(t *testing.T) {
	absent(t)
	before := everything(t)
	theCluster.kubectl(t, "apply", "-k", "config/host-network")
	t.Cleanup(func() { theCluster.kubectl(t, "delete", "-k", "config/host-network", "--ignore-not-found") })
	theCluster.kubectl(t, "rollout", "status", "-n", system, "deployment/gatehouse", "--timeout=90s")
	s := newSite(t, "host")
	at, err := url.Parse(s.target(t, "http", 80).URL)
	if err != nil {
		t.Fatal(err)
	}
	admin := net.JoinHostPort(at.Hostname(), "9901")
	if c, err := theCluster.network.dial(t.Context(), "tcp", admin); err == nil {
		c.Close()
		t.Errorf("the admin address is open to callers, at %s", admin)
	} else if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	theCluster.kubectl(t, "delete", "namespace", s.namespace)
	theCluster.kubectl(t, "delete", "-k", "config/host-network")
	nothingLeft(t, before)
}

// TestInstallByHelm installs the chart, upgrades to its next version under load, and uninstalls it.
func TestInstallByHelm(t *testing.T) {
	absent(t)
	before := everything(t)
	folder := t.TempDir()
	for _, version := range []string{"0.1.0", "0.1.1"} {
		theCluster.helm(t, "package", "charts/gatehouse", "--version", version, "--destination", folder)
	}
	chart := func(version string) string { return fmt.Sprintf("%s/gatehouse-%s.tgz", folder, version) }
	notes := theCluster.helm(t, "install", "gatehouse", chart("0.1.0"), "--namespace", system, "--create-namespace", "--wait", "--timeout=90s")
	if !strings.Contains(notes, "kubectl -n gatehouse-system rollout status deployment/gatehouse") || strings.Contains(notes, "NOT in this cluster") {
		t.Errorf("the notes do not say what to do next:\n%s", notes)
	}
	theCluster.kubectl(t, "label", "namespace", system, "pod-security.kubernetes.io/enforce=restricted")
	s := newSite(t, "helm")
	l := start(t, s.target(t, "http", 80))
	l.after(100)
	old := names(t)
	theCluster.helm(t, "upgrade", "gatehouse", chart("0.1.1"), "--namespace", system, "--wait", "--timeout=120s")
	gone(t, old)
	l.after(200)
	l.stop()

	theCluster.kubectl(t, "delete", "namespace", s.namespace)
	theCluster.helm(t, "uninstall", "gatehouse", "--namespace", system, "--wait", "--timeout=90s")
	theCluster.kubectl(t, "delete", "namespace", system)
	kept := map[string]bool{}
	for o := range everything(t) {
		if strings.HasPrefix(o, "customresourcedefinitions.apiextensions.k8s.io /") && strings.HasSuffix(o, ".gatehouse.dev") {
			kept[o] = true
		}
	}
	if len(kept) == 0 {
		t.Error("helm uninstall took the definitions, and with them every policy")
	}
	theCluster.kubectl(t, "delete", "crd", "-l", "app.kubernetes.io/part-of=gatehouse")
	nothingLeft(t, before)
}

// TestUninstallWithDefinitions leaves nothing for others to delete when it is told so, in a namespace that stays: what the leader made for
// itself goes too.
func TestUninstallWithDefinitions(t *testing.T) {
	absent(t)
	theCluster.kubectl(t, "create", "namespace", "edge")
	t.Cleanup(func() { theCluster.kubectl(t, "delete", "namespace", "edge") })
	for _, o := range []string{"serviceaccount/default", "configmap/kube-root-ca.crt"} { // what each namespace gets
		theCluster.kubectl(t, "wait", "--for=create", "-n", "edge", o, "--timeout=30s")
	}
	before := everything(t)
	theCluster.helm(t, "install", "edge", "charts/gatehouse", "--namespace", "edge", "--set", "crds.keep=false", "--wait", "--timeout=90s")
	eventually(t, 30*time.Second, func() string {
		if err := theCluster.client.Get(t.Context(), k8s.ObjectKey{Namespace: "edge", Name: sharedkey.Sessions}, &corev1.Secret{}); err != nil {
			return "the leader has made no session key: " + err.Error()
		}
		return ""
	})
	theCluster.helm(t, "uninstall", "edge", "--namespace", "edge", "--wait", "--timeout=90s")
	nothingLeft(t, before)
}

// TestAutoscalingTurnedOn hands the number of pods over to the autoscaler, which must not take any of them away, and is not in the way of
// upgrades and rollbacks from then on.
func TestAutoscalingTurnedOn(t *testing.T) {
	absent(t)
	flags := []string{"gatehouse", "charts/gatehouse", "--namespace", system, "--wait", "--timeout=90s", "--set"}
	theCluster.helm(t, append([]string{"install", "--create-namespace"}, append(flags, "replicaCount=3")...)...)
	t.Cleanup(func() {
		theCluster.helm(t, "uninstall", "gatehouse", "--namespace", system, "--wait", "--timeout=90s")
		theCluster.kubectl(t, "delete", "namespace", system)
		theCluster.kubectl(t, "delete", "crd", "-l", "app.kubernetes.io/part-of=gatehouse")
	})
	deployment := func() (d appsv1.Deployment) {
		if err := theCluster.client.Get(t.Context(), k8s.ObjectKey{Namespace: system, Name: "gatehouse"}, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := deployment()
	theCluster.helm(t, append([]string{"upgrade"}, append(flags, "autoscaling.enabled=true,autoscaling.minReplicas=3")...)...)
	// Another number would have made another generation, however soon the autoscaler had mended it.
	if now := deployment(); now.Generation != before.Generation || *now.Spec.Replicas != 3 {
		t.Errorf("there were 3 pods in generation %d, and there are %d in %d", before.Generation, *now.Spec.Replicas, now.Generation)
	}
	scale := func(replicas int32) {
		theCluster.kubectl(t, "scale", "-n", system, "deployment/gatehouse", fmt.Sprintf("--replicas=%d", replicas)) // as the autoscaler does
	}
	for _, annotation := range []string{"one", "two"} {
		scale(4)
		theCluster.helm(t, append([]string{"upgrade"}, append(flags, "autoscaling.enabled=true,autoscaling.minReplicas=3,podAnnotations.a="+annotation)...)...)
		scale(5)
	}
	theCluster.helm(t, "rollback", "gatehouse", "--namespace", system, "--wait", "--timeout=90s")
	if now := deployment(); now.Spec.Template.Annotations["a"] != "one" || *now.Spec.Replicas != 5 {
		t.Errorf("there were 5 pods, and after the rollback there are %d, with annotation %q", *now.Spec.Replicas, now.Spec.Template.Annotations["a"])
	}
}

// names are the names of gatehouse's pods.
func names(t *testing.T) (out []string) {
	t.Helper()
	for _, p := range pods(t, system, k8s.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}) {
		out = append(out, p.Name)
	}
	return out
}

// gone waits until none of the pods is left, and there are as many others.
func gone(t *testing.T, old []string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() string {
		now := names(t)
		for _, name := range old {
			if slices.Contains(now, name) {
				return name + " is still there"
			}
		}
		return ""
	})
	for _, name := range old {
		theCluster.kubectl(t, "wait", "--for=delete", "-n", system, "pod/"+name, "--timeout=90s")
	}
}

// everything is every object of the cluster that is not in a constant coming and going, as "resource namespace/name".
func everything(t *testing.T) map[string]bool {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(theCluster.config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := d.ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || slices.Contains([]string{"events", "componentstatuses", "ipaddresses"}, r.Name) {
				continue
			}
			var found metav1.PartialObjectMetadataList
			found.SetGroupVersionKind(group.WithKind(r.Kind + "List"))
			if err := theCluster.client.List(t.Context(), &found); err != nil {
				continue // the definition may be on its way out
			}
			for _, o := range found.Items {
				out[fmt.Sprintf("%s.%s %s/%s", r.Name, group.Group, o.Namespace, o.Name)] = true
			}
		}
	}
	return out
}

// nothingLeft waits until every object that was not there before is gone.
func nothingLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	eventually(t, 90*time.Second, func() string {
		var left []string
		for o := range everything(t) {
			if !before[o] {
				left = append(left, o)
			}
		}
		if slices.Sort(left); len(left) > 0 {
			return "left over: " + strings.Join(left, ", ")
		}
		return ""
	})
	t.Logf("nothing is left: the cluster has the %d objects it had", len(slices.Collect(maps.Keys(before))))
}
