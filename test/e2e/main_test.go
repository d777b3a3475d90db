//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/hack/programs"
	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

// root is the repository.
const root = "../.."

// cluster is the cluster under test.
type cluster struct {
	kubeconfig     string
	network        *network // where its addresses lead somewhere; nil: they do from here
	config         *rest.Config
	client         k8s.Client
	kubectlProgram string
	helmProgram    string
}

// theCluster is the cluster all tests of this package share.
var theCluster *cluster

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	var err error
	if theCluster, err = connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// connect finds the cluster and gives it the Gateway API.
func connect() (*cluster, error) {
	c := &cluster{kubeconfig: os.Getenv("KUBECONFIG")}
	if c.kubeconfig == "" {
		return nil, fmt.Errorf("KUBECONFIG is not set: it says how to reach the cluster; `make e2e` starts one and sets it")
	}
	var err error
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return nil, err
	}
	c.config.QPS, c.config.Burst = 100, 200
	if server := c.server(); server != nil {
		if c.network, err = networkOf(server.pid); err != nil {
			return nil, err
		}
		c.config.Dial = c.network.dial
	}
	scheme := watch.Scheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if c.client, err = k8s.New(c.config, k8s.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	programs, err := programs.Build(context.Background(), progress.New("e2e"), "kubectl", "helm")
	if err != nil {
		return nil, err
	}
	c.kubectlProgram, c.helmProgram = programs["kubectl"], programs["helm"]
	return c, c.gatewayAPI()
}

// server is the API server's process, nil if it is none of this machine's.
func (c *cluster) server() *process {
	at, err := url.Parse(c.config.Host)
	if err != nil {
		return nil
	}
	host, _, err := net.SplitHostPort(at.Host)
	if err != nil {
		return nil
	}
	found := processes("kube-apiserver", func(p process) bool { return slices.Contains(p.args, "--advertise-address="+host) })
	if len(found) == 0 {
		return nil
	}
	return &found[0]
}

// node is hack/cluster's program, which ends and starts the daemons of its nodes; "" if the cluster is another.
var node = os.Getenv("CLUSTER")

// local skips a test that has to reach below the API of the cluster.
func (c *cluster) local(t *testing.T) {
	t.Helper()
	if node == "" {
		t.Skip("this ends processes of a node, which only works on the nodes of hack/cluster")
	}
}

// gatewayAPI installs the Gateway API's CRDs of the release that the product is built with.
func (c *cluster) gatewayAPI() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return fmt.Errorf("finding the Gateway API's module: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "config/crd/experimental/gateway*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("the Gateway API's module has %d definitions: %w", len(files), err)
	}
	args := []string{"apply", "--server-side", "--force-conflicts"}
	for _, name := range files {
		args = append(args, "-f", name)
	}
	if out, err := c.run("", c.kubectlProgram, args...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	out2, err := c.run("", c.kubectlProgram, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out2)
	}
	return nil
}

// run runs a program of the cluster's users in the repository, on the cluster.
func (c *cluster) run(input, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	words := c.network.command(program, args...)
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Dir = root
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	command.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	return out.String(), nil
}

// kubectl runs kubectl, and the test fails if that does.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.must(t, "", c.kubectlProgram, args...)
}

func (c *cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	return c.must(t, "", c.helmProgram, args...)
}

func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	c.must(t, manifests, c.kubectlProgram, "apply", "-f", "-")
}

func (c *cluster) must(t *testing.T, input, program string, args ...string) string {
	t.Helper()
	out, err := c.run(input, program, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// eventually polls until check says nothing, or fails the test with what it said last.
func eventually(t *testing.T, limit time.Duration, check func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		says := check()
		if says == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, says)
		}
	}
}
