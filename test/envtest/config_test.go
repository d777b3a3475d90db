//go:build envtest

package envtest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

const serviceAccount = "system:serviceaccount:gatehouse-system:gatehouse"

// ServiceAccount returns a connection with no more rights than config/rbac grants: what Gatehouse has in a cluster.
func ServiceAccount(t *testing.T) *rest.Config {
	t.Helper()
	c := Client(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gatehouse-system"}}
	if err := c.Create(context.Background(), ns); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	for _, o := range manifests(t, "../../config/rbac") {
		if o.GetKind() == "Kustomization" {
			continue
		}
		if err := c.Create(context.Background(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	config := Start(t)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: serviceAccount,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:gatehouse-system", "system:authenticated"},
	}
	return config
}

func TestRBAC(t *testing.T) {
	c, err := client.New(ServiceAccount(t), client.Options{Scheme: Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		verb, group, resource, subresource, namespace string
		allowed                                       bool
	}{
		{"watch", "gateway.networking.k8s.io", "gateways", "", "", true},
		{"watch", "gateway.networking.k8s.io", "referencegrants", "", "", true},
		{"watch", "gatehouse.dev", "authpolicies", "", "", true},
		{"list", "", "secrets", "", "", true},
		{"list", "discovery.k8s.io", "endpointslices", "", "", true},
		{"update", "gateway.networking.k8s.io", "httproutes", "status", "shop", true},
		{"update", "gatehouse.dev", "validationpolicies", "status", "shop", true},
		{"create", "events.k8s.io", "events", "", "shop", true},
		{"create", "coordination.k8s.io", "leases", "", "gatehouse-system", true},
		{"watch", "gateway.networking.x-k8s.io", "xbackendtrafficpolicies", "", "", true},
		{"update", "gateway.networking.x-k8s.io", "xbackendtrafficpolicies", "status", "shop", true},
		{"create", "", "secrets", "", "gatehouse-system", true},
		{"create", "", "configmaps", "", "gatehouse-system", true},

		{"update", "coordination.k8s.io", "leases", "", "kube-system", false},
		{"update", "coordination.k8s.io", "leases", "", "gatehouse-system", false}, // only the one by name
		{"delete", "coordination.k8s.io", "leases", "", "gatehouse-system", false},
		{"patch", "gateway.networking.k8s.io", "httproutes", "status", "shop", false},
		{"create", "", "events", "", "shop", false},
		{"list", "", "nodes", "", "", false},
		{"update", "gateway.networking.k8s.io", "httproutes", "", "shop", false},
		{"update", "gatehouse.dev", "authpolicies", "", "shop", false},
		{"create", "", "secrets", "", "shop", false},
		{"update", "", "secrets", "", "gatehouse-system", false},
		{"create", "", "configmaps", "", "shop", false},
		{"update", "", "configmaps", "", "gatehouse-system", false},
		{"create", "", "pods", "", "gatehouse-system", false},
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: tc.verb, Group: tc.group, Resource: tc.resource, Subresource: tc.subresource, Namespace: tc.namespace,
			},
		}}
		if err := c.Create(context.Background(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != tc.allowed {
			t.Errorf("%s %s/%s %s in %q: allowed %v, want %v", tc.verb, tc.group, tc.resource, tc.subresource, tc.namespace, review.Status.Allowed, tc.allowed)
		}
	}
}

// TestConfigAccepted offers every object of config/manager and config/samples to the API server without storing it.
func TestConfigAccepted(t *testing.T) {
	c := Client(t)
	offered := 0
	for _, folder := range []string{"../../config/manager", "../../config/samples"} {
		for _, o := range manifests(t, folder) {
			if o.GetKind() == "Kustomization" {
				continue
			}
			offered++
			// The object's own namespace does not exist here.
			if namespaced, err := c.IsObjectNamespaced(o); err != nil {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				continue
			} else if namespaced {
				o.SetNamespace("default")
			}
			if err := c.Create(context.Background(), o, client.DryRunAll, client.FieldValidation("Strict")); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
		}
	}
	if offered < 5 {
		t.Errorf("offered %d objects; config/manager and config/samples hold more", offered)
	}
}

// TestDefaults proves that what the schema fills in is what the types' methods say for an object that met no API server.
func TestDefaults(t *testing.T) {
	c := Client(t)
	policy := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"targetRefs": []any{map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}},
		"defaults":   map[string]any{"rules": map[string]any{"checks": map[string]any{"size": map[string]any{"maxBodyBytes": "1Ki"}}}},
	}}}
	policy.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindValidationPolicy))
	policy.SetNamespace(Namespace(t, c))
	policy.SetName("defaults")
	if err := c.Create(context.Background(), policy); err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.ValidationPolicy
	if err := c.Get(context.Background(), client.ObjectKeyFromObject(policy), &stored); err != nil {
		t.Fatal(err)
	}
	var bare v1alpha1.ValidationPolicy
	bare.Spec.Defaults = &v1alpha1.ValidationSection{}
	if stored.Spec.Mode != bare.GetMode() || stored.Spec.Defaults.Strategy != bare.GetSection().Strategy {
		t.Errorf("the API server says %s and %s, the types %s and %s", stored.Spec.Mode, stored.Spec.Defaults.Strategy, bare.GetMode(), bare.GetSection().Strategy)
	}
	if got := stored.GetRules().Checks["size"].MaxBodyBytes.Value(); got != 1024 {
		t.Errorf("1Ki reads as %d bytes", got)
	}
}

// manifests reads every YAML document under a folder.
func manifests(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for decoder := yaml.NewYAMLOrJSONDecoder(f, 4096); ; {
			o := &unstructured.Unstructured{}
			if err := decoder.Decode(o); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if len(o.Object) > 0 {
				objects = append(objects, o)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
