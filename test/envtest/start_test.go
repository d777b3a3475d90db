//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestMissingKind starts on an API server that lacks a definition: one sentence, and the end.
func TestMissingKind(t *testing.T) {
	w := NewWorld(t)
	for _, tc := range []struct{ crd, want string }{
		{"referencegrants.gateway.networking.k8s.io", "the cluster does not serve ReferenceGrant of gateway.networking.k8s.io/v1; install the Gateway API CRDs"},
		{"validationpolicies.gatehouse.dev", "the cluster does not serve ValidationPolicy of gatehouse.dev/v1alpha1; install Gatehouse's CRDs"},
	} {
		t.Run(tc.crd, func(t *testing.T) {
			without(t, tc.crd)
			g := w.Run("--log-level=info")
			if code := g.wait(25 * time.Second); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			log := g.Log()
			if strings.Count(log, tc.want) != 1 {
				t.Errorf("want it to say once %q; it says\n%s", tc.want, log)
			}
			if lines := strings.Count(strings.TrimSpace(log), "\n"); lines > 3 {
				t.Errorf("that took %d lines:\n%s", lines+1, log)
			}
		})
	}
}

// TestLateKind starts before the API server serves a definition, as happens where one command installs both: it waits, and is not restarted.
func TestLateKind(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	var g *Gatehouse
	t.Run("without", func(t *testing.T) {
		without(t, "validationpolicies.gatehouse.dev")
		g = w.Run()
		time.Sleep(2 * time.Second)
	})
	g.WaitReady()
	w.Expect("/a", http.StatusOK)
}

// without takes a definition from the API server until the test ends.
func without(t *testing.T, name string) {
	t.Helper()
	var definition *apiextensionsv1.CustomResourceDefinition
	for _, d := range environment.CRDs {
		if d.Name == name {
			definition = d
		}
	}
	if definition == nil {
		t.Fatalf("no definition %s is installed", name)
	}
	options := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition.DeepCopy()}}
	if err := envtest.UninstallCRDs(environment.Config, options); err != nil {
		t.Fatal(err)
	}
	kind := definition.Spec.Names.Kind
	eventually(t, 20*time.Second, func() string { // it is finalized in the background
		if _, err := Client(t).RESTMapper().RESTMapping(schema.GroupKind{Group: definition.Spec.Group, Kind: kind}, definition.Spec.Versions[0].Name); err == nil {
			return kind + " is still served"
		}
		return ""
	})
	t.Cleanup(func() {
		again := definition.DeepCopy()
		again.ResourceVersion, again.UID = "", ""
		if _, err := envtest.InstallCRDs(environment.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{again}}); err != nil {
			t.Error(err)
		}
	})
}

// TestReady withholds one kind: Gatehouse must not serve half a configuration, nor say it is ready.
func TestReady(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	ServiceAccount(t)
	ctx := context.Background()
	var role rbacv1.ClusterRole
	if err := w.Client.Get(ctx, client.ObjectKey{Name: "gatehouse"}, &role); err != nil {
		t.Fatal(err)
	}
	full := role.Rules
	role = rbacv1.ClusterRole{Rules: nil}
	role.Name = w.Namespace
	for _, rule := range full {
		if rule.APIGroups[0] != "discovery.k8s.io" {
			role.Rules = append(role.Rules, rule)
		}
	}
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = w.Namespace, "partial"
	binding := &rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: account.Namespace, Name: account.Name}},
	}
	binding.Name = w.Namespace
	for _, o := range []client.Object{&role, account, binding} {
		if err := w.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	g := w.Run("--kubeconfig", kubeconfigOf(t, w.server, account))
	g.WaitLog(15*time.Second, "endpointslices.discovery.k8s.io is forbidden")
	throughout(t, 2*time.Second, func() string {
		if status, text := g.Ready(); status != http.StatusServiceUnavailable {
			return fmt.Sprintf("/readyz says %d %s without the EndpointSlices", status, text)
		}
		if status, _, _ := ask(fresh, w.URL("/a")); status != 0 {
			return fmt.Sprintf("a request is answered %d without the EndpointSlices", status)
		}
		return ""
	})
	if spent := writes(t, w.Namespace); len(spent) > 0 {
		t.Errorf("statuses were written before there was a table: %v", spent)
	}
	role.Rules = full
	if err := w.Client.Update(ctx, &role); err != nil {
		t.Fatal(err)
	}
	g.WaitReady()
	w.Expect("/a", http.StatusOK)
	g.Kill() // Stop would find fault with the log
}
