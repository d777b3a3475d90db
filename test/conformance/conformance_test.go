package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	report "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

const checkedIn = "report.yaml"

// tally counts the suite's tests by outcome.
type tally struct{ passed, failed, skipped int }

func (c *tally) count(t *testing.T, _ suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
	switch {
	case t.Failed():
		c.failed++
	case t.Skipped():
		c.skipped++
	default:
		c.passed++
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("KUBECONFIG") == "" {
		fmt.Fprintln(os.Stderr, "conformance: KUBECONFIG is not set; `make conformance` runs this with a cluster")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	install(t)
	var tests tally
	options := conformance.DefaultOptions(t)
	options.GatewayClassName = "gatehouse"
	options.ConformanceProfiles = []suite.ConformanceProfileName{
		suite.GatewayHTTPConformanceProfileName, suite.GatewayGRPCConformanceProfileName, suite.GatewayTLSConformanceProfileName,
		suite.GatewayTCPConformanceProfileName, suite.GatewayUDPConformanceProfileName,
	}
	options.Implementation = report.Implementation{
		Organization: "gatehouse-dev", Project: "gatehouse", URL: "https://github.com/gatehouse-dev/gatehouse", Version: version(),
		Contact: []string{"https://github.com/gatehouse-dev/gatehouse/issues/new"},
	}
	options.UsableNetworkAddresses, options.UnusableNetworkAddresses = addresses(t)
	options.Hook = tests.count
	verify := options.ReportOutputPath == ""
	if verify {
		options.ReportOutputPath = filepath.Join(t.TempDir(), checkedIn)
	}
	before, began := spent(t, options), time.Now()
	// The suite writes the report when the test has ended, which is before what was registered first is called.
	t.Cleanup(func() {
		fmt.Printf("cost: %s\n", spent(t, options).since(before))
		fmt.Printf("conformance: %d passed, %d failed, %d skipped in %.0fs\n", tests.passed, tests.failed, tests.skipped, time.Since(began).Seconds())
		if whole := options.RunTest == "" && len(options.SkipTests) == 0; verify && whole {
			compare(t, options.ReportOutputPath)
		}
	})
	conformance.RunConformanceWithOptions(t, options)
}

// install puts gatehouse into the cluster, or replaces the pods that run an older image of the same name.
func install(t *testing.T) {
	t.Helper()
	ran := exec.CommandContext(t.Context(), "kubectl", "-n", "gatehouse-system", "get", "deployment", "gatehouse").Run() == nil
	kubectl(t, "apply", "--server-side", "--force-conflicts", "-k", "../../config/default")
	if ran {
		kubectl(t, "-n", "gatehouse-system", "rollout", "restart", "deployment/gatehouse")
	}
	kubectl(t, "-n", "gatehouse-system", "rollout", "status", "deployment/gatehouse", "--timeout=3m")
}

func kubectl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "kubectl", args...).CombinedOutput(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// version names the commit that is tested.
func version() string {
	out, err := exec.Command("git", "describe", "--always", "--tags", "--dirty", "--exclude=*-rc*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// addresses are for the tests of static addresses: one the cluster can give, and one it cannot. CLUSTER_POOL says which, FIRST-LAST, of
// which the last is not given to anybody who does not ask for it. 192.0.2.0/24 is documentation's, RFC 5737.
func addresses(t *testing.T) (usable, unusable []gatewayv1.GatewaySpecAddress) {
	t.Helper()
	_, last, ok := strings.Cut(os.Getenv("CLUSTER_POOL"), "-")
	if !ok {
		t.Fatal("CLUSTER_POOL is not set: FIRST-LAST, the addresses of Services of type LoadBalancer")
	}
	kind := gatewayv1.IPAddressType
	return []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: last}}, []gatewayv1.GatewaySpecAddress{{Type: &kind, Value: "192.0.2.1"}}
}

// compare fails if the results are not those of the report that is checked in.
func compare(t *testing.T, path string) {
	t.Helper()
	results := func(path string) (r report.ConformanceReport) {
		text, err := os.ReadFile(path)
		if err == nil {
			err = yaml.Unmarshal(text, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Date, r.Version = "", "" // of the run, not of its results
		slices.SortFunc(r.ProfileReports, func(a, b report.ProfileReport) int { return strings.Compare(a.Name, b.Name) })
		return r
	}
	if got, want := results(path), results(checkedIn); !reflect.DeepEqual(got, want) {
		t.Errorf("the results are not those of test/conformance/%s; run `make conformance` and commit what it writes", checkedIn)
	}
}
