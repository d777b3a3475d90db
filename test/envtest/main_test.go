//go:build envtest

package envtest

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// environment is the API server all tests of this package share.
var environment *envtest.Environment

// binary is the gatehouse the tests run, and auditLog what the API server notes of its requests.
var binary, auditLog string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 1, fmt.Errorf("KUBEBUILDER_ASSETS is not set: it names the folder that holds kube-apiserver and etcd; `make test-envtest` builds them and sets it")
	}
	ctrllog.SetLogger(logr.Discard())
	flag.Parse()
	gatewayAPI, err := gatewayAPIFolder()
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "gatehouse-envtest-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, auditLog = filepath.Join(dir, "gatehouse"), filepath.Join(dir, "audit.log")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/gatehouse").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build gatehouse: %w\n%s", err, out)
	}
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(gatewayAPI, "config", "crd", "experimental"), filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	if err := audit(environment, filepath.Join(dir, "audit-policy.yaml")); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := environment.Stop(); stopErr != nil && err == nil {
			err = fmt.Errorf("stop the API server: %w", stopErr)
		}
	}()
	if _, err := environment.Start(); err != nil {
		return 1, fmt.Errorf("start the API server: %w", err)
	}
	code = m.Run()
	refused, err := audited(func(e auditEvent) bool { return e.ResponseStatus.Code == http.StatusForbidden })
	if err != nil {
		return 1, err
	}
	for _, e := range refused {
		fmt.Fprintln(os.Stderr, "envtest: config/rbac does not suffice:", e, "was refused")
		code = 1
	}
	return code, nil
}

// gatewayAPIFolder finds the Gateway API module that the product is built with, so that the CRDs are of the same release.
func gatewayAPIFolder() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return "", fmt.Errorf("find the Gateway API module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Start returns a connection to the shared API server, with every right.
func Start(t *testing.T) *rest.Config {
	t.Helper()
	return rest.CopyConfig(environment.Config)
}

// Scheme returns a scheme that knows the built-in kinds, the Gateway API's and ours.
func Scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, gatewayxv1alpha1.Install, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Client returns a client without a cache, for the shared API server.
func Client(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(Start(t), client.Options{Scheme: Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Namespace makes a namespace for one test. It is not removed: no controller runs that could empty it, and the server ends with the
// tests.
func Namespace(t *testing.T, c client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(context.Background(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}
